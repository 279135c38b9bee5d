"""Image data sets through tensorflow-datasets: which values their pixels have."""

from typing import Any

import numpy as np

from train.pipelines import prepared
from train.pipelines.sources import Chosen, Rows, in_memory


def load(config: Any, workdir: Any) -> tuple:
    """Finds an image data set of integers.

    Args:
      config: see `splits.load`; the digits need no `data_dir`.
      workdir: where the digits are prepared when `data_dir` is empty.

    Returns:
      (sources of train, valid and test), number of pixel values under its name in
      `Splits`.

    Raises:
      ValueError: if TFDS does not know the data set, it is not prepared in `data_dir`,
        it holds no images, or they cannot have `config.num_values` values, or for an
        unknown `config.binarize`.
    """
    num_values, step = _num_values(config)
    builder = prepared.builder(config, workdir)
    train = _images(builder, "train", config, step)
    test = _images(builder, "test", config, step)
    if "validation" in builder.info.splits:
        valid = _images(builder, "validation", config, step)
    else:  # the last images of the training part
        cut = len(train) - config.num_valid
        if cut < 1:
            raise ValueError(
                f"{config.name!r} has {len(train)} training images, too few for "
                f"config.data.num_valid={config.num_valid}. Lower it."
            )
        places = np.arange(len(train))
        train, valid = Chosen(train, places[:cut]), Chosen(train, places[cut:])
    if config.num_test:
        test = Chosen(test, np.arange(min(config.num_test, len(test))))
    return (train, valid, test), {"num_values": 2 if config.binarize else num_values}


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


def _images(builder, split, config, step):
    source = _Images(builder, split, config, step)
    return source if prepared.is_streamed(config) else in_memory(source)


class _Images:
    """Images uint8 `[N, H, W, C]` and, if wanted, one-hot labels as contexts.

    `step` grey levels of the file become one.
    """

    def __init__(self, builder, split, config, step):
        self._stored = prepared.stored(builder, split, config)
        self._step, self._binarize = step, config.binarize
        self._brightest = _stored_values(config) - 1
        self._seed = config.seed, ("train", "validation", "test").index(split)
        if config.context:
            classes = builder.info.features["label"].num_classes
            self._one_hot = np.eye(classes, dtype=np.float32)

    def __len__(self):
        return len(self._stored)

    def rows(self, places: np.ndarray) -> Rows:
        """Returns images and contexts."""
        images, labels = self._stored.rows(places)
        if self._binarize:
            images = self._binarized(images, places)
        elif self._step > 1:
            images = images // np.uint8(self._step)  # 255 of 32 values becomes 31
        return Rows(images, None if labels is None else self._one_hot[labels])

    def _binarized(self, images, places):
        """Returns 0 and 1: at half of the range, or with the grey level's probability.

        The stochastic draw follows from the seed, the stored split and the row there:
        every epoch and every model sees the same images.
        """
        level = images / np.float32(self._brightest)
        if self._binarize == "threshold":
            return (level >= 0.5).astype(np.uint8)
        below = np.empty_like(level)
        for i, place in enumerate(places):
            rng = np.random.default_rng((*self._seed, place))
            rng.random(dtype=np.float32, out=below[i])
        return (below < level).astype(np.uint8)
