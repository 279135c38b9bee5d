"""Where blocks come from: files that are cut and read, or the numbers of samples."""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np

from tfp_flows.scoring import readers
from tfp_flows.scoring.blocks import Block, Invalid, Raw, name_of
from tfp_flows.scoring.rows import Rows

INVALID = "invalid"  # tag of the output of bad rows


class Files(beam.PTransform):
    """Reads files.

    Args:
      files: pairs of path and format.
      rows: how rows of files become inputs.
      size: rows of a block, at most.
    """

    def __init__(self, files: Iterable[tuple[str, str]], rows: Rows, size: int):
        super().__init__()
        self._files = list(files)
        self._rows = rows
        self._size = size

    def expand(self, begin: Any):
        """Returns blocks, bad files and bad rows."""
        files = begin | beam.Create(self._files)
        cut = files | "Cut" >> _with_invalid(Cut(self._size))
        # Pieces are shared among workers anew, whoever found them.
        pieces = cut.good | beam.Reshuffle()
        read = pieces | "Read" >> _with_invalid(Read(self._rows, self._size))
        return read.good, cut[INVALID], read[INVALID]


def _with_invalid(function):
    return beam.ParDo(function).with_outputs(INVALID, main="good")


class Draws(beam.PTransform):
    """Makes the inputs of samples.

    Args:
      count: samples.
      seed: of all of them.
      temperature: of all of them.
      size: rows of a block.
    """

    def __init__(self, count: int, seed: int, temperature: float, size: int):
        super().__init__()
        self._count = count
        self._seed = seed
        self._temperature = temperature
        self._size = size

    def expand(self, begin: Any):
        """Returns blocks."""
        starts = begin | beam.Create(range(0, self._count, self._size))
        draw = beam.Map(_draw, self._count, self._seed, self._temperature, self._size)
        return (starts | beam.Reshuffle() | "Seeds" >> draw,)


def _draw(start, count, seed, temperature, size):
    # Always full, so that the last rows do not turn on how many there are.
    index = np.arange(start, start + size, dtype=np.int64)
    inputs = {
        "seed": np.stack([np.full_like(index, seed), index], axis=1),
        "temperature": np.full(size, temperature, np.float32),
    }
    keys = index[: count - start]
    return Block(keys.astype(str).astype(object), keys, inputs)


class Cut(beam.DoFn):
    """Cuts files into pieces.

    Args:
      size: rows of a block.
    """

    def __init__(self, size: int):
        self._size = size

    def process(self, element: Any):
        """Yields the pieces of one file, a pair of path and format."""
        path, format_ = element
        try:
            yield from readers.READERS[format_].pieces(path, self._size)
        except Exception as error:
            yield beam.pvalue.TaggedOutput(INVALID, _unreadable(path, 0, error))


class Read(beam.DoFn):
    """Reads pieces of files as blocks of inputs.

    Args:
      rows: how rows of files become inputs.
      size: rows of a block, at most.
    """

    def __init__(self, rows: Rows, size: int):
        self._rows = rows
        self._size = size
        self._numbers = [name for names in rows.columns.values() for name in names]

    def process(self, piece: Any):
        """Yields blocks, and bad rows with their tag."""
        for item in self._items(piece):
            block, invalid = self._rows.block(item) if _is_raw(item) else (None, [item])
            if block is not None:
                yield block
            for row in invalid:
                yield beam.pvalue.TaggedOutput(INVALID, row)

    def _items(self, piece):
        """Yields what the reader does, and one bad row where a file is damaged."""
        reader = readers.READERS[piece.format]
        position = piece.start
        try:
            for item in reader.read(piece, self._size, self._numbers, self._rows.key):
                yield item
                if _is_raw(item):
                    position = int(item.positions[-1]) + 1
        except Exception as error:
            yield _unreadable(piece.path, position, error)


def _is_raw(item):
    return isinstance(item, Raw)


def _unreadable(path, position, error):
    """Returns the bad row that stands for the rest of a damaged file.

    Raises:
      Exception: the error, if it is not about what the file holds.
    """
    if not readers.is_damage(error):
        raise error
    reason = f"the file cannot be read from here on: {error}"
    return Invalid(name_of(path, position), reason)
