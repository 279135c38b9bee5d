"""What `fit` may be given as data, and how a batch is taken apart."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Model, numeric, rows
from tfp_flows.training import weighting


class Examples(NamedTuple):
    """A batch, taken apart.

    Attributes:
      x: `[B, *event_shape]`.
      context: `[B, *context_shape]`, a mapping of such, or None.
      weights: `[B]` or None, see `weighting`.
    """

    x: tf.Tensor
    context: Any
    weights: tf.Tensor | None

    @property
    def inputs(self) -> Any:
        """What `FlowModel.call` takes: x, or (context, x)."""
        return self.x if self.context is None else (self.context, self.x)

    @property
    def count(self) -> tf.Tensor:
        """How many examples there are."""
        return tf.shape(self.x)[0]

    @property
    def weight(self) -> tf.Tensor:
        """What they count together: their number, unless they have weights."""
        return self.count if self.weights is None else tf.reduce_sum(self.weights)

    @property
    def fingerprint(self) -> tf.Tensor:
        """A number that follows from the values of x, int64."""
        return tf.reduce_sum(tf.cast(self.x, tf.int64)) % 2**31


def split(flow: Model, data: Any) -> Examples:
    """Takes a batch apart into x, its context and weights.

    Args:
      flow: a distribution with `event_shape`, `dtype` and `context_shape`.
      data: x `[B, *event_shape]`, or for a conditional flow the pair
        `(context, x)`: Keras' (inputs, targets). With weights (context, x, weights),
        or (x, None, weights), where () is as good as None.

    Raises:
      ValueError: if a context is missing or not wanted, if x has not the flow's event
        shape, or weights are not `[B]`.
    """
    x, target, weights = keras.utils.unpack_x_y_sample_weight(data)
    if _is_nothing(target) and isinstance(x, (tuple, list)):
        x, target, inner = keras.utils.unpack_x_y_sample_weight(x)
        weights = inner if weights is None else weights
    target = None if _is_nothing(target) else target
    if flow.context_shape is None:
        x, context = _unconditional(flow, x, target), None
    elif target is None:
        raise ValueError(
            f"The flow is conditional on a context of shape {flow.context_shape} and "
            f"got x alone, of shape {_shape(x)}. Give batches of (context, x), for "
            "example tf.data.Dataset.from_tensor_slices((context, x)).batch(256)."
        )
    else:
        x, context = _checked(flow, target), _context(flow, x)
    return Examples(x, context, weighting.in_step(weights, x))


def _context(flow, given):
    """Returns a context as a tensor, or as those of its parts."""
    if not isinstance(flow.context_shape, Mapping):
        numeric.check(given, "context")
        return tf.convert_to_tensor(given)
    if isinstance(given, Mapping):
        for name, part in given.items():
            numeric.check(part, f"context {name!r}")
    return rows.context_parts(given, flow.context_shape, flow.name)


def packed(x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, Any]:
    """Puts weights where Keras hands them on also when there are no targets.

    Keras drops the weights of arrays without targets, and cannot share None among
    replicas; an empty tuple it can.

    Args:
      x: as in `fit`.
      y: as in `fit`.
      sample_weight: of arrays, as in `fit`.

    Returns:
      Other x and y, with the weights in them; lists and data frames as arrays.

    Raises:
      ValueError: if there are no data, or none that are dense arrays of real numbers;
        if there are weights beside data that carry their own, or they are not finite,
        negative, of another shape, or all zero.
    """
    x, y = numeric.dense(x, "x"), None if y is None else numeric.dense(y, "y")
    if x is None or (_is_arrays(x) and not len(tf.nest.flatten(x)[0])):
        raise ValueError(
            "The data are empty: there is not one event. Check the files or the "
            "selection of rows they come from."
        )
    if isinstance(x, tf.data.Dataset):
        spec = x.element_spec
        if isinstance(spec, tuple) and len(spec) == 3 and _is_nothing(spec[1]):
            x = x.map(lambda x, _, weights: (x, (), weights))
    if sample_weight is None:
        return x, y
    if not _is_arrays(x):
        raise ValueError(
            f"sample_weight goes with arrays, got it beside a {type(x).__name__}. Make "
            "its batches (context, x, weights), or (x, None, weights) of a flow "
            "without context."
        )
    weighting.check(sample_weight, len(tf.nest.flatten(x)[0]))
    return (x, () if y is None else y, np.asarray(sample_weight)), None


def parts_of_fit(
    x: Any, y: Any, options: Mapping[str, Any]
) -> tuple[tuple[Any, Any], tuple[Any, Any] | None]:
    """Returns what `fit` trains on and what it validates on, each as (x, y).

    Args:
      x: what `fit` was given, `packed`.
      y: targets, when `x` is arrays of contexts.
      options: the other arguments of `fit`; `validation_data`, a pair that is `packed`,
        or `validation_split`, which keeps the last part of arrays, say what it
        validates on.

    Returns:
      The two pairs; the second is None without validation.
    """
    held_out, share = options.get("validation_data"), options.get("validation_split")
    if held_out is not None or not share:
        return (x, y), held_out
    cut = math.floor(len(tf.nest.flatten(x)[0]) * (1.0 - share))  # as Keras does

    def cut_to(part):
        return tf.nest.map_structure(lambda a: None if a is None else a[part], (x, y))

    return cut_to(slice(cut)), cut_to(slice(cut, None))


def with_packed_validation(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `fit` with `validation_data` as a pair, `packed`."""
    held_out = options.get("validation_data")
    if held_out is None:
        return options
    held_out = packed(*keras.utils.unpack_x_y_sample_weight(held_out))
    return options | {"validation_data": held_out}


