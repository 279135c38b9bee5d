"""Shapes of events, and of the batches before them."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def as_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Returns `shape` as a tuple of Python integers."""
    return tuple(int(n) for n in shape)


def optional_shape(shape: Sequence[int] | None) -> tuple[int, ...] | None:
    """Returns `shape` as a tuple of Python integers, None for None."""
    return None if shape is None else as_shape(shape)


def over_event(condition: tf.Tensor, ndims: int) -> tf.Tensor:
    """Returns `[*batch]` as `[*batch, 1, ...]`, to broadcast over events."""
    shape = tf.concat([tf.shape(condition), tf.ones([ndims], tf.int32)], axis=0)
    return tf.reshape(condition, shape)


def broadcast_batch(
    value: tf.Tensor, ndims: int, other: tf.Tensor, other_ndims: int
) -> tf.Tensor:
    """Broadcasts the batch dimensions of `value` with those of `other`.

    Args:
      value: `[*batch, *event]` with `ndims` event dimensions.
      ndims: number of event dimensions of `value`.
      other: `[*batch', *event']` with `other_ndims` event dimensions.
      other_ndims: number of event dimensions of `other`.

    Returns:
      `[*broadcast(batch, batch'), *event]`.
    """
    batch = value.shape[: value.shape.rank - ndims]
    other_batch = other.shape[: other.shape.rank - other_ndims]
    if other_batch.rank == 0 or (
        batch.is_fully_defined() and batch.as_list() == other_batch
    ):
        return value
    shape, other_shape = tf.shape(value), tf.shape(other)
    split = value.shape.rank - ndims
    full = tf.broadcast_dynamic_shape(
        shape[:split], other_shape[: other.shape.rank - other_ndims]
    )
    static = tf.broadcast_static_shape(batch, other_batch)
    result = tf.broadcast_to(value, tf.concat([full, shape[split:]], axis=0))
    return tf.ensure_shape(result, static.concatenate(value.shape[split:]))


def swapped_shape(
    got: Any, wanted: Sequence[int], result: Sequence[int], owner: str
) -> Any:
    """Puts the event shape of the other side behind the batch dimensions.

    Args:
      got: `tf.TensorShape` `[*batch, *wanted]`, or a list of such.
      wanted: shape of one event on this side.
      result: shape of one event on the other side.
      owner: name of the bijector, for the message.

    Returns:
      `[*batch, *result]`; an unknown shape for one of unknown rank.

    Raises:
      ValueError: if `got` does not end with the shape of an event.
    """
    if isinstance(got, (list, tuple)):
        return [swapped_shape(part, wanted, result, owner) for part in got]
    if got.rank is None:
        return got
    if not ends_with(got, wanted):
        raise ValueError(
            f"Bijector {owner!r} works on events of shape {wanted}, got {got}. Reshape "
            "them, or build it with their event_shape."
        )
    return got[: got.rank - len(wanted)].concatenate(result)


def swapped_tensor(got: Any, wanted: Sequence[int], result: Sequence[int]) -> Any:
    """As `swapped_shape`, for shapes that are integer tensors."""
    if isinstance(got, (list, tuple)):
        return [swapped_tensor(part, wanted, result) for part in got]
    batch = got[: tf.size(got) - len(wanted)]
    return tf.concat([batch, tf.constant(result, got.dtype)], axis=0)


def ends_with(shape: tf.TensorShape, wanted: Sequence[int]) -> bool:
    """Whether a shape of known rank is that of a batch of events, or may be."""
    return shape.rank >= len(wanted) and shape[
        shape.rank - len(wanted) :
    ].is_compatible_with(wanted)


def check_event(value: Any, wanted: Sequence[int], owner: str) -> None:
    """Refuses what is no batch of events.

    Raises:
      ValueError: if rank or event shape are not known, or are others than wanted.
    """
    for part in tf.nest.flatten(value):
        got, shown = part.shape, f"[..., {', '.join(map(str, wanted))}]"
        if got.rank is None or None in got[max(got.rank - len(wanted), 0) :]:
            raise ValueError(
                f"Bijector {owner!r} needs to know the rank of what it is "
                f"given and the shape of an event, {shown}, got {got}. Tell them "
                "by tf.ensure_shape, or by the input signature."
            )
        if not ends_with(got, wanted):
            raise ValueError(
                f"Bijector {owner!r} wants events of shape {shown}, got {got}. Reshape "
                "them, or build it with their event_shape."
            )


def check_context(context: Any, wanted: Sequence[int] | None, owner: str) -> None:
    """Refuses a context that is missing, not wanted, or of another shape.

    Raises:
      ValueError: for any of these.
    """
    if wanted is None and context is not None:
        raise ValueError(
            f"Bijector {owner!r} takes no context, got one of shape "
            f"{tf.convert_to_tensor(context).shape}. Drop context=, or build the "
            "flow with context_shape."
        )
    if wanted is None:
        return
    if context is None:
        raise ValueError(
            f"Bijector {owner!r} is conditional and got no context. Pass "
            f"context= of shape [..., {', '.join(map(str, wanted))}]."
        )
    got = tf.convert_to_tensor(context).shape
    if got.rank is not None and not got[got.rank - len(wanted) :].is_compatible_with(
        wanted
    ):
        raise ValueError(
            f"Bijector {owner!r} wants a context of shape "
            f"[..., {', '.join(map(str, wanted))}], got {got}. Reshape it, or build "
            "the bijector with its context_shape."
        )
