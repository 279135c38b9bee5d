"""Events and contexts with one batch axis, as networks take them."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf


def check_context(context: Any, wanted: Sequence[int] | None, owner: str) -> None:
    """Refuses a context that is missing, not wanted, or of another shape.

    Args:
      context: what came, or None.
      wanted: shape of one context, or None.
      owner: name of the distribution, for messages.

    Raises:
      ValueError: saying what came and what was wanted.
    """
    if wanted is None and context is not None:
        raise ValueError(
            f"{owner} takes no context, got one of shape "
            f"{tf.convert_to_tensor(context).shape}. Drop context=, or build the "
            "model with context_shape."
        )
    if wanted is None:
        return
    shape = f"[..., {', '.join(map(str, wanted))}]"
    if context is None:
        raise ValueError(
            f"{owner} is conditional and got no context. Pass context= of shape "
            f"{shape}."
        )
    got = tf.convert_to_tensor(context).shape
    split = got.rank - len(wanted)
    if split < 0 or not got[split:].is_compatible_with(wanted):
        raise ValueError(
            f"{owner} wants a context of shape {shape}, got {got}. Reshape it, or "
            "build the model with its context_shape."
        )


def context_parts(context: Any, wanted: Any, owner: str) -> Any:
    """Checks a context that may have parts with names; returns its tensors.

    Args:
      context: what came, or None.
      wanted: shape of one context, or a mapping of shapes.
      owner: name of the distribution, for messages.

    Raises:
      ValueError: for other parts or shapes, or parts of different batches.
    """
    if not isinstance(wanted, Mapping):
        if isinstance(context, Mapping):
            raise ValueError(
                f"{owner} wants a context of one part, of shape {tuple(wanted)}, got "
                f"the parts {sorted(context)}. Give one array."
            )
        check_context(context, wanted, owner)
        return tf.convert_to_tensor(context)
    if not isinstance(context, Mapping) or set(context) != set(wanted):
        got = sorted(context) if isinstance(context, Mapping) else type(context)
        raise ValueError(
            f"{owner} wants a context with the parts {sorted(wanted)}, got {got}. "
            "Give {name: array} with exactly these names."
        )
    parts = {name: tf.convert_to_tensor(context[name]) for name in wanted}
    batches = []
    for name, part in parts.items():
        check_context(part, wanted[name], f"{owner}'s context {name!r}")
        batches.append(part.shape[: part.shape.rank - len(wanted[name])])
    if not all(batch.is_compatible_with(batches[0]) for batch in batches):
        raise ValueError(
            f"{owner} wants the same batch axes of all parts of a context, got "
            f"{', '.join(map(str, batches))}. Give one of each for every event."
        )
    return parts


def paired(
    x: tf.Tensor,
    event_shape: Sequence[int],
    context: tf.Tensor | None,
    context_shape: Sequence[int] | None,
    owner: str,
) -> tuple[tf.Tensor, tf.Tensor | None, Any]:
    """Broadcasts x and its context with each other and flattens their batch axes.

    Args:
      x: `[*batch, *event_shape]`.
      event_shape: shape of one event.
      context: `[*batch', *context_shape]`, or None.
      context_shape: shape of one context, or None.
      owner: name of the distribution, for messages.

    Returns:
      x `[N, *event_shape]`, context `[N, *context_shape]` or None, and the batch shape
      of both, a list of integers if it is known and a tensor if not.

    Raises:
      ValueError: if x or the context has another shape.

    Examples:
      >>> x, context, batch = paired(
      ...     tf.zeros([4, 1, 3]), (3,), tf.zeros([5, 2]), (2,), "model"
      ... )
      >>> x.shape, context.shape, batch
      (TensorShape([20, 3]), TensorShape([20, 2]), [4, 5])
    """
    check_context(context, context_shape, owner)
    split = x.shape.rank - len(event_shape)
    if split < 0 or not x.shape[split:].is_compatible_with(event_shape):
        raise ValueError(
            f"{owner} wants events of shape [..., {', '.join(map(str, event_shape))}], "
            f"got {x.shape}. Reshape them, or build the model with their event_shape."
        )
    static, batch = x.shape[:split], tf.shape(x)[:split]
    if context is not None and context_shape is not None:
        end = context.shape.rank - len(context_shape)
        static = tf.broadcast_static_shape(static, context.shape[:end])
        batch = tf.broadcast_dynamic_shape(batch, tf.shape(context)[:end])
    batch = static.as_list() if static.is_fully_defined() else batch
    if context is None or context_shape is None:
        return tf.reshape(x, [-1, *event_shape]), None, batch
    x, context = flat(x, batch, event_shape), flat(context, batch, context_shape)
    return x, context, batch


def flat(value: Any, batch: Any, event_shape: Sequence[int]) -> tf.Tensor:
    """Broadcasts to a batch shape and flattens it: one row for each event.

    Args:
      value: `[*batch', *event_shape]`, where batch' broadcasts to batch.
      batch: a list of integers, or a tensor.
      event_shape: shape of one event.

    Returns:
      `[N, *event_shape]`.
    """
    shape = tf.concat([tf.cast(batch, tf.int32), tf.cast(event_shape, tf.int32)], 0)
    return tf.reshape(tf.broadcast_to(value, shape), [-1, *event_shape])
