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
    belongs to the next pixel value: the margin keeps y inside however large x is. The
    log-det is computed from x, so it is finite for every x. The inverse takes values
    outside of the interval for the outermost ones inside, so that no input gives NaN.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[*batch]`.

    Args:
      event_shape: shape of one event.
      margin: distance from 0 and 1; the default is 8 steps of float32 below 1.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: if the margin is not in [0, 0.5).

    Example:
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
        self._margin = float(margin)
        self._width = 1.0 - 2.0 * self._margin
        # The largest number below 1: log1p(-p) and its gradient stay finite.
        self._highest = 1.0 - float(np.finfo(self.dtype.as_numpy_dtype).epsneg)

    def _forward_and_log_det(self, x, context=None):
        y = self._margin + self._width * tf.sigmoid(x)
        return y, self._sum(-tf.nn.softplus(x) - tf.nn.softplus(-x))

    def _inverse_and_log_det(self, y, context=None):
        p = (y - self._margin) / self._width
        # 1e-30 is far below what y can tell from 0, and 1 / p is no overflow yet.
        p = tf.clip_by_value(p, 1e-30, self._highest)
        log_p, log_q = tf.math.log(p), tf.math.log1p(-p)
        return log_p - log_q, -self._sum(log_p + log_q)

    def _sum(self, log_slope):
        rank = log_slope.shape.rank
        axes = list(range(rank - len(self._event_shape), rank))
        return tf.reduce_sum(log_slope + math.log(self._width), axes)
