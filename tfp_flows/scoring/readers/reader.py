"""What a format has to do."""

import abc
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfp_flows.scoring.blocks import Invalid, Raw


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of a file that one worker reads.

    Attributes:
      path: of the file.
      format: name of its `Reader`.
      part: number of the part, from 0.
      start: position of its first row in the file.
    """

    path: str
    format: str
    part: int = 0
    start: int = 0


class Reader(abc.ABC):
    """Reads files of one format, block by block: no file has to fit in memory."""

    @abc.abstractmethod
    def widths(self, path: str) -> dict[str, int | None]:
        """Returns the columns of a file, with how many numbers each holds.

        Args:
          path: of a file.

        Returns:
          Name -> numbers a row, None where only the rows tell.

        Raises:
          ValueError: if the file is none of the format.
        """

    def pieces(self, path: str, size: int) -> list[Piece]:
        """Returns the parts in which a file is read; the whole file by default.

        Args:
          path: of a file.
          size: rows of a block.
        """
        return [Piece(path, type(self).__name__.lower())]

    @abc.abstractmethod
    def read(
        self, piece: Piece, size: int, numbers: Sequence[str], key: str | None
    ) -> Iterator[Raw | Invalid]:
        """Yields the rows of a part in order, and what is no row.

        Args:
          piece: the part.
          size: rows of a block, at most.
          numbers: columns of inputs.
          key: column of the key, whose text is kept as it is, or None.
        """


def objects(values: Sequence[Any]) -> np.ndarray:
    """Returns an array `[n]` of anything, also of lists of equal length."""
    result = np.empty(len(values), object)
    for i, value in enumerate(values):
        result[i] = value
    return result
