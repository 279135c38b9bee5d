"""What goes through a job: blocks of rows, never single rows.

An engine spends tens of microseconds on each element that it hands on, a model less
than that on a row. So an element is a block of some thousand rows of one file, column
by column, and goes to the model as one batch.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Raw:
    """Rows as a file holds them.

    Attributes:
      path: of the file.
      positions: int64 `[n]`, where the rows are in the file, the first is 0.
      columns: name -> `[n, ...]`, numbers, or `[n]` objects: what a row holds, None for
        nothing, bytes for an encoded image.
    """

    path: str
    positions: np.ndarray
    columns: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows as the model takes them.

    Attributes:
      names: `[n]`, where each row comes from, such as "rows/a.csv:17".
      keys: `[n]`, what tells the rows apart in the output: strings, or numbers.
      inputs: name of the signature -> `[m, ...]`, m >= n; rows from n on fill the batch
        and are not asked for.
    """

    names: np.ndarray
    keys: np.ndarray
    inputs: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Invalid:
    """A row that is no input of the model, or that the model has no number for.

    Attributes:
      row: where it comes from, such as "rows/a.csv:17".
      reason: what is wrong with it, for the one who has to mend it.
      key: its key, None if that cannot be read.
    """

    row: str
    reason: str
    key: str | int | None = None


def name_of(path: str, position: int) -> str:
    """Returns how a row of a file is called.

    Examples:
      >>> name_of("rows/a.csv", 17)
      'rows/a.csv:17'
    """
    return f"{path}:{position}"
