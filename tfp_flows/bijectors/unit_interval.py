"""From the real line to the unit interval, never reaching its ends."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector


class UnitInterval(KerasBijector):
    """Maps the real line to the open interval (margin, 1 - margin) by a sigmoid.

    forward:  y = margin + (1 - 2 margin) sigmoid(x)
    inverse:  x = logit((y - margin) / (1 - 2 margin))
    log_det of the forward:  sum log((1 - 2 margin) p (1 - p)),  p = sigmoid(x)

    A sigmoid alone gives 1 in float32 from x = 17 on, and dequantization noise of 1
    belongs to the next pixel value: forward gives the outermost numbers inside in place
    of the ends, however large x is. The log-det is computed from x, so it is finite for
    every x.

    The ends and what lies beyond them, the margins too, are outside of the support:
    density 0, by a log-det of -inf.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[*batch]`.

    Args:
      event_shape: shape of one event.
      margin: distance from 0 and 1; the default is 8 steps of float32 below 1.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: if the margin is not in [0, 0.5).

    Examples:
      >>> UnitInterval((1,)).forward([[0.0]]).numpy().tolist()
      [[0.5]]
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        margin: float = 2.0**-20,
        dtype: Any = tf.float32,
        name: str = "unit_interval",
    ):
        parameters = dict(locals())
        if not 0.0 <= margin < 0.5:
            raise ValueError(f"{name} needs a margin in [0, 0.5), got {margin}.")
        super().__init__(event_shape, dtype=dtype, parameters=parameters, name=name)
        kind = self.dtype.as_numpy_dtype
        self._low, self._high = kind(margin), kind(1.0 - margin)
        self._width = 1.0 - 2.0 * margin
        # The outermost numbers inside; below `tiny`, float32 is flushed to 0.
        self._least = max(np.nextafter(self._low, kind(1)), np.finfo(kind).tiny)
        self._most = np.nextafter(self._high, kind(0))

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        y = self._low + self._width * tf.sigmoid(x)
        y = tf.clip_by_value(y, self._least, self._most)
        return y, self._sum(-tf.nn.softplus(x) - tf.nn.softplus(-x))

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        outside = (y < self._least) | (y > self._most)
        y = tf.where(outside, tf.constant(0.5, self.dtype), y)
        # The distance from either end: 1 - p would lose what y tells of the upper one.
        log_p = tf.math.log((y - self._low) / self._width)
        log_q = tf.math.log((self._high - y) / self._width)
        infinity = tf.constant(np.inf, self.dtype)
        log_slope = tf.where(outside, infinity, log_p + log_q)  # dy/dx
        return log_p - log_q, -self._sum(log_slope)

    def _sum(self, log_slope):
        rank = log_slope.shape.rank
        axes = list(range(rank - len(self._event_shape), rank))
        return tf.reduce_sum(log_slope + math.log(self._width), axes)
