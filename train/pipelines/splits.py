"""The three parts of a data set, in arrays, and how they become batches."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from train.pipelines import images, processes, tables, tones


@dataclasses.dataclass(frozen=True)
class Part:
    """Events `[N, *event_shape]` and, for a conditional flow, contexts `[N, C]`."""

    x: np.ndarray
    context: np.ndarray | None = None

    def __len__(self):
        return len(self.x)

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """Returns batches of x, or of (context, x), in the order they are stored.

        Args:
          batch_size: examples a batch; the last one may be smaller.
        """
        data = tf.data.Dataset.from_tensor_slices(self._parts())
        return data.batch(batch_size).prefetch(2)

    def shuffled_epochs(
        self, batch_size: int, seed: int, first: int, last: int, flip: bool = False
    ) -> tf.data.Dataset:
        """Returns the batches of the epochs first .. last - 1, one after the other.

        The order in an epoch, and which images are mirrored, are functions of the seed
        and its number, so that a run which continues sees what it would have seen.

        Args:
          batch_size: examples a batch; the last one of an epoch may be smaller.
          seed: of the order.
          first: epoch to begin with.
          last: epoch to end before.
          flip: whether to mirror half of the images, left to right.
        """
        count = len(self.x)

        def one_epoch(epoch):
            pair = tf.stack([tf.cast(seed, tf.int64), epoch])
            order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=pair)
            mirrored = tf.random.stateless_uniform([count], seed=pair) < 0.5
            rows = tf.data.Dataset.from_tensor_slices((order, mirrored))
            return rows.batch(batch_size).map(
                lambda row, mirror: self._at(row, mirror if flip else None)
            )

        return tf.data.Dataset.range(first, last).flat_map(one_epoch).prefetch(2)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Number of batches of one epoch."""
        return -(-len(self.x) // batch_size)

    def _parts(self):
        return self.x if self.context is None else (self.context, self.x)

    def _at(self, rows, mirrored):
        x = tf.gather(self.x, rows)
        if mirrored is not None:
            x = tf.where(mirrored[:, None, None, None], tf.reverse(x, [2]), x)
        return x if self.context is None else (tf.gather(self.context, rows), x)


@dataclasses.dataclass(frozen=True)
class Splits:
    """A data set in three parts.

    Args:
      train: to fit.
      valid: to stop and to choose.
      test: to report.
      num_values: number of integer values, None for real numbers.
      process: that the data were drawn from, with its `entropy_rate` and `log_prob`;
        None if unknown.
      audio: for sound in mu-law codes, what is known of it; otherwise None.
    """

    train: Part
    valid: Part
    test: Part
    num_values: int | None = None
    process: Any = None
    audio: tones.Audio | None = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one event."""
        return self.train.x.shape[1:]

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        """Shape of one context, or None."""
        context = self.train.context
        return None if context is None else context.shape[1:]


# Name of a data set -> function of `config.data`. It returns (x, context or None) of
# the three parts, and what else is known by its name in `Splits`. All other names are
# those of images.
SOURCES: dict[str, Callable[[Any], tuple]] = {
    "ar_process": processes.ar_process,
    "csv": tables.csv,
    "npy": tables.npy,
    "tones": tones.load,
    "two_moons": tables.two_moons,
}


def load(config: Any, workdir: Any) -> Splits:
    """Loads the data that `config.data` names.

    Args:
      config: `name` ("digits", any TFDS image data set, or one of `SOURCES`),
        `data_dir` or `path`, `num_values` of 8-bit images and of sound, `binarize` and
        `flip` of images, `num_valid`, `num_test`, `context`, `seed`.
      workdir: where the digits are prepared when `data_dir` is empty.

    Returns:
      `Splits` of checked, non-empty parts.

    Raises:
      ValueError: if the data cannot be found or do not fit.
    """
    if config.name in SOURCES:
        parts, facts = SOURCES[config.name](config)
    else:
        parts, facts = images.load(config, workdir)
    if facts.get("num_values") is None:
        _refuse_integer_options(config)
    train, valid, test = parts
    for name, (x, _) in (("train", train), ("valid", valid), ("test", test)):
        if len(x) == 0:
            raise ValueError(
                f"The {name} part of {config.name!r} is empty. Give more data, or "
                "lower config.data.num_valid and config.data.num_test."
            )
    if config.flip and train[0].ndim != 4:
        raise ValueError(
            f"config.data.flip mirrors images, but {config.name!r} holds events of "
            f"shape {train[0].shape[1:]}. Set it to False."
        )
    return Splits(Part(*train), Part(*valid), Part(*test), **facts)


def _refuse_integer_options(config):
    if config.num_values:
        raise ValueError(
            f"config.data.num_values is {config.num_values}, but {config.name!r} "
            "holds real numbers. Set it to 0; it is for images of 8 bits."
        )
    if config.binarize:
        raise ValueError(
            f"config.data.binarize is {config.binarize!r}, but {config.name!r} holds "
            "real numbers. Set it to ''; it is for images."
        )
