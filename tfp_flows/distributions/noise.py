"""Noise as a function of a seed, row by row."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.networks.uniform_rows import uniform_rows


def salted(seed: Any, salt: str) -> tf.Tensor:
    """Returns a seed of the same noise whenever it is called with the same one.

    Args:
      seed: Python integer; integers `[2]`; or `[3]`, whose third number is the place
        of the first row in a larger batch: its rows then have the noise that they have
        in the whole. None draws a new seed.
      salt: two of them never give the same numbers.

    Returns:
      int32 `[2]` or `[3]`.

    Examples:
      >>> salted(7, "doc").shape, salted(tf.constant([0, 7, 64]), "doc").shape
      (TensorShape([2]), TensorShape([3]))
    """
    if isinstance(seed, int):  # which TFP would take for a stateful seed
        seed = (seed >> 31) & 0x7FFFFFFF, seed & 0x7FFFFFFF
    if seed is None or tf.convert_to_tensor(seed).shape != [3]:
        return tfp.random.sanitize_seed(seed, salt=salt)
    seed = tf.convert_to_tensor(seed, tf.int32)
    pair = tfp.random.sanitize_seed(seed[:2], salt=salt)
    return tf.concat([pair, seed[2:]], axis=0)


def uniform(shape: Sequence[Any], seed: tf.Tensor, dtype: Any) -> tf.Tensor:
    """Returns uniform noise strictly between 0 and 1.

    Args:
      shape: `[B, ...]`; all but B are known.
      seed: as from `salted`.
      dtype: of the noise.
    """
    first_row = seed[2] if seed.shape == [3] else 0
    return uniform_rows(shape, seed[:2], first_row, dtype)
