"""One column of a table: its kind, and how its values become numbers and back."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.tables.values import as_array, is_missing, plain

# Kind -> what `Column` takes for it, and what its values are.
KINDS = {
    "real": ((), "any numbers"),
    "bounded": (("low", "high"), "numbers between low and high, the ends left out"),
    "positive": ((), "numbers above 0"),
    "periodic": (("period",), "numbers that begin again after a period"),
    "integer": (("low", "high"), "whole numbers, from low to high if these are given"),
    "category": (("values",), "one of a few values, without an order"),
    "boolean": ((), "True or False"),
}
_NEEDED = {"bounded": ("low", "high"), "periodic": ("period",), "category": ("values",)}
_MOST_VALUES = 256
LARGEST_INTEGER = 2**24  # all whole numbers up to here are float32


@dataclasses.dataclass(frozen=True)
class Column:
    """What a column holds.

    Numbers are kept in their unit; a category is the place of its value among `values`,
    a boolean 0 or 1; what is missing (None, NaN) is NaN.

    Args:
      name: of the column.
      kind: one of `KINDS`.
      low: lower end of a bounded column, left out; of an integer one, included.
      high: upper end, likewise.
      period: of a periodic column, whose values are taken into [0, period).
      values: of a category: text, numbers or booleans, at most 256.
      why: why it was taken for this, for people.

    Raises:
      ValueError: for an unknown kind, or ends, period or values that it needs or
        cannot use.

    Examples:
      >>> column = Column("size", "category", values=("S", "M", "L"))
      >>> print(column.encode(["M", None, "S"]))
      [ 1. nan  0.]
      >>> column.decode(np.array([2.0, np.nan]))
      array(['L', None], dtype=object)
    """

    name: str
    kind: str
    low: float | None = None
    high: float | None = None
    period: float | None = None
    values: Sequence[Any] | None = None
    why: str = "given"

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(
                f"Column {self.name!r} has the unknown kind {self.kind!r}. Choose from "
                f"{', '.join(KINDS)}."
            )
        object.__setattr__(self, "name", plain(self.name))
        if not isinstance(self.name, (str, int)):
            raise ValueError(
                f"A column's name is text or a whole number, got {self.name!r}. Give "
                "it such a name; join the levels of a frame that has several."
            )
        self._check_options()
        self._check_numbers()
        if self.values is not None:
            object.__setattr__(self, "values", _checked_values(self))

    def _check_options(self):
        for option in ("low", "high", "period", "values"):
            given = getattr(self, option) is not None
            if given and option not in KINDS[self.kind][0]:
                raise ValueError(
                    f"Column {self.name!r} is {self.kind} and cannot use {option}. "
                    "Drop it."
                )
            if not given and option in _NEEDED.get(self.kind, ()):
                raise ValueError(
                    f"Column {self.name!r} is {self.kind} and needs {option}. Give it, "
                    "or have tables.infer find it in the data."
                )

    def _check_numbers(self):
        ends = [v for v in (self.low, self.high) if v is not None]
        numbers = [v for v in (*ends, self.period) if v is not None]
        good = all(_is_number(v) and math.isfinite(v) for v in numbers)
        good = good and (len(ends) < 2 or ends[0] < ends[1])
        good = good and (self.period is None or self.period > 0)
        if good and self.kind == "integer":
            good = all(v == int(v) and abs(v) <= LARGEST_INTEGER for v in ends)
        if not good:
            raise ValueError(
                f"Column {self.name!r} is {self.kind} and needs finite numbers, low "
                "below high, whole ones up to 2**24 for integers, and a positive "
                f"period; got low={self.low!r}, high={self.high!r}, "
                f"period={self.period!r}."
            )

    @property
    def num_values(self) -> int:
        """Number of values of a category or boolean; 0 for numbers."""
        if self.kind == "boolean":
            return 2
        return 0 if self.values is None else len(self.values)

    @property
    def is_discrete(self) -> bool:
        """Whether values have probabilities, rather than densities."""
        return self.kind in ("integer", "category", "boolean")

    def encode(self, values: Any) -> np.ndarray:
        """Returns the numbers of values, float64 `[N]`, NaN where one is missing.

        Args:
          values: `[N]`, a list or array of any type.

        Raises:
          ValueError: for the first value that the column cannot hold, by its row, or
            for what is no column of values.
        """
        values = as_array(values, self.name)
        codes = self._codes() if self.num_values else None
        if values.dtype.kind in "iufb" and codes is None:
            return self._checked(values.astype(np.float64))
        encoded = np.full(len(values), np.nan)
        for row, value in enumerate(values):
            if is_missing(value):
                continue
            if codes is None:
                encoded[row] = self._number(value, row)
            else:
                encoded[row] = self._code(codes, value, row)
        return self._checked(encoded) if codes is None else encoded

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        """Returns values of the kind, `[N]`: None or NaN where one is missing.

        Args:
          numbers: `[N]`, as from `encode`.

        Raises:
          ValueError: for a number that stands for no value.
        """
        numbers = np.asarray(numbers, np.float64)
        gone = np.isnan(numbers)
        if not self.is_discrete:
            return numbers
        low, high = self._ends()
        self._refuse(numbers, (numbers < low) | (numbers > high))
        whole = np.rint(np.where(gone, 0.0, numbers)).astype(np.int64)
        if self.kind == "integer":
            return np.where(gone, np.nan, whole) if gone.any() else whole
        if self.kind == "boolean" and not gone.any():
            return whole.astype(bool)
        values = (False, True) if self.values is None else self.values
        decoded = np.empty(len(numbers), object)
        decoded[:] = [
            None if g else values[i] for g, i in zip(gone, whole, strict=True)
        ]
        return decoded

    def _codes(self):
        if self.values is None:
            return {False: 0, True: 1}
        return {value: code for code, value in enumerate(self.values)}

    def _code(self, codes, value, row):
        try:
            return codes[plain(value)]
        except (KeyError, TypeError):
            known = "True and False" if self.values is None else _listed(self.values)
            raise ValueError(
                f"Column {self.name!r}, row {row}: {plain(value)!r} is none of its "
                f"values {known}. Mend the row, make it None if it is not known, or "
                "name all values when the columns are made."
            ) from None

    def _number(self, value, row):
        try:
            if isinstance(value, (str, bytes)):
                raise TypeError
            return float(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"Column {self.name!r} is {self.kind}, and row {row} holds {value!r}, "
                "which is no number. Mend the row, make it None if it is not known, or "
                "take the column for a category."
            ) from None

    def _checked(self, x):
        """Refuses numbers that the kind has not; NaN passes."""
        low, high = self._ends()
        bad = np.isinf(x)
        if self.kind == "integer":
            bad |= (x != np.floor(x)) & ~np.isnan(x) | (x < low) | (x > high)
        elif self.kind != "periodic":
            bad |= (x <= low) | (x >= high)
        self._refuse(x, bad)
        if self.period is None:
            return x
        x = np.mod(x, self.period)
        return np.where(x < self.period, x, 0.0 * x)  # -1e-20 is rounded up to it

    def _refuse(self, x, bad):
        if not bad.any():
            return
        row = int(np.argmax(bad))
        is_large = self.kind == "integer" and abs(x[row]) > LARGEST_INTEGER
        raise ValueError(
            f"Column {self.name!r} takes {self.wanted}"
            f"{', none of them beyond 2**24' if is_large else ''}, and row {row} holds "
            f"{x[row]:.10g}; of {len(x)} rows {int(bad.sum())} do not fit. Mend them, "
            "or give the column another kind or other ends."
        )

    def _ends(self):
        """The least and the largest number; left out unless whole ones are meant."""
        if self.num_values:
            return 0, self.num_values - 1
        if self.kind == "positive":
            return 0.0, np.inf
        most = LARGEST_INTEGER if self.kind == "integer" else np.inf
        low, high = self.low, self.high
        return (-most if low is None else low), (most if high is None else high)

    @property
    def wanted(self) -> str:
        """What its values are, in words."""
        if self.kind == "bounded":
            return (
                f"numbers between {self.low:.10g} and {self.high:.10g}, ends left out"
            )
        if self.kind == "periodic":
            return f"numbers with the period {self.period:g}"
        if self.kind == "category":
            return f"one of {_listed(self.values)}"
        if self.kind == "integer":
            low = "" if self.low is None else f" from {self.low:.0f}"
            high = "" if self.high is None else f" to {self.high:.0f}"
            return f"whole numbers{low}{high}"
        return KINDS[self.kind][1]

    def as_dict(self) -> dict[str, Any]:
        """Returns what JSON can hold; `Column(**column.as_dict())` is the same."""
        found = dataclasses.asdict(self)
        found["values"] = None if self.values is None else list(self.values)
        return {name: value for name, value in found.items() if value is not None}


def _is_number(value):
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    return is_number and not isinstance(value, bool)


def _checked_values(column):
    """A category's values, of Python's own types; what is none is refused."""
    name, values = column.name, column.values
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise ValueError(
            f"Column {name!r} has the values {values!r}. Give a list of them."
        )
    values = tuple(map(plain, values))
    wrong = [v for v in values if not isinstance(v, (str, int, float))]
    wrong += [v for v in values if isinstance(v, float) and not math.isfinite(v)]
    if wrong:
        raise ValueError(
            f"Column {name!r} has the values {_listed(wrong)}, and those of a category "
            "are text, finite numbers or booleans. Drop what is missing, and make "
            "others text: str(v) of intervals and dates, v.decode() of bytes."
        )
    distinct = len(set(values))
    if not 1 <= distinct == len(values) <= _MOST_VALUES:
        raise ValueError(
            f"Column {name!r} needs 1 to {_MOST_VALUES} different values, got "
            f"{len(values)}, {distinct} of them different. Put rare ones together "
            "under one name, or drop the column."
        )
    return values


def _listed(values):
    shown = ", ".join(repr(v) for v in values[:8])
    return shown + (f" ... ({len(values)})" if len(values) > 8 else "")
