"""Mu-law companding: audio as a few integers, fine near silence and coarse when loud.

    f(a) = sign(a) log(1 + mu |a|) / log(1 + mu),  mu = num_values - 1
    code = round((f(a) + 1) / 2 * mu);  audio = f^-1(2 code / mu - 1)

ITU-T G.711 companded telephone calls this way, and WaveNet its training data [1]. The
codes are what the discrete models of sequences take as events; `encode` stands before
their `log_prob`, `decode` after their `sample`. A code's own scale, 2 code / mu - 1, is
f of the audio, which is how `Categorical` shows it to a network.

References:
  [1] van den Oord et al. WaveNet: A generative model for raw audio. 2016.
      arXiv:1609.03499, section 2.2
"""

import math
from typing import Any

import tensorflow as tf

from tfp_flows.distributions.elements.element import checked_values


def encode(audio: Any, num_values: int = 256) -> tf.Tensor:
    """Returns the code of each amplitude.

    Args:
      audio: amplitudes in [-1, 1], floats of any shape; beyond they are clipped. NaN
        is refused, and inside of a graph, whose values are not known, taken as silence.
      num_values: number of codes.

    Returns:
      int32 of the same shape, in 0 .. num_values - 1.

    Raises:
      ValueError: if there are fewer than two codes, or the audio holds integers or NaN.

    Examples:
      >>> encode([-1.0, -0.01, 0.01, 1.0]).numpy()
      array([  0,  98, 157, 255], dtype=int32)
    """
    mu = float(checked_values(num_values, "Mu-law companding") - 1)
    audio = tf.convert_to_tensor(audio)
    if not audio.dtype.is_floating:
        raise ValueError(
            f"Mu-law companding needs amplitudes in [-1, 1], got {audio.dtype.name}. "
            "Divide 16-bit samples by 32768."
        )
    is_nan = tf.math.is_nan(audio)
    if tf.get_static_value(tf.reduce_any(is_nan)):
        raise ValueError(
            f"Mu-law companding needs amplitudes in [-1, 1], got NaN for "
            f"{int(tf.math.count_nonzero(is_nan))} of {tf.size(audio)}. Drop or mend "
            "them, for example with tf.where."
        )
    audio = tf.clip_by_value(tf.where(is_nan, 0.0, audio), -1.0, 1.0)
    companded = tf.sign(audio) * tf.math.log1p(mu * tf.abs(audio)) / math.log1p(mu)
    return tf.cast(tf.round((companded + 1.0) * (0.5 * mu)), tf.int32)


def decode(codes: Any, num_values: int = 256, dtype: Any = tf.float32) -> tf.Tensor:
    """Returns the amplitude that each code stands for, in [-1, 1].

    Args:
      codes: integers of any shape, in 0 .. num_values - 1.
      num_values: number of codes.
      dtype: of the amplitudes.

    Raises:
      ValueError: if there are fewer than two codes.

    Examples:
      >>> decode([0, 255]).numpy()
      array([-1.,  1.], dtype=float32)
    """
    mu = float(checked_values(num_values, "Mu-law companding") - 1)
    companded = tf.cast(codes, dtype) * (2.0 / mu) - 1.0
    size = tf.math.expm1(tf.abs(companded) * math.log1p(mu)) / mu
    return tf.sign(companded) * size
