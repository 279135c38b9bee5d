"""Image data sets through tensorflow-datasets."""

import pathlib
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from train.pipelines.digits import Digits


def load(config: Any, workdir: Any) -> tuple:
    """Loads an image data set as integers.

    Args:
      config: see `splits.load`; the digits need no `data_dir`.
      workdir: where the digits are prepared when `data_dir` is empty.

    Returns:
      ((x, context) of train, valid and test), number of pixel values under its name in
      `Splits`.

    Raises:
      ValueError: if TFDS does not know the data set, it is not prepared in `data_dir`,
        it holds no images, or they cannot have `config.num_values` values, or for an
        unknown `config.binarize`.
    """
    num_values, step = _num_values(config)
    builder = _builder(config, workdir)
    if config.binarize:
        num_values = 2
    train = _arrays(builder, "train", config, step)
    test = _arrays(builder, "test", config, step)
    if "validation" in builder.info.splits:
        valid = _arrays(builder, "validation", config, step)
    else:  # the last images of the training part
        cut = len(train[0]) - config.num_valid
        if cut < 1:
            raise ValueError(
                f"{config.name!r} has {len(train[0])} training images, too few for "
                f"config.data.num_valid={config.num_valid}. Lower it."
            )
        train, valid = _cut(train, None, cut), _cut(train, cut, None)
    if config.num_test:
        test = _cut(test, None, config.num_test)
    return (train, valid, test), {"num_values": num_values}


def _num_values(config):
    """Returns the number of pixel values, and how many of the file's make one."""
    stored = _stored_values(config)
    _check_binarize(config)
    wanted = config.num_values or stored
    # 256 has the powers of two for divisors, and 17 only itself.
    if not 2 <= wanted <= stored or stored % wanted:
        raise ValueError(
            f"config.data.num_values must be 0 for all {stored} values of "
            f"{config.name!r}, or for 8-bit images a power of two from 2 to 256 (32 "
            f"for 5 bits), got {config.num_values}."
        )
    return wanted, stored // wanted


def _stored_values(config):
    return 17 if config.name == "digits" else 256


def _check_binarize(config):
    if config.binarize not in ("", "threshold", "stochastic"):
        raise ValueError(
            f"config.data.binarize must be '' for grey levels, 'threshold' or "
            f"'stochastic', got {config.binarize!r}."
        )
    if config.binarize and config.num_values:
        raise ValueError(
            f"config.data.num_values is {config.num_values}, but "
            f"config.data.binarize={config.binarize!r} leaves two values. Set "
            "num_values to 0."
        )


def _binarized(images, split, config):
    """Returns 0 and 1: at half of the range, or 1 with the grey level's probability.

    The stochastic draw is made once, for the seed and the stored split: every epoch and
    every model sees the same images.
    """
    level = images / np.float32(_stored_values(config) - 1)
    if config.binarize == "threshold":
        return (level >= 0.5).astype(np.uint8)
    position = ("train", "validation", "test").index(split)
    rng = np.random.default_rng((config.seed, position))
    return (rng.random(level.shape, np.float32) < level).astype(np.uint8)


def _builder(config, workdir):
    data_dir = config.data_dir or str(pathlib.Path(workdir) / "data")
    if config.name == "digits":
        builder = Digits(data_dir=data_dir)
        tfds.disable_progress_bar()
        builder.download_and_prepare()
        return builder
    try:
        builder = tfds.builder(config.name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ModuleNotFoundError):
        raise ValueError(
            f"There is no data set {config.name!r}. Use digits, two_moons, csv, npy, "
            "or a TFDS image data set such as mnist with config.data.data_dir."
        ) from None
    if not builder.is_prepared():
        raise ValueError(
            f"{config.name!r} is not prepared in {data_dir!r}. Set "
            "config.data.data_dir to the directory that holds it, or prepare it "
            f"there with tfds.load({config.name!r}, data_dir=...)."
        )
    _check_features(builder.info.features, config)
    return builder


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


def _arrays(builder, split, config, step):
    """Returns images `[N, H, W, C]` and, if wanted, one-hot labels as contexts.

    `step` grey levels of the file become one.
    """
    if split not in builder.info.splits:
        raise ValueError(
            f"{config.name!r} has no split {split!r}, only "
            f"{sorted(builder.info.splits)}. Choose a data set with train and test."
        )
    # Whole data sets in memory: 60,000 MNIST images are 47 MB.
    data = builder.as_dataset(split=split, batch_size=-1)
    images = np.asarray(data["image"])
    if config.binarize:
        images = _binarized(images, split, config)
    elif step > 1:
        images = images // np.uint8(step)  # 255 of 32 values becomes 31
    if not config.context:
        return images, None
    classes = builder.info.features["label"].num_classes
    return images, np.eye(classes, dtype=np.float32)[np.asarray(data["label"])]


def _cut(part, start, end):
    return tuple(None if a is None else a[start:end] for a in part)
