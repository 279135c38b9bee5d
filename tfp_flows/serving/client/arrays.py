"""What a user gives becomes what goes over the wire, or is refused here."""

from typing import Any

import numpy as np

# Of inputs whose dtype does not follow from what is given.
_DTYPES = {
    "seed": np.int64,
    "known": np.int32,
    "label": np.int32,
    "temperature": np.float32,
    "z": np.float32,
}


def to_array(name: str, value: Any) -> np.ndarray:
    """Returns rows of an input in a dtype that models take.

    Real numbers become float32, whole ones int32; contexts are real unless they are an
    int32 array already. What is larger than int32 holds becomes its largest number,
    which is in no model's range, as a larger real becomes infinite: such rows come
    back as not valid.

    Args:
      name: of the input.
      value: `[N, ...]`, numbers.

    Raises:
      ValueError: for what holds no rows of numbers, or fractions where an input takes
        whole numbers.

    Examples:
      >>> to_array("x", [[0, 300]]).dtype, to_array("x", [[0.5]]).dtype
      (dtype('int32'), dtype('float32'))
    """
    if np.ma.isMaskedArray(value):
        raise ValueError(
            f"{name} is a masked array, whose gaps would be sent as numbers. Fill "
            "them, or leave such rows out."
        )
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of unequal lengths
        raise ValueError(f"{name} is no array [N, ...]: {error}") from error
    if array.dtype.kind not in "buif":
        raise ValueError(
            f"{name} must hold real numbers, got {array.dtype}. Give an array [N, ...] "
            "of numbers."
        )
    if not array.ndim:
        raise ValueError(f"{name} needs rows, [N, ...], got the number {value!r}.")
    dtype = np.dtype(_DTYPES.get(name, _natural(name, array.dtype)))
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(dtype)
    return _whole(name, array, dtype)


def _natural(name, dtype):
    if name == "context":
        return np.int32 if dtype == np.int32 else np.float32
    return np.float32 if dtype.kind == "f" else np.int32


def _whole(name, array, dtype):
    """Casts to whole numbers: NumPy would cut fractions off, and wrap around."""
    if array.dtype.kind == "f":
        bad = array[array != np.floor(array)]  # NaN, too
        if bad.size:
            raise ValueError(
                f"{name} takes whole numbers, got {bad[0]:g}. Round them, or look "
                "whether another input was meant."
            )
    limits = np.iinfo(dtype)
    low, high = array < limits.min, array > limits.max
    if array.dtype.kind == "f":  # which may hold no number between this and the next
        high = array >= float(limits.max) + 1.0
    if dtype == np.int64 and (low.any() or high.any()):
        raise ValueError(f"{name} takes integers of 64 bits, got {array.max()}.")
    with np.errstate(invalid="ignore"):
        whole = array.astype(dtype)
    return np.where(low, limits.min, np.where(high, limits.max, whole)).astype(dtype)


def for_all(name: str, value: Any, n: int) -> Any:
    """Repeats one label or temperature for all rows; others have a row for each."""
    is_one = name in ("label", "temperature") and not np.ndim(value)
    return np.full([n], value) if is_one else value


def finite_rows(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Which rows hold finite numbers only: JSON has no others, nor a model use."""
    count = len(next(iter(arrays.values())))
    good = np.ones(count, np.bool_)
    for value in arrays.values():
        good &= np.isfinite(value).reshape(count, -1).all(axis=1)
    return good


def filled(value: np.ndarray, good: np.ndarray, number: float) -> np.ndarray:
    """Puts a number of the same dtype into all rows that are not good."""
    rows = good.reshape([-1] + [1] * (value.ndim - 1))
    return np.where(rows, value, np.array(number).astype(value.dtype))
