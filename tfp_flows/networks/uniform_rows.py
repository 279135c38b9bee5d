"""Uniform numbers for the rows of a batch, or of any part of it."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

_PHILOX = 1  # tf.random.Algorithm; the default one is 20 times slower under XLA on CPUs


def uniform_rows(
    shape: Sequence[Any], key: tf.Tensor, first_row: Any = 0, dtype: Any = tf.float32
) -> tf.Tensor:
    """Returns numbers strictly between 0 and 1, each row's its own.

    Row i of a batch has the same numbers whether it is drawn with the others, or in a
    part of the batch that begins at `first_row`: replicas that share a batch draw what
    one device would. Philox counts [1], and a row begins where its number says; there
    is nothing to skip and nothing to store.

    Args:
      shape: `[B, ...]`; all but B are known.
      key: integers `[2]`; other keys give other numbers.
      first_row: integer scalar, the place of the first row in the whole batch.
      dtype: float32 or float64, others are cast from float32.

    Returns:
      `[B, ...]`; under XLA other numbers than in a graph.

    Examples:
      >>> whole = uniform_rows([5, 3], tf.constant([7, 1]))
      >>> part = uniform_rows([2, 3], tf.constant([7, 1]), first_row=3)
      >>> bool(tf.reduce_all(part == whole[3:]))
      True

    References:
      [1] Salmon, Moraes, Dror, Shaw. Parallel random numbers: as easy as 1, 2, 3.
          SC 2011.
    """
    dtype = tf.as_dtype(dtype)
    drawn = tf.float64 if dtype == tf.float64 else tf.float32
    # Philox gives four words a count: four float32, or two float64.
    block = 2 if drawn == tf.float64 else 4
    size = math.prod(shape[1:])
    blocks = -(-size // block)
    words = tf.cast(tf.cast(key, tf.int64), tf.uint64)
    first_word = tf.cast(tf.cast(first_row, tf.int64), tf.uint64) * blocks
    u = tf.raw_ops.StatelessRandomUniformV2(
        shape=tf.stack([tf.cast(shape[0], tf.int32), blocks * block]),
        key=words[:1],
        counter=tf.stack([first_word, words[1]]),
        alg=_PHILOX,
        dtype=drawn,
    )
    # Multiples of 2^-23 or 2^-52, moved to the middle of their cells: never 0 or 1.
    u = u[:, :size] + 2.0 ** (-53 if drawn == tf.float64 else -24)
    return tf.cast(tf.reshape(u, shape), dtype)


def of_layer(
    generator: keras.random.SeedGenerator, shape: Sequence[Any], dtype: Any = tf.float32
) -> tf.Tensor:
    """Returns the numbers of a layer's next call, see `uniform_rows`.

    `FlowModel` tells the place of the first row in the second number of the seed state.

    Args:
      generator: of the layer; its state moves on.
      shape: `[B, ...]`; all but B are known.
      dtype: of the numbers.
    """
    state = generator.state
    key, first_row = tf.unstack(tf.convert_to_tensor(state.value))
    key = tf.stack([key, tf.zeros_like(key)])
    # Not the second number, which Keras would count: it is a place.
    state.assign(state + tf.constant([1, 0], state.dtype))
    return uniform_rows(shape, key, first_row, dtype)
