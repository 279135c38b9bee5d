"""From the range of pixel values to the real line."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector


class PixelLogit(KerasBijector):
    """Maps pixel values in [0, num_values] to the real line by a logit [1].

    inverse:  p = alpha + (1 - 2 alpha) y / num_values;  x = logit(p)
    forward:  y = num_values (sigmoid(x) - alpha) / (1 - 2 alpha)
    log_det of the inverse:  sum log((1 - 2 alpha) / (num_values p (1 - p)))

    Inside the chain, so that likelihoods keep the pixels' unit (one grey level).
    Below p = alpha / 2 and above 1 - alpha / 2, which lie outside of [0, num_values],
    the logit goes on as its tangent: the map is a bijection of the real line, and no
    value, however wrong, gives NaN.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[*batch]`.

    Args:
      event_shape: shape of one event.
      num_values: number of integer pixel values, 256 for 8 bits; dequantized pixels
        fill [0, num_values].
      alpha: margin that keeps p away from 0 and 1; RealNVP's 0.05 by default.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: if `num_values` < 2 or alpha is not in (0, 0.5).

    Examples:
      >>> PixelLogit((1,), 256).inverse([[128.0]]).numpy().tolist()
      [[0.0]]

    References:
      [1] Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017.
          arXiv:1605.08803, section 4.1
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_values: int,
        *,
        alpha: float = 0.05,
        dtype: Any = tf.float32,
        name: str = "pixel_logit",
    ):
        parameters = dict(locals())
        if num_values < 2 or not 0 < alpha < 0.5:
            raise ValueError(
                f"{name} needs num_values >= 2 and 0 < alpha < 0.5, got {num_values} "
                f"and {alpha}."
            )
        super().__init__(event_shape, dtype=dtype, parameters=parameters, name=name)
        self._slope = (1.0 - 2.0 * alpha) / num_values  # dp / dy
        self._alpha = alpha
        edge = alpha / 2
        self._edge = edge  # of the logit; beyond it the tangent
        self._logit_edge = math.log(edge / (1 - edge))
        self._tangent = 1.0 / (edge * (1 - edge))  # dx / dp at either edge

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        p = self._alpha + self._slope * y
        inside = tf.clip_by_value(p, self._edge, 1.0 - self._edge)
        # Zero inside; the distance beyond the edge outside.
        beyond = p - inside
        log_p, log_q = tf.math.log(inside), tf.math.log1p(-inside)
        x = log_p - log_q + self._tangent * beyond
        return x, self._sum(math.log(self._slope) - log_p - log_q)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        inside = tf.clip_by_value(x, self._logit_edge, -self._logit_edge)
        beyond = x - inside
        y = (tf.sigmoid(inside) - self._alpha + beyond / self._tangent) / self._slope
        # log of p (1 - p), with p = sigmoid(inside)
        log_variance = -tf.nn.softplus(inside) - tf.nn.softplus(-inside)
        return y, self._sum(log_variance - math.log(self._slope))

    def _sum(self, log_det):
        rank = log_det.shape.rank
        return tf.reduce_sum(log_det, list(range(rank - len(self._event_shape), rank)))
