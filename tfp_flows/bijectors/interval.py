"""Where single features lie: intervals, half-lines, circles, and how to write them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

_HOW = (
    '"real", "positive", (low, high) with None for an end that there is not, or '
    '("periodic", low, high)'
)


class Interval(NamedTuple):
    """An open interval of the real line, or a circle.

    Attributes:
      low: lower end, -inf if there is none.
      high: upper end, inf if there is none.
      is_periodic: whether low and high are the same point of a circle.
    """

    low: float = -math.inf
    high: float = math.inf
    is_periodic: bool = False

    def __str__(self):
        """Returns it in words, such as "above 0"."""
        if self.is_periodic:
            return f"on the circle from {self.low:.6g} to {self.high:.6g}"
        if self.low == -math.inf:
            return "finite" if self.high == math.inf else f"below {self.high:.6g}"
        if self.high == math.inf:
            return f"above {self.low:.6g}"
        return f"between {self.low:.6g} and {self.high:.6g}, without these ends"


def intervals_of(support: Any, size: int, owner: str) -> list[Interval]:
    """Returns the interval of each feature.

    Args:
      support: one for all features, or a sequence or array with one for each: "real",
        "positive", a pair (low, high) with None or an infinity for an end that there is
        not, or ("periodic", low, high).
      size: number of features.
      owner: for messages.

    Raises:
      ValueError: for another spelling, another number of features, or ends that are
        not in order.

    Examples:
      >>> [str(i) for i in intervals_of(["positive", (None, 3.0)], 2, "doc")]
      ['above 0', 'below 3']
    """
    support = _as_lists(support)
    if _is_one(support):
        return [_interval(support, owner)] * size
    if isinstance(support, str) or not isinstance(support, Sequence):
        return [_interval(support, owner)]  # which says what is wrong with it
    if len(support) != size:
        raise ValueError(
            f"{owner} has {size} features and got a support of {len(support)}: "
            f"{support!r}. Give one for each feature, or one for all: {_HOW}."
        )
    return [_interval(part, owner) for part in support]


def check_in(dtype: Any, intervals: Sequence[Interval]) -> None:
    """Refuses intervals whose ends a dtype cannot hold, or with nothing between them.

    Args:
      dtype: of NumPy, of the events.
      intervals: of each feature.

    Raises:
      ValueError: naming the feature and what to do.
    """
    for column, interval in enumerate(intervals):
        if not _fits(np.dtype(dtype), *interval[:2]):
            raise ValueError(
                f"The support of feature {column}, {interval.low!r} to "
                f"{interval.high!r}, has ends that {np.dtype(dtype).name} cannot hold "
                "or tell apart. Use x - low, or another unit, or take "
                "dtype='float64' if that is not it already."
            )


def _fits(dtype, low, high):
    """Whether both ends are numbers of the dtype, and others lie between them."""
    given = [end for end in (low, high) if math.isfinite(end)]
    with np.errstate(over="ignore"):
        ends = np.array(given, dtype)
        if len(ends) < 2:
            return bool(np.isfinite(ends).all())
        width = ends[1] - ends[0]
        inner = np.nextafter(ends, ends[::-1])
    # Below tiny, TensorFlow takes numbers for 0.
    return bool(4 * np.finfo(dtype).tiny < width < np.inf and inner[0] < inner[1])


def _as_lists(support):
    """The support with lists in place of NumPy's arrays."""
    if isinstance(support, np.ndarray):
        return support.tolist()
    if not isinstance(support, (list, tuple)):
        return support
    parts = [p.tolist() if isinstance(p, np.ndarray) else p for p in support]
    return tuple(parts) if isinstance(support, tuple) else parts


def _is_one(support):
    """Whether it is the support of one feature, not a sequence with one for each."""
    if isinstance(support, str):
        return support in ("real", "positive")
    if not isinstance(support, Sequence) or not support:
        return False
    first, *rest = support
    is_ends = all(_is_end(part) for part in rest)
    if isinstance(first, str) and first == "periodic":
        return len(rest) == 2 and is_ends
    return len(rest) == 1 and is_ends and _is_end(first)


def _is_end(part):
    is_number = isinstance(part, (int, float, np.number)) and not isinstance(part, bool)
    return part is None or is_number


def _interval(part, owner):
    if not _is_one(part):
        raise ValueError(
            f"{owner} cannot read the support {part!r} of a feature. Give {_HOW}; "
            'that of whole rows is "simplex".'
        )
    if isinstance(part, str):
        return Interval(0.0) if part == "positive" else Interval()
    is_periodic = part[0] == "periodic"
    low, high = part[-2:]
    low = -math.inf if low is None else float(low)
    high = math.inf if high is None else float(high)
    if not low < high or (is_periodic and not math.isfinite(high - low)):
        raise ValueError(
            f"{owner} needs a lower end below the upper one, and both of a circle, got "
            f"the support {part!r}. Give them as (low, high)."
        )
    return Interval(low, high, is_periodic)
