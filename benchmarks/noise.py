"""Images of noise as a prepared TFDS data set, as many as wanted."""

import numpy as np
import tensorflow_datasets as tfds

SHAPE = (32, 32, 3)


class Noise(tfds.core.GeneratorBasedBuilder):
    """Images of noise.

    Args:
      count: of images.
      **kwargs: of every builder, such as `data_dir`.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, count: int, **kwargs):
        self._count = count
        super().__init__(**kwargs)

    def _info(self):
        pixels = tfds.features.Tensor(shape=SHAPE, dtype=np.uint8, encoding="bytes")
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"image": pixels}),
            disable_shuffling=True,  # noise has no order
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(self._count)}

    def _generate_examples(self, count):
        rng = np.random.default_rng(0)
        for i in range(count):
            yield i, {"image": rng.integers(0, 256, SHAPE, np.uint8)}


def prepare(directory: str, count: int) -> None:
    """Writes TFRecord files.

    Args:
      directory: for the data set.
      count: of images.
    """
    tfds.disable_progress_bar()
    Noise(count=count, data_dir=directory).download_and_prepare()
