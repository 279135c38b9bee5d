"""What `fit` may be given as data, and how a batch is taken apart."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Model


def split(flow: Model, data: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Takes a batch apart into x and its context.

    Args:
      flow: a distribution with `event_shape`, `dtype` and `context_shape`.
      data: x `[B, *event_shape]`, or for a conditional flow the pair
        `(context, x)`: Keras' (inputs, targets).

    Returns:
      x and context; context is None for an unconditional flow.

    Raises:
      ValueError: if a context is missing or not wanted, if there are sample weights,
        or if x has not the flow's event shape.
    """
    x, target, weights = keras.utils.unpack_x_y_sample_weight(data)
    third = "a third element in the data"
    refuse_weights({third: weights}, [third])
    if target is None and isinstance(x, (tuple, list)) and len(x) == 2:
        x, target = x
    if flow.context_shape is None:
        return _unconditional(flow, x, target), None
    if target is None:
        raise ValueError(
            f"The flow is conditional on a context of shape {flow.context_shape} and "
            f"got x alone, of shape {_shape(x)}. Give batches of (context, x), for "
            "example tf.data.Dataset.from_tensor_slices((context, x)).batch(256)."
        )
    return _checked(flow, target), tf.convert_to_tensor(x)


def refuse_weights(
    options: Mapping[str, Any],
    names: Sequence[str] = ("sample_weight", "class_weight"),
) -> None:
    """Refuses weights of examples, which Keras would drop without a word.

    Args:
      options: of `fit` or `evaluate`.
      names: which of them are weights.

    Raises:
      ValueError: if one is given.
    """
    for name in names:
        if options.get(name) is not None:
            raise ValueError(
                "A flow is trained on the mean log-likelihood of all examples and "
                f"takes no weights, got {name}. Drop it, or repeat the examples that "
                "should count more."
            )


def parts_of_fit(
    x: Any, y: Any, options: Mapping[str, Any]
) -> tuple[tuple[Any, Any], tuple[Any, Any] | None]:
    """Returns what `fit` trains on and what it validates on, each as (x, y).

    Args:
      x: what `fit` was given.
      y: targets, when `x` is arrays of contexts.
      options: the other arguments of `fit`; `validation_data` or `validation_split`,
        which keeps the last part of arrays, say what it validates on.

    Returns:
      The two pairs; the second is None without validation.

    Raises:
      ValueError: if there are weights of examples.
    """
    refuse_weights(options)
    held_out, share = options.get("validation_data"), options.get("validation_split")
    if held_out is not None:
        *pair, weights = keras.utils.unpack_x_y_sample_weight(held_out)
        refuse_weights({"sample_weight": weights})
        return (x, y), tuple(pair)
    if not share:
        return (x, y), None
    cut = math.floor(len(tf.nest.flatten(x)[0]) * (1.0 - share))  # as Keras does

    def cut_to(part):
        return tf.nest.map_structure(lambda a: None if a is None else a[part], (x, y))

    return cut_to(slice(cut)), cut_to(slice(cut, None))


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
    if isinstance(x, tf.distribute.DistributedDataset) or (
        isinstance(x, Iterable) and not hasattr(x, "__getitem__")
    ):
        return None
    arrays = x if y is None else (x, y)
    return lambda: _slices(arrays, batch_size or 32)


def is_endless(x: Any) -> bool:
    """Returns whether a data set says of itself that it has no end."""
    if isinstance(x, keras.utils.PyDataset):
        return x.num_batches is None
    return (
        isinstance(x, tf.data.Dataset)
        and x.cardinality() == tf.data.INFINITE_CARDINALITY
    )


def _unconditional(flow, x, target):
    if target is not None:
        raise ValueError(
            "The flow takes no context and got pairs (context, x) of shapes "
            f"{_shape(x)} and {_shape(target)}. Give batches of x alone (drop the "
            "labels), or build the flow with context_shape."
        )
    return _checked(flow, x)


def _checked(flow, x):
    x = tf.convert_to_tensor(x)
    event_shape = tf.TensorShape(flow.event_shape)
    if x.shape.rank is not None and (
        x.shape.rank != event_shape.rank + 1
        or not x.shape[1:].is_compatible_with(event_shape)
    ):
        raise ValueError(
            f"The flow wants batches of shape [B, {', '.join(map(str, event_shape))}], "
            f"got {x.shape}. Batch the dataset, and reshape x or build the flow with "
            "the data's event_shape."
        )
    # A flow on integers takes any numeric type, one on reals takes its own.
    real = tf.as_dtype(flow.dtype).is_floating
    return tf.cast(x, flow.dtype) if real else x


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
