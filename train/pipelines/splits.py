"""The three parts of a data set, by its name."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tfp_flows.tables import Columns
from train.pipelines import images, processes, tables, tones
from train.pipelines.part import Part

CACHES = ("memory", "none")


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
      columns: what the columns of a table hold, those of the context first; None if
        nobody said.
    """

    train: Part
    valid: Part
    test: Part
    num_values: int | None = None
    process: Any = None
    audio: tones.Audio | None = None
    columns: Columns | None = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one event."""
        return self.train.event_shape

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        """Shape of one context, or None."""
        return self.train.context_shape


def _table(config):
    from train.pipelines import frames  # which needs pandas

    return frames.load(config)


# Name of a data set -> function of `config.data`. It returns the `Source` of each of
# the three parts, and what else is known by its name in `Splits`. All other names are
# those of images.
SOURCES: dict[str, Callable[[Any], tuple]] = {
    "ar_process": processes.ar_process,
    "csv": tables.csv,
    "npy": tables.npy,
    "table": _table,
    "tones": tones.load,
    "two_moons": tables.two_moons,
}


def load(config: Any, workdir: Any) -> Splits:
    """Finds the data that `config.data` names, and reads what is to be in memory.

    Args:
      config: `name` ("digits", any TFDS image data set, or one of `SOURCES`),
        `data_dir` or `path`, `cache` ("memory", or "none" to read rows of files when
        they are wanted), `num_values` of 8-bit images and of sound, `binarize` and
        `flip` of images, `num_valid`, `num_test`, `context`, `seed`.
      workdir: where the digits are prepared when `data_dir` is empty.

    Returns:
      `Splits` of checked, non-empty parts.

    Raises:
      ValueError: if the data cannot be found or do not fit.
    """
    if config.cache not in CACHES:
        raise ValueError(
            "config.data.cache must be 'memory', or 'none' for data that do not fit "
            f"there, got {config.cache!r}."
        )
    if config.name in SOURCES:
        sources, facts = SOURCES[config.name](config)
    else:
        sources, facts = images.load(config, workdir)
    if facts.get("num_values") is None:
        _refuse_integer_options(config)
    train, valid, test = (Part(source) for source in sources)
    for name, part in (("train", train), ("valid", valid), ("test", test)):
        if not len(part):
            raise ValueError(
                f"The {name} part of {config.name!r} is empty. Give more data, or "
                "lower config.data.num_valid and config.data.num_test."
            )
    shape = train.event_shape
    if config.flip and len(shape) != 3:
        raise ValueError(
            f"config.data.flip mirrors images, but {config.name!r} holds events of "
            f"shape {shape}. Set it to False."
        )
    return Splits(train, valid, test, **facts)


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
