"""Noise as a function of a seed, row by row."""

import numbers
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.networks.uniform_rows import uniform_rows


def salted(seed: Any, salt: str) -> tf.Tensor:
    """Returns a seed of the same noise whenever it is called with the same one.

    Args:
      seed: integer, of Python, NumPy or a tensor; integers `[2]`; or `[3]`, whose
        third number is the place of the first row in a larger batch: its rows then have
        the noise that they have in the whole. None draws a new seed.
      salt: two of them never give the same numbers.

    Returns:
      int32 `[2]` or `[3]`.

    Raises:
      ValueError: for anything else.

    Examples:
      >>> salted(7, "doc").shape, salted(tf.constant([0, 7, 64]), "doc").shape
      (TensorShape([2]), TensorShape([3]))
    """
    seed = as_integers(seed)
    if seed is None or seed.shape == [2]:
        return tfp.random.sanitize_seed(seed, salt=salt)
    pair = tfp.random.sanitize_seed(seed[:2], salt=salt)
    return tf.concat([pair, seed[2:]], axis=0)


def as_integers(seed: Any) -> tf.Tensor | None:
    """Returns a seed as int32 `[2]` or `[3]`, None as it is.

    Args:
      seed: as in `salted`.

    Raises:
      ValueError: for what is no seed.

    Examples:
      >>> print(as_integers(7).numpy(), as_integers([1, 2]).numpy())
      [0 7] [1 2]
    """
    if callable(seed):  # a stream of seeds, as TFP has
        seed = seed()
    if seed is None:
        return None
    if isinstance(seed, numbers.Integral):  # which TFP would take for a stateful seed
        seed = int(seed)
        seed = (seed >> 31) & 0x7FFFFFFF, seed & 0x7FFFFFFF
    try:
        found = tf.convert_to_tensor(seed)
    except (ValueError, TypeError):  # no tensor, such as a generator of NumPy
        found = None
    if found is not None and found.dtype.is_integer:
        if found.shape == []:  # as above
            found = tf.cast(found, tf.int64)
            found = tf.stack([found // 2**31 % 2**31, found % 2**31])
        if any(found.shape.is_compatible_with([size]) for size in (2, 3)):
            return tf.cast(found, tf.int32)
    raise ValueError(
        f"A seed is an integer or two integers, got {seed!r}. Take one number, such as "
        "seed=1, or None for new noise at each call."
    )


def uniform(shape: Sequence[Any], seed: tf.Tensor, dtype: Any) -> tf.Tensor:
    """Returns uniform noise strictly between 0 and 1.

    Args:
      shape: `[B, ...]`; all but B are known.
      seed: as from `salted`.
      dtype: of the noise.
    """
    first_row = seed[2] if seed.shape == [3] else 0
    return uniform_rows(shape, seed[:2], first_row, dtype)