def iterate(
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    num_batches: int | None = None,
) -> Callable[[], Iterator[Any]] | None:
    """Returns a function that starts a new pass over training data, batch by batch.

    Args:
      x: what `fit` was given: a `tf.data.Dataset`, a `keras.utils.PyDataset`, or
        arrays.
      y: targets, when `x` is arrays of contexts.
      batch_size: of arrays, 32 if None as in `fit`.
      num_batches: how many batches of a data set are one pass; None for all.

    Returns:
      A function without arguments, or None for data that can be read only once (a
      generator) or that is distributed already.
    """
    if isinstance(x, (tf.data.Dataset, keras.utils.PyDataset)):
        return lambda: itertools.islice(_each(x), num_batches)
    if not _is_arrays(x):
        return None
    arrays = x if y is None else (x, y)
    return lambda: _slices(arrays, batch_size or 32)


def check_shape(flow: Model, x: Any, y: Any = None) -> None:
    """Refuses arrays of events of another shape, of which a graph would say less.

    Args:
      flow: the model.
      x: as for `fit`, `packed`.
      y: targets, when `x` is arrays of contexts.

    Raises:
      ValueError: saying the shape that came.
    """
    if not _is_arrays(x):
        return
    found = x if y is None else (x, y)
    inner, target, _ = keras.utils.unpack_x_y_sample_weight(found)
    events = inner if _is_nothing(target) else target
    if hasattr(events, "shape"):  # a column alone is what Keras makes of one axis
        shape = tf.TensorShape(events.shape)
        _check_shape(flow, shape.concatenate([1]) if shape.rank == 1 else shape)


def is_steady(passes: Callable[[], Iterator[Any]]) -> bool:
    """Returns whether two passes begin with the same batch: then rows have numbers.

    A data set that is shuffled anew each time gives its rows in another order.

    Args:
      passes: starts a pass, as from `iterate`.
    """
    one, two = (tf.nest.flatten(next(iter(passes()), None)) for _ in range(2))
    return len(one) == len(two) and all(
        a is b or _are_equal(np.asarray(a), np.asarray(b))
        for a, b in zip(one, two, strict=True)
    )


def _are_equal(a, b):
    is_float = a.dtype.kind == "f"
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=is_float)


def check_supports(
    flow: Model, training: tuple[Any, Any], held_out: tuple[Any, Any] | None
) -> None:
    """Refuses arrays with events beyond the support of a model.

    Rows of data sets are read once a step: those are found out then.

    Args:
      flow: the model.
      training: (x, y) as from `parts_of_fit`.
      held_out: the same of the validation data, or None.

    Raises:
      ValueError: naming the first row, its column and value.
    """
    named = {"training data": training, "validation data": held_out or (None, None)}
    for name, (x, y) in named.items():
        if flow.support is None or x is None or not _is_arrays(x):
            continue
        events = split(flow, x if y is None else (x, y)).x
        flow.support.check(events, data=name)


def is_endless(x: Any) -> bool:
    """Returns whether a data set says of itself that it has no end."""
    if isinstance(x, keras.utils.PyDataset):
        return x.num_batches is None
    return (
        isinstance(x, tf.data.Dataset)
        and x.cardinality() == tf.data.INFINITE_CARDINALITY
    )


def _is_arrays(x):
    """Whether data are no stream of batches."""
    streams = (tf.data.Dataset, tf.distribute.DistributedDataset)
    is_stream = isinstance(x, (*streams, keras.utils.PyDataset))
    return not is_stream and hasattr(x, "__getitem__")


def _is_nothing(target):
    is_empty = isinstance(target, tuple) and not target
    return target is None or is_empty or isinstance(target, tf.NoneTensorSpec)


def _unconditional(flow, x, target):
    if target is not None:
        raise ValueError(
            "The flow takes no context and got pairs (context, x) of shapes "
            f"{_shape(x)} and {_shape(target)}. Give batches of x alone (drop the "
            "labels), or build the flow with context_shape. With weights of examples "
            "they are (x, None, weights)."
        )
    return _checked(flow, x)


def _checked(flow, x):
    numeric.check(x, "x")
    x = tf.convert_to_tensor(x)
    if x.shape.rank is None:
        x = tf.ensure_shape(x, [None, *flow.event_shape])
    _check_shape(flow, x.shape)
    # A flow on integers takes any numeric type, one on reals takes its own.
    real = tf.as_dtype(flow.dtype).is_floating
    return tf.cast(x, flow.dtype) if real else x


def _check_shape(flow, shape):
    event_shape = tf.TensorShape(flow.event_shape)
    if shape.rank != event_shape.rank + 1 or not shape[1:].is_compatible_with(
        event_shape
    ):
        raise ValueError(
            f"The flow wants batches of shape [B, {', '.join(map(str, event_shape))}], "
            f"got {shape}. Batch the dataset, and reshape x or build the flow with "
            "the data's event_shape."
        )


def _each(batches):
    """Iterates once; a PyDataset would begin again for ever."""
    if isinstance(batches, tf.data.Dataset):
        yield from batches
    else:
        endless = batches.num_batches is None
        places = itertools.count() if endless else range(batches.num_batches)
        yield from (batches[i] for i in places)


def _slices(arrays, batch_size):
    size = len(tf.nest.flatten(arrays)[0])
    for start in range(0, size, batch_size):
        yield tf.nest.map_structure(
            lambda a, s=start: np.asarray(a[s : s + batch_size]), arrays
        )


def _shape(value):
    return getattr(value, "shape", None) or type(value).__name__
