"""Values of any type as they come: arrays of them, and those that are missing."""

import math
from typing import Any

import numpy as np


def as_array(values: Any, name: Any) -> np.ndarray:
    """Returns values `[N]` as an array; those of several types as objects.

    Args:
      values: a list, an array or a series; masked values are missing.
      name: of the column, for the message.

    Raises:
      ValueError: for a single value, or one that has several axes.
    """
    if hasattr(values, "to_numpy"):  # a series of pandas
        values = values.to_numpy()
    elif isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values)
        values = values.data.astype(object)
        values[mask] = None
    elif hasattr(values, "__array__") and not isinstance(values, np.generic):
        values = np.asarray(values)
    else:
        values = _array_of(name, values)
    if values.ndim != 1:
        raise ValueError(
            f"Column {name!r} has the shape {values.shape}, wanted one value a row. "
            "Give it as several columns."
        )
    return values


def _array_of(name, values):
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise ValueError(
            f"Column {name!r} is {values!r}, wanted a list or array of values, one a "
            f"row. Give [{values!r}] for a table of one row."
        )
    values = list(values)
    if values and all(isinstance(v, (bool, np.bool_)) for v in values):
        return np.array(values, bool)
    if values and all(isinstance(v, (int, float, np.number)) for v in values):
        found = np.array(values)
        # Whole numbers beyond 64 bits would stay Python's.
        return found.astype(np.float64) if found.dtype == object else found
    found = np.empty(len(values), object)
    found[:] = values
    return found


def is_missing(value: Any) -> bool:
    """Returns whether a value stands for one that is not there: None, NaN, NA, NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    return isinstance(value, (float, np.floating)) and math.isnan(value)


def plain(value: Any) -> Any:
    """Returns Python's own number or text in place of NumPy's; 1.0 is 1.

    Args:
      value: one of a column.

    Examples:
      >>> plain(np.float32(2.0)), plain(np.str_("a"))
      (2, 'a')
    """
    value = value.item() if isinstance(value, np.generic) else value
    is_whole = isinstance(value, float) and value.is_integer()  # as beside NaN
    return int(value) if is_whole else value
