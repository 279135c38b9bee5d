"""What a data set has to be: so many rows, each to be had by its number."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

_BLOCK = 2**23  # bytes of events that are read at once when all of them are wanted


class Rows(NamedTuple):
    """Some rows of a data set.

    Attributes:
      x: events `[N, *event_shape]`.
      context: `[N, *context_shape]`, or None without contexts.
    """

    x: np.ndarray
    context: np.ndarray | None


class Source(Protocol):
    """Rows by their numbers: in memory, in files, or made when they are asked for."""

    def __len__(self) -> int:
        """Number of rows."""

    def rows(self, places: np.ndarray) -> Rows:
        """Returns rows; for no place at all still of the right shapes and dtypes.

        Args:
          places: numbers of the rows, int `[N]`, in any order.
        """


class Arrays:
    """Events that are in memory, or that an array maps into it.

    Args:
      x: `[N, *event_shape]`.
      context: `[N, *context_shape]`, or None.
    """

    def __init__(self, x: np.ndarray, context: np.ndarray | None = None):
        self._x, self._context = x, context

    def __len__(self):
        return len(self._x)

    def rows(self, places: np.ndarray) -> Rows:
        """Returns a copy of these rows."""
        context = None if self._context is None else self._context[places]
        return Rows(self._x[places], context)


class Chosen:
    """Some rows of another source, in an order of their own.

    Args:
      source: of the rows.
      places: their numbers there; 8 bytes a row.
    """

    def __init__(self, source: Source, places: np.ndarray):
        self._source, self._places = source, places

    def __len__(self):
        return len(self._places)

    def rows(self, places: np.ndarray) -> Rows:
        """Returns the rows at these places of the choice."""
        return self._source.rows(self._places[places])


def blocks(source: Source) -> Iterator[np.ndarray]:
    """Yields the numbers of all rows in order, as many at a time as may be in memory.

    Args:
      source: to be read block by block.
    """
    x, _ = source.rows(np.arange(0))
    row = max(1, int(np.prod(x.shape[1:])) * x.itemsize)
    size = max(1, _BLOCK // row)
    for start in range(0, len(source), size):
        yield np.arange(start, min(start + size, len(source)))


def in_memory(source: Source) -> Arrays:
    """Returns all rows of a source, read once.

    Args:
      source: to be read block by block.
    """
    nothing = source.rows(np.arange(0))
    x = np.empty((len(source), *nothing.x.shape[1:]), nothing.x.dtype)
    context = None
    if nothing.context is not None:
        shape = nothing.context.shape[1:]
        context = np.empty((len(source), *shape), nothing.context.dtype)
    for places in blocks(source):
        rows = source.rows(places)
        x[places] = rows.x
        if context is not None:
            context[places] = rows.context
    return Arrays(x, context)
