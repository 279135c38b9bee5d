"""What may hold events: dense arrays of real numbers. All else is refused by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

_KINDS = {  # by NumPy's letters
    "c": "complex numbers",
    "O": "Python objects",
    "U": "text",
    "S": "text",
    "M": "dates",
    "m": "time spans",
}
_CURES = {
    "c": "A density of them is one of their real and imaginary parts: give these as "
    "units of their own.",
    "O": 'Mend or drop what is no number, then .astype("float32"); for flows.tabular '
    "take its columns.encode(table).",
}
_NUMBERS = 'Turn them into numbers first, .astype("float32") if they are digits.'


def check(value: Any, what: str) -> None:
    """Refuses what holds no dense array of real numbers.

    Args:
      value: what came: a tensor, an array, a list.
      what: its part, "x" or "context", for the message.

    Raises:
      ValueError: for a mapping, a sparse, ragged or masked array, text, complex
        numbers, Python objects, and lists that are no array.

    Examples:
      >>> check([[1.0, 2.0]], "x")
      >>> check({"a": [1.0]}, "x")
      Traceback (most recent call last):
      ValueError: x came as a dict. A flow takes one array: put the columns beside ...
    """
    if isinstance(value, Mapping):
        raise ValueError(
            f"{what} came as a {type(value).__name__}. A flow takes one array: put the "
            "columns beside each other, np.stack([d[name] for name in names], axis=-1)"
            "; flows.tabular takes columns.encode(d)."
        )
    is_sparse = "sparse" in f"{type(value).__module__}.{type(value).__name__}".lower()
    if is_sparse or isinstance(value, tf.RaggedTensor):
        raise ValueError(
            f"{what} came as a {type(value).__name__}, and a density is one of dense "
            "arrays. Take tf.sparse.to_dense(x), x.toarray(), or pad ragged rows by "
            "x.to_tensor()."
        )
    if np.ma.is_masked(value):
        raise ValueError(
            f"{what} has masked entries, which would be read as if they were there. "
            "Drop those rows, or fill them in yourself."
        )
    kind = _kind(value, what)
    if kind in _KINDS:
        cure = _CURES.get(kind, _NUMBERS)
        raise ValueError(f"{what} holds {_KINDS[kind]}, wanted real numbers. {cure}")


def are_values(x: np.ndarray, num_values: int | None) -> np.ndarray:
    """Returns which numbers an event may hold, bool of x's shape.

    Args:
      x: numbers.
      num_values: of a model of integers, which holds whole numbers from 0 on; None for
        finite numbers.

    Examples:
      >>> are_values(np.array([0.0, 1.5, 4.0, np.inf]), 4).tolist()
      [True, False, False, False]
    """
    good = np.isfinite(x)
    if num_values is not None:
        good &= (x == np.floor(x)) & (x >= 0) & (x < num_values)
    return good


def check_temperature(temperature: Any) -> None:
    """Refuses what is no temperature, where it can be seen.

    Args:
      temperature: a number, or one for each event; nothing is said of a tensor of a
        graph.

    Raises:
      ValueError: if one is negative or not finite.

    Examples:
      >>> check_temperature(0.7)
    """
    is_tensor = tf.is_tensor(temperature)
    known = tf.get_static_value(temperature) if is_tensor else temperature
    if known is None:
        return
    values = np.ravel(np.asarray(known, np.float64))
    bad = values[~(np.isfinite(values) & (values >= 0))]
    if bad.size:
        raise ValueError(
            f"temperature must be finite and not negative, got {bad[0]:g}. Give 1 for "
            "the model itself, less for more typical events, 0 for the most typical."
        )


def check_sample_shape(sample_shape: Any) -> None:
    """Refuses what does not say how many events to draw, where it can be seen.

    Args:
      sample_shape: an integer or a shape; nothing is said of a tensor of a graph.

    Raises:
      ValueError: for fractions, negative numbers, and what is no shape.

    Examples:
      >>> check_sample_shape(3)
      >>> check_sample_shape([2, 3])
    """
    known = sample_shape
    if tf.is_tensor(sample_shape):
        known = tf.get_static_value(sample_shape)
        if known is None:
            return
    try:
        sizes = np.asarray(known)
    except NotImplementedError:  # tensors of a graph in a list
        return
    except ValueError:  # rows of different lengths
        sizes = np.asarray(None)
    is_count = sizes.dtype.kind in "iu" and bool((sizes >= 0).all())
    if sizes.ndim > 1 or not (is_count or (sizes.ndim == 1 and sizes.size == 0)):
        raise ValueError(
            "sample needs an integer from 0 on or a shape, such as 5 or (2, 5), got "
            f"{sample_shape!r}. Give the number of events as sample_shape."
        )


def dense(value: Any, what: str) -> Any:
    """Returns lists, data frames and whatever else is an array as one; checked.

    Args:
      value: what came. A tuple or a dict is a structure of arrays; data sets and
        generators are returned as they are.
      what: its part, for messages.
    """
    if isinstance(value, tuple):
        return tuple(dense(part, what) for part in value)
    if isinstance(value, dict):  # contexts with names; refused later for all else
        return {name: dense(part, f"{what}[{name!r}]") for name, part in value.items()}
    value = _of_frame(value)
    check(value, what)
    is_array = isinstance(value, list) or hasattr(value, "__array__")
    return np.asarray(value) if is_array and not tf.is_tensor(value) else value


def _of_frame(value):
    """The numbers of a data frame whose columns have several types, or nullable ones.

    NumPy would have Python objects of these.
    """
    if not (hasattr(value, "dtypes") and hasattr(value, "to_numpy")):
        return value
    types = list(value.dtypes) if hasattr(value, "columns") else [value.dtypes]
    if not all(getattr(dtype, "kind", "O") in "biuf" for dtype in types):
        return value
    plain = all(isinstance(dtype, np.dtype) and dtype.kind != "b" for dtype in types)
    return value if plain else value.to_numpy(dtype=np.float64, na_value=np.nan)


def _kind(value, what):
    """NumPy's letter for the type of the numbers."""
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, tf.DType):
        return "U" if dtype == tf.string else "c" if dtype.is_complex else ""
    if isinstance(dtype, np.dtype):
        return dtype.kind
    if not isinstance(value, list) and not hasattr(value, "__array__"):
        return ""
    try:
        return np.asarray(value).dtype.kind
    except NotImplementedError:  # tensors of a graph in a list
        return ""
    except ValueError as error:
        raise ValueError(
            f"{what} came as a list whose rows have different lengths, wanted an "
            "array. Give all rows the event's shape; a pair (context, x) is a tuple."
        ) from error


def check_slices(slices: Any, batch_shape: tf.TensorShape, owner: str) -> None:
    """Refuses an index that is not in a batch, where both are known.

    Args:
      slices: as in `x[slices]`.
      batch_shape: of a distribution.
      owner: its name.

    Raises:
      IndexError: saying what came.
    """
    try:
        np.broadcast_to(0, batch_shape.as_list())[slices]
    except IndexError as error:
        raise IndexError(
            f"{owner!r} has the batch shape {batch_shape}, which [{slices!r}] is not "
            "in. Index its events: sample(5)[0]."
        ) from error
    except (TypeError, ValueError, NotImplementedError):
        pass  # known in a graph only
