"""What each column of a table is, by a few rules that are said aloud."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_flows.tables.column import LARGEST_INTEGER, Column
from tfp_flows.tables.columns import Columns, column_of, named_arrays
from tfp_flows.tables.values import as_array, is_missing

_RATIO = 20.0  # largest over smallest value: above, logarithms say more
_SMALL = 20  # integers of fewer values may be codes: said, not decided


def infer(table: Any, kinds: Mapping[str, Any] | None = None) -> Columns:
    """Finds out what each column of a table is; `print` the result and look.

    - True and False, or 0 and 1 alone: boolean
    - text, and pandas' categories: category
    - numbers that are all whole: integer; from 0 on, if none is negative
    - numbers above 0, the largest over 20 times the smallest: positive
    - other numbers: real

    Nothing is taken for bounded or periodic by itself; name such columns in `kinds`.

    Args:
      table: a DataFrame, a dict of arrays, a structured array or a 2-d array, whose
        columns are x0, x1, ...; None and NaN are missing.
      kinds: name -> kind for columns of which you know better, as `Columns.of` takes
        them. `"bounded"` without ends takes those of the data, widened by what one
        more row may add; `"category"` without values those of the data.

    Raises:
      ValueError: for a kind of a column that is not there, a column without any value,
        or one of a type that is none of these, such as dates.

    Examples:
      >>> table = {"age": [31, 40, None], "city": ["Rome", "Oslo", "Rome"]}
      >>> infer(table)
      age   integer   whole numbers from 0 (all are whole; 2 values, so name ...
      city  category  one of 'Oslo', 'Rome' (text)
    """
    arrays, kinds = named_arrays(table), dict(kinds or {})
    unknown = [name for name in kinds if name not in arrays]
    if unknown:
        raise ValueError(
            f"kinds names the columns {unknown}, and the table has {list(arrays)}. "
            "Name columns of the table."
        )
    found = []
    for name, values in arrays.items():
        present = _present(name, values)
        if name in kinds:
            found.append(_given(name, kinds[name], values, present))
        else:
            found.append(_found(name, values, present))
    return Columns(found)


def _present(name, values):
    """Returns the values that are there; numbers as such, others as a list."""
    values = as_array(values, name)
    if values.dtype.kind in "mM":
        raise _of_no_kind(name, "dates or times")
    if values.dtype.kind == "f":
        values = values[~np.isnan(values)]
    elif values.dtype.kind not in "iub":
        values = as_array([v for v in values.tolist() if not is_missing(v)], name)
    if not len(values):
        raise ValueError(f"Column {name!r} has no value in any row. Drop it.")
    return values


def _given(name, kind, values, present):
    if kind == "bounded":
        present = Column(name, "real").encode(values)  # refuses what is no number
        present = present[~np.isnan(present)]
        low, high = float(np.min(present)), float(np.max(present))
        if low == high:
            raise ValueError(
                f"Column {name!r} holds {low:g} alone, from which no ends can be "
                'told. Give them: ("bounded", low, high).'
            )
        margin = (high - low) / len(present)
        return Column(name, kind, low - margin, high + margin, why="ends of the data")
    if kind == "category":
        return Column(name, kind, values=_distinct(present), why="values of the data")
    return column_of(name, kind)


def _found(name, values, present):
    categories = getattr(getattr(values, "dtype", None), "categories", None)
    if categories is not None:
        return Column(name, "category", values=list(categories), why="a categorical")
    if present.dtype.kind == "b":
        return Column(name, "boolean", why="True and False")
    if present.dtype.kind in "iuf":
        return _numbers(name, present)
    if all(isinstance(v, str) for v in present):
        why = "text, of which most are numbers" if _mostly_numbers(present) else "text"
        return Column(name, "category", values=_distinct(present), why=why)
    raise _of_no_kind(name, ", ".join(sorted({type(v).__name__ for v in present})))


def _of_no_kind(name, held):
    return ValueError(
        f"Column {name!r} holds {held}, which is neither numbers, text nor booleans "
        "alone. Turn it into one of these (dates into days since one), or drop it; of "
        "text beside numbers, name its kind."
    )


def _numbers(name, x):
    x = x.astype(np.float64)
    finite = x[np.isfinite(x)]
    distinct = len(np.unique(finite))
    if len(finite) and np.isin(finite, (0.0, 1.0)).all():
        return Column(name, "boolean", why="0 and 1 alone")
    is_whole = bool((finite == np.floor(finite)).all())
    if is_whole and np.abs(finite).max(initial=0) <= LARGEST_INTEGER:
        low = 0 if finite.min(initial=0) >= 0 else None
        why = "all are whole"
        if distinct < _SMALL:
            why += f"; {distinct} values, so name it a category if they are codes"
        return Column(name, "integer", low=low, why=why)
    if finite.min(initial=np.inf) > 0 and finite.max() > _RATIO * finite.min():
        why = f"above 0, up to {finite.max() / finite.min():.3g} times the smallest"
        return Column(name, "positive", why=why)
    why = "whole, and beyond 2**24: too large for integers" if is_whole else "numbers"
    return Column(name, "real", why=why)


def _mostly_numbers(texts):
    """Such as 1,5 in place of 1.5, or a ? for what is missing."""

    def is_number(text):
        try:
            return math.isfinite(float(text.replace(",", "")))
        except ValueError:
            return False

    return sum(map(is_number, texts)) > len(texts) / 2


def _distinct(present):
    """Returns the values in order, of Python's own types."""
    return sorted(set(present.tolist()), key=lambda v: (type(v).__name__, v))
