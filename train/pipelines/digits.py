"""scikit-learn's handwritten digits as a TFDS data set: nothing to download."""

import numpy as np
import tensorflow_datasets as tfds

_SIZES = {"train": 1297, "validation": 250, "test": 250}


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,797 real handwritten digits of 8 x 8 pixels with 17 grey values.

    The split is fixed: a permutation with seed 0, then 1,297 / 250 / 250 images.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            description="8 x 8 handwritten digits with grey values 0 to 16.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(8, 8, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
        )

    def _split_generators(self, dl_manager):
        ends = np.cumsum(list(_SIZES.values()))
        return {
            name: self._generate_examples(end - size, end)
            for (name, size), end in zip(_SIZES.items(), ends, strict=True)
        }

    def _generate_examples(self, start, end):
        from sklearn.datasets import load_digits  # slow to import, needed once

        data = load_digits()
        order = np.random.default_rng(0).permutation(len(data.images))
        for i in order[start:end]:
            image = data.images[i].astype(np.uint8)[..., None]
            yield int(i), {"image": image, "label": int(data.target[i])}
