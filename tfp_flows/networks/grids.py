"""Events with positions, of any number of axes: signals, images, volumes."""

import functools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolves at every position, with zeros outside of the event.

    Args:
      x: `[B, *positions, C]` with one, two or three axes of positions.
      kernel: `[*window, C, filters]`, as many axes.

    Returns:
      `[B, *positions, filters]`, in the dtype of x.

    Examples:
      >>> convolve(tf.ones([1, 3, 1]), tf.ones([3, 1, 1])).numpy().ravel().tolist()
      [2.0, 3.0, 2.0]
    """
    if x.shape[0] == 0:  # for which some CPUs' kernels return as many channels as came
        return tf.zeros([*x.shape[:-1], kernel.shape[-1]], x.dtype)
    kernel = tf.cast(kernel, x.dtype)
    if math.prod(kernel.shape[:-2]) == 1:  # up to twice as fast on small images
        return tf.tensordot(x, tf.reshape(kernel, kernel.shape[-2:]), 1)
    return tf.nn.convolution(x, kernel, padding="SAME")


@functools.lru_cache(maxsize=64)  # all heads of a model ask for a few
def taps_within(positions: tuple[int, ...], kernel_size: int) -> np.ndarray:
    """Returns which taps of `convolve`'s kernel lie within the event at each position.

    Args:
      positions: sides of the event.
      kernel_size: sides of the kernel.

    Returns:
      Ones and zeros, int8 `[number of positions, number of taps]`, both row-major.

    Examples:
      >>> taps_within((3,), 3).tolist()
      [[0, 1, 1], [1, 1, 1], [1, 1, 0]]
    """
    found = np.ones([1, 1], np.int8)
    for side in positions:
        at = np.arange(side)[:, None] + np.arange(kernel_size) - (kernel_size - 1) // 2
        found = np.kron(found, ((at >= 0) & (at < side)).astype(np.int8))
    return found


def at_all_positions(vectors: tf.Tensor, as_in: tf.Tensor) -> tf.Tensor:
    """Returns vectors `[B, C]` with axes of size one for the positions of a tensor."""
    return vectors[(slice(None), *[None] * (as_in.shape.rank - 2))]


def squeezed_shape(event_shape: Sequence[int], factor: int = 2) -> tuple[int, ...]:
    """Returns the shape of events whose blocks of positions have become channels.

    Examples:
      >>> squeezed_shape((4, 4, 3)), squeezed_shape((8, 1))
      ((2, 2, 12), (4, 2))
    """
    *sides, channels = event_shape
    fewer = (side // factor for side in sides)
    return (*fewer, factor ** len(sides) * channels)


def squeeze(x: tf.Tensor, factor: int) -> tf.Tensor:
    """Takes blocks of positions for channels, as `tf.nn.space_to_depth`.

    Args:
      x: `[B, *positions, C]`, sides multiples of the factor.
      factor: side of a block.

    Returns:
      `[B, *positions / factor, factor^n C]`: place in the block, then channel.

    Examples:
      >>> squeeze(tf.reshape(tf.range(4), [1, 4, 1]), 2).numpy().tolist()
      [[[0, 1], [2, 3]]]
    """
    if x.shape.rank == 4:
        return tf.nn.space_to_depth(x, factor)
    *sides, channels = x.shape[1:]
    count = len(sides)
    blocks = [n for side in sides for n in (side // factor, factor)]
    x = tf.reshape(x, [-1, *blocks, channels])
    places = range(2, 2 * count + 1, 2)
    x = tf.transpose(x, [0, *range(1, 2 * count, 2), *places, 2 * count + 1])
    return tf.reshape(x, [-1, *squeezed_shape([*sides, channels], factor)])


def unsqueeze(x: tf.Tensor, factor: int) -> tf.Tensor:
    """The inverse of `squeeze`.

    Args:
      x: `[B, *positions, factor^n C]`.
      factor: side of a block.

    Returns:
      `[B, *positions * factor, C]`.

    Examples:
      >>> unsqueeze(tf.constant([[[0, 1], [2, 3]]]), 2).numpy().ravel().tolist()
      [0, 1, 2, 3]
    """
    if x.shape.rank == 4:
        return tf.nn.depth_to_space(x, factor)
    *sides, channels = x.shape[1:]
    count = len(sides)
    channels //= math.prod([factor] * count)
    x = tf.reshape(x, [-1, *sides, *[factor] * count, channels])
    pairs = [axis for i in range(1, count + 1) for axis in (i, i + count)]
    x = tf.transpose(x, [0, *pairs, 2 * count + 1])
    return tf.reshape(x, [-1, *(factor * side for side in sides), channels])
