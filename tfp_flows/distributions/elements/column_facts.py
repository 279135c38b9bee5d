"""What is known of a table's columns, as arrays to compute with."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.tables import LARGEST_INTEGER, Column

LINE = ("real", "bounded", "positive", "integer")  # kinds that are on a line


def on_line(column: Column, x: np.ndarray) -> np.ndarray:
    """Returns where values of a column stand on the unbounded line."""
    if column.kind == "positive":
        return np.log(x)
    if column.kind == "bounded":
        return np.log(x - column.low) - np.log(column.high - x)
    return x


def check_enough(column: Column, values: np.ndarray, count: int) -> None:
    """Refuses too few values to adapt to, and tells of what has no density.

    Args:
      column: of numbers, or of codes.
      values: `[M]`, those that are there, as a model is given them.
      count: of the rows.

    Raises:
      ValueError: for less than two numbers.

    Warns:
      UserWarning: if a column that has a density holds one value alone.
    """
    if column.kind in LINE and len(values) < 2:
        raise ValueError(
            f"Column {column.name!r} has {len(values)} values among the {count} rows "
            "to adapt to, and needs 2. Give more rows, or drop the column."
        )
    if not column.is_discrete and len(values) and (values == values[0]).all():
        warnings.warn(
            f"Column {column.name!r} is {values[0]:.10g} in all {len(values)} rows "
            "that have it, as the model's type rounds it: that has no density. Drop "
            "the column, or subtract what is large and the same in all rows.",
            stacklevel=2,
        )


def refuse(columns: Sequence[Column], x: np.ndarray, bad: np.ndarray) -> None:
    """Refuses bad values, by the first column that has one.

    Args:
      columns: of the table.
      x: `[..., D]`.
      bad: bool `[..., D]`.

    Raises:
      ValueError: if any value is bad.
    """
    for i, column in enumerate(columns):
        if bad[..., i].any():
            raise ValueError(
                f"Column {column.name!r} takes {column.wanted}, and "
                f"{x[..., i][bad[..., i]][0]:.10g} is given. Take "
                "columns.encode(table), which gives numbers that stand for these; NaN "
                "is a value that is missing."
            )


def facts(columns: Sequence[Column], kind: Any) -> dict[str, np.ndarray]:
    """Returns what `MixedColumns` computes with, arrays `[D]` by name.

    Args:
      columns: of the table.
      kind: NumPy's type of the units.

    Raises:
      ValueError: if that type cannot tell ends or a period from each other or from 0.
    """
    for column in columns:
        _check_range(column, kind)
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


def _check_range(column, kind):
    if column.kind not in ("bounded", "periodic"):
        return
    ends = (column.low or 0.0, column.high or column.period or 0.0)
    with np.errstate(all="ignore"):  # infinities are found below
        low, high = map(kind, ends)
        inside = kind(0.5) * (low + high)
        good = low < inside < high and np.isfinite(high - low)
    if not good:
        raise ValueError(
            f"Column {column.name!r} takes {column.wanted}, which "
            f"{np.dtype(kind).name} cannot hold or tell apart. Reduce them, by "
            'subtraction or division, or build the model with dtype="float64".'
        )


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
        most = min(LARGEST_INTEGER, float(largest))
        first = -most if column.low is None else column.low
        last = most if column.high is None else column.high
        inside = min(max(0.0, first), last)
    elif column.num_values:
        first, last = 0.0, column.num_values - 1
        high = last
    return {"low": low, "high": high, "first": first, "last": last, "inside": inside}
