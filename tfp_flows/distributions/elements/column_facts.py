"""What is known of a table's columns, as arrays to compute with."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.tables import Column

LINE = ("real", "bounded", "positive", "integer")  # kinds that are on a line


def on_line(column: Column, x: np.ndarray) -> np.ndarray:
    """Returns where values of a column stand on the unbounded line."""
    if column.kind == "positive":
        return np.log(x)
    if column.kind == "bounded":
        return np.log(x - column.low) - np.log(column.high - x)
    return x


def facts(columns: Sequence[Column], kind: Any) -> dict[str, np.ndarray]:
    """Returns what `MixedColumns` computes with, arrays `[D]` by name.

    Args:
      columns: of the table.
      kind: NumPy's type of the units.
    """
    kinds = {
        f"is_{name}": np.array([c.kind == name for c in columns])
        for name in ("positive", "bounded", "integer", "periodic")
    }
    kinds["is_line"] = np.array([c.kind in LINE for c in columns])
    kinds["is_code"] = np.array([c.num_values > 0 for c in columns])
    numbers = {
        name: np.array([_ends(c, kind)[name] for c in columns], kind)
        for name in ("low", "high", "first", "last", "inside")
    }
    period = np.array([c.period or 1.0 for c in columns], kind)
    return kinds | numbers | {"period": period}


def _ends(column, kind):
    """Open ends, the first and last value that are possible, and one between them."""
    largest = np.finfo(kind).max
    low, high = -largest, largest
    first, last, inside = low, high, 0.0
    if column.kind == "positive":
        low, first, inside = 0.0, np.finfo(kind).tiny, 1.0
    elif column.kind == "bounded":
        low, high = kind(column.low), kind(column.high)
        first, last = np.nextafter(low, high), np.nextafter(high, low)
        inside = 0.5 * (low + high)
    elif column.kind == "periodic":
        first, last = 0.0, kind(column.period)  # the same point, if rounded up to
    elif column.kind == "integer":
        first = low if column.low is None else column.low
        last = high if column.high is None else column.high
        inside = min(max(0.0, first), last)
    elif column.num_values:
        first, last = 0.0, column.num_values - 1
        high = last
    return {"low": low, "high": high, "first": first, "last": last, "inside": inside}
