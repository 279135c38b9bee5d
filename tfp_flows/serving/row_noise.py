"""Noise that belongs to a row: Threefry-2x32 in TensorFlow ops, one seed a row.

A server merges and splits batches as it likes. Stateful random ops then depend on the
order of arrival, and one seed for a batch on the neighbours. Here row b of the noise is
a function of `seed[b]` alone, bit for bit, without a loop over rows.

References:
  Salmon, Moraes, Dror, Shaw. Parallel random numbers: as easy as 1, 2, 3. SC 2011.
  Box, Muller. A note on the generation of random normal deviates. 1958.
"""

import math

import tensorflow as tf

ALGORITHM = "threefry2x32-boxmuller-v1"

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA


def threefry2x32(
    key: tuple[tf.Tensor, tf.Tensor], counter: tuple[tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns two uint32 words of Threefry-2x32 with 20 rounds.

    For a fixed key this is a bijection of the counter.

    Args:
      key: two uint32 tensors.
      counter: two uint32 tensors that broadcast with the key.

    Returns:
      Two uint32 tensors of the broadcast shape.

    Examples:
      >>> zero = tf.constant(0, tf.uint32)
      >>> [hex(int(word)) for word in threefry2x32((zero, zero), (zero, zero))]
      ['0x6b200159', '0x99ba4efe']
    """
    k0, k1 = key
    k2 = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(k0, k1), _uint32(_PARITY))
    schedule = (k0, k1, k2)
    x0, x1 = counter[0] + k0, counter[1] + k1
    for round_ in range(20):
        x0 = x0 + x1
        x1 = tf.bitwise.bitwise_xor(_rotate(x1, _ROTATIONS[round_ % 8]), x0)
        if round_ % 4 == 3:
            step = round_ // 4 + 1
            x0 = x0 + schedule[step % 3]
            x1 = x1 + schedule[(step + 1) % 3] + _uint32(step)
    return x0, x1


def row_uniform(seed: tf.Tensor, n: int) -> tf.Tensor:
    """Returns n uniforms a row, each strictly between 0 and 1.

    Args:
      seed: int64 `[B, 2]`, such as `serving.seeds` makes.
      n: uniforms a row, a Python integer.

    Returns:
      float32 `[B, n]`; row b depends on `seed[b]` only.

    Raises:
      ValueError: if `seed` is not int64 `[B, 2]`.

    Examples:
      >>> row_uniform(tf.constant([[7, 0], [7, 1]], tf.int64), 5).shape
      TensorShape([2, 5])
    """
    return _interleave(_uniform_pairs(seed, n), n)


def row_normal(seed: tf.Tensor, n: int) -> tf.Tensor:
    """Returns n standard normals a row, by Box and Muller.

    Args:
      seed: int64 `[B, 2]`, such as `serving.seeds` makes.
      n: normals a row, a Python integer.

    Returns:
      float32 `[B, n]`; row b depends on `seed[b]` only; absolute values below 5.8.

    Raises:
      ValueError: if `seed` is not int64 `[B, 2]`.

    Examples:
      >>> row_normal(tf.constant([[7, 0], [7, 1]], tf.int64), 5).shape
      TensorShape([2, 5])
    """
    # In float64: the vectorized and the scalar float32 log differ in the last bit, and
    # which of them an entry meets depends on the size of the batch.
    u, v = (tf.cast(uniform, tf.float64) for uniform in _uniform_pairs(seed, n))
    radius = tf.sqrt(-2.0 * tf.math.log(u))
    angle = 2.0 * math.pi * v
    normals = _interleave((radius * tf.cos(angle), radius * tf.sin(angle)), n)
    return tf.cast(normals, tf.float32)


def _uniform_pairs(seed, n):
    """Returns two float32 tensors [B, ceil(n / 2)] of uniforms."""
    key = _row_key(seed)
    counter = tf.range((n + 1) // 2, dtype=tf.int32)
    counter = tf.cast(counter, tf.uint32)[tf.newaxis, :]
    words = threefry2x32(
        (key[0][:, tf.newaxis], key[1][:, tf.newaxis]),
        (counter, tf.zeros_like(counter)),
    )
    return tuple(_to_uniform(word) for word in words)


def _row_key(seed):
    """Returns the Threefry key of each row, two uint32 tensors [B].

    The low words are encrypted under the high words, so that all 64 bits of both
    integers count, and seeds with equal high words never share a key.
    """
    seed = tf.convert_to_tensor(seed)
    if seed.dtype != tf.int64 or not seed.shape.is_compatible_with([None, 2]):
        raise ValueError(
            f"Row noise needs seeds int64 [B, 2], got {seed.dtype.name} {seed.shape}. "
            "Make them with serving.seeds."
        )
    low = tf.cast(seed, tf.uint32)
    high = tf.cast(tf.bitwise.right_shift(seed, tf.constant(32, tf.int64)), tf.uint32)
    return threefry2x32((high[:, 0], high[:, 1]), (low[:, 0], low[:, 1]))


def _to_uniform(word):
    # 23 bits and a half are exact in float32; with 24 the largest would round to 1.
    bits = tf.bitwise.right_shift(word, _uint32(9))
    return (tf.cast(bits, tf.float32) + 0.5) * 2.0**-23


def _interleave(pair, n):
    """Joins [B, m] and [B, m] to [B, n], n <= 2 m, taking turns."""
    both = tf.stack(pair, axis=-1)
    return tf.reshape(both, [-1, 2 * ((n + 1) // 2)])[:, :n]


def _rotate(word, distance):
    left = tf.bitwise.left_shift(word, _uint32(distance))
    right = tf.bitwise.right_shift(word, _uint32(32 - distance))
    return tf.bitwise.bitwise_or(left, right)


def _uint32(value):
    return tf.constant(value, tf.uint32)
