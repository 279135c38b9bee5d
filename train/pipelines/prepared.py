"""Image data sets that TFDS has prepared: which, and how their rows are read."""

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from train.pipelines.digits import Digits
from train.pipelines.records import Records
from train.pipelines.sources import Arrays, Rows, Source


def builder(config: Any, workdir: Any) -> tfds.core.DatasetBuilder:
    """Returns the builder of a prepared data set of images; prepares the digits.

    Args:
      config: `name`, `data_dir`, and `context` for one that must have labels.
      workdir: where the digits are prepared when `data_dir` is empty.

    Raises:
      ValueError: if TFDS does not know it, it is not prepared, or holds no images.
    """
    data_dir = config.data_dir or str(pathlib.Path(workdir) / "data")
    if config.name == "digits":
        found = Digits(data_dir=data_dir)
        tfds.disable_progress_bar()
        found.download_and_prepare()
        return found
    try:
        found = tfds.builder(config.name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ModuleNotFoundError):
        raise ValueError(
            f"There is no data set {config.name!r}. Use digits, two_moons, csv, npy, "
            "or a TFDS image data set such as mnist with config.data.data_dir."
        ) from None
    if not found.is_prepared():
        raise ValueError(
            f"{config.name!r} is not prepared in {data_dir!r}. Set "
            "config.data.data_dir to the directory that holds it, or prepare it "
            f"there with tfds.load({config.name!r}, data_dir=...)."
        )
    _check_features(found.info.features, config)
    return found


def _check_features(features, config):
    if "image" not in features:
        raise ValueError(
            f"{config.name!r} has no feature 'image', only {sorted(features)}. Choose "
            "an image data set."
        )
    shape, dtype = features["image"].shape, np.dtype(features["image"].np_dtype)
    if len(shape) != 3 or None in shape or dtype != np.uint8:
        raise ValueError(
            f"{config.name!r} has images of shape {shape} and dtype {dtype}; wanted "
            "are uint8 images (H, W, C) of one size. Choose another data set."
        )
    label = features["label"] if "label" in features else None
    if config.context and not hasattr(label, "num_classes"):
        raise ValueError(
            f"{config.name!r} has no class 'label' to condition on, only "
            f"{sorted(features)}. Set config.data.context to False."
        )


def is_streamed(config: Any) -> bool:
    """Whether rows stay in their files until they are wanted.

    The digits do not: they are small, and a worker that has prepared them for itself
    keeps no files.

    Args:
      config: `cache`, `name`.
    """
    return config.cache == "none" and config.name != "digits"


def stored(builder: tfds.core.DatasetBuilder, split: str, config: Any) -> Source:
    """Returns the rows of a split in the order of its files, as they are stored.

    Args:
      builder: of the data set.
      split: its name.
      config: `cache`, `context`, `name`.

    Returns:
      Images as x and, if wanted, labels as context.

    Raises:
      ValueError: if there is no such split, or its files cannot be read row by row.
    """
    if split not in builder.info.splits:
        raise ValueError(
            f"{config.name!r} has no split {split!r}, only "
            f"{sorted(builder.info.splits)}. Choose a data set with train and test."
        )
    if is_streamed(config):
        return _Examples(builder, split, config)
    # One file after the other, which is the order of `_Examples`.
    data = builder.as_dataset(
        split=split,
        batch_size=-1,
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    labels = np.asarray(data["label"]) if config.context else None
    return Arrays(np.asarray(data["image"]), labels)


class _Examples:
    """Images, and labels if wanted, decoded when they are asked for."""

    def __init__(self, builder, split, config):
        kind = builder.info.file_format
        if kind != tfds.core.FileFormat.TFRECORD:
            raise ValueError(
                f"{config.name!r} is prepared as {kind.value} files; with "
                "config.data.cache=none TFRecord files are read. Prepare it with "
                "file_format='tfrecord', or set cache to memory."
            )
        features, info = builder.info.features, builder.info.splits[split]
        self._records = Records(info.filepaths, info.shard_lengths)
        wanted = {"image": True} | ({"label": True} if config.context else {})
        self._features = tfds.decode.PartialDecoding(wanted).extract_features(features)
        self._image, self._labelled = features["image"], config.context
        # Files of pictures are decoded by TensorFlow, as TFDS does it: no other decoder
        # gives the same pixels of a JPEG.
        picture = isinstance(self._image, tfds.features.Image)
        self._decoders = {"image": tfds.decode.SkipDecoding()} if picture else None

    def __len__(self):
        return len(self._records)

    def rows(self, places: np.ndarray) -> Rows:
        """Returns images and labels."""
        images = np.empty((len(places), *self._image.shape), np.uint8)
        labels = np.empty(len(places), np.int64) if self._labelled else None
        for i, record in enumerate(self._records.read(places)):
            try:
                example = self._decoded(record)
                images[i] = example["image"]
            except Exception as error:  # whatever protobuf and TensorFlow may raise
                raise ValueError(
                    f"{self._records.path(places[i])} holds no image in its record "
                    f"that is row {places[i]} of the split: it is damaged. Prepare "
                    "the data set again."
                ) from error
            if labels is not None:
                labels[i] = example["label"]
        return Rows(images, labels)

    def _decoded(self, record):
        example = self._features.deserialize_example_np(record, decoders=self._decoders)
        if self._decoders is not None:
            channels = self._image.shape[-1]
            example["image"] = tf.io.decode_image(example["image"], channels).numpy()
        if example["image"].shape != self._image.shape:  # NumPy would repeat it
            raise ValueError(f"an image of shape {example['image'].shape}")
        return example
