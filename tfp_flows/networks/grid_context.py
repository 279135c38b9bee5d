"""Contexts with positions: further channels of what a convolutional network sees."""

from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.networks.grids import squeeze


def has_positions(context_shape: Sequence[int | None] | None) -> bool:
    """Whether a context is `[B, *positions, K]`, and not a vector or missing."""
    return context_shape is not None and len(context_shape) > 2


def joined_shape(
    x_shape: Sequence[int | None],
    context_shape: Sequence[int | None] | None,
    owner: str,
) -> tuple[int | None, ...]:
    """Returns the shape of what `joined` gives.

    Args:
      x_shape: `(B, *positions, C)`.
      context_shape: `(B, K)`, `(B, *positions, K)` with sides that are those of x or
        the same multiple of all, or None for no context.
      owner: name of the network, for messages.

    Returns:
      `x_shape`, with more channels if the context has positions.

    Raises:
      ValueError: if the context is neither a vector nor fits x.

    Examples:
      >>> joined_shape((None, 4, 4, 2), (None, 8, 8, 3), "network")
      (None, 4, 4, 14)
    """
    if context_shape is None or len(context_shape) == 2:
        return tuple(x_shape)
    if len(context_shape) == len(x_shape):
        factor = (context_shape[1] or 0) // (x_shape[1] or 1)
        sides = tuple(factor * (side or 0) for side in x_shape[1:-1])
        if factor >= 1 and tuple(context_shape[1:-1]) == sides:
            more = (context_shape[-1] or 0) * factor ** len(sides)
            return (*x_shape[:-1], (x_shape[-1] or 0) + more)
    raise ValueError(
        f"{owner} takes vectors (K,) as contexts, or such with positions, whose sides "
        f"are those of its input {tuple(x_shape[1:])} or the same multiple of all, got "
        f"a context of shape {tuple(context_shape[1:])}. Resize it, or flatten it to a "
        "vector."
    )


def joined(x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
    """Puts a context with positions beside x as channels; leaves x alone otherwise.

    A context of a multiple of the size is squeezed: each block of its positions becomes
    the channels of one, as in the levels of a multi-scale flow.

    Args:
      x: `[B, *positions, C]`.
      context: `[B, *positions, K]` with n times as large sides, a vector, or None.

    Returns:
      `[B, *positions, C + n^axes K]`, or x.
    """
    if context is None or not has_positions(context.shape):
        return x
    factor = context.shape[1] // x.shape[1]
    if factor > 1:
        context = squeeze(context, factor)
    return tf.concat([x, tf.cast(context, x.dtype)], axis=-1)
