"""Contexts of image shape: further channels of what a convolutional network sees."""

import math
from collections.abc import Sequence

import tensorflow as tf


def is_image(context_shape: Sequence[int | None] | None) -> bool:
    """Whether a context is an image `[B, h, w, K]`, and not a vector or missing."""
    return context_shape is not None and len(context_shape) == 4


def joined_shape(
    x_shape: Sequence[int | None],
    context_shape: Sequence[int | None] | None,
    owner: str,
) -> tuple[int | None, ...]:
    """Returns the shape of what `joined` gives.

    Args:
      x_shape: `(B, H, W, C)`.
      context_shape: `(B, K)`, `(B, h, w, K)`, or None for no context.
      owner: name of the network, for messages.

    Returns:
      `x_shape`, with more channels if the context is an image.

    Raises:
      ValueError: if the context is neither a vector nor an image, or its sides are not
        the same multiple of those of x.

    Example:
      >>> joined_shape((None, 4, 4, 2), (None, 8, 8, 3), "network")
      (None, 4, 4, 14)
    """
    if context_shape is None or len(context_shape) == 2:
        return tuple(x_shape)
    if is_image(context_shape):
        factor = (context_shape[1] or 0) // (x_shape[1] or 1)
        sides = tuple(factor * (side or 0) for side in x_shape[1:3])
        if factor >= 1 and tuple(context_shape[1:3]) == sides:
            more = (context_shape[-1] or 0) * factor**2
            return (*x_shape[:-1], (x_shape[-1] or 0) + more)
    raise ValueError(
        f"{owner} takes vectors (K,) as contexts, or images whose sides are those of "
        f"its input {tuple(x_shape[1:])} or the same multiple of both, got a context "
        f"of shape {tuple(context_shape[1:])}. Resize it, or flatten it to a vector."
    )


def joined(x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
    """Puts an image-shaped context beside x as channels; leaves x alone otherwise.

    A context of a multiple of the size is squeezed: each block of its pixels becomes
    the channels of one, as in the levels of a multi-scale flow.

    Args:
      x: `[B, H, W, C]`.
      context: `[B, n H, n W, K]`, anything else, or None.

    Returns:
      `[B, H, W, C + n^2 K]` for an image, x otherwise.
    """
    if context is None or not is_image(context.shape):
        return x
    factor = math.isqrt(context.shape[1] * context.shape[2] // math.prod(x.shape[1:3]))
    if factor > 1:
        context = tf.nn.space_to_depth(context, factor)
    return tf.concat([x, tf.cast(context, x.dtype)], axis=-1)
