"""A learned scale for each unit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.shapes import as_shape
from tfp_flows.networks import gains
from tfp_flows.networks.weights.parameters import Parameters


class DiagonalScale(KerasBijector):
    """NICE's last layer: a learned positive scale for each unit (Dinh et al., 2015).

    forward:  y = x * exp(log_scale);  inverse:  x = y * exp(-log_scale)
    log_det:  sum(log_scale), the same for every event

    It is all that changes the volume between couplings that keep it, so a step of an
    optimizer moves it further than one act norm of many, see `networks.gains`. What is
    trained is sinh(log_scale) / gain: a log-scale of 2 moves a quarter as far as one
    near 0, and weights of any size stay scales that numbers can hold.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`.

    Args:
      event_shape: shape of one event.
      depth: scales like this one that an event passes through.
      dtype: of the events.
      name: of the bijector.

    Examples:
      >>> DiagonalScale((2,)).forward([[1.0, 2.0]]).numpy().tolist()
      [[1.0, 2.0]]

    References:
      Dinh, Krueger, Bengio. NICE: Non-linear independent components estimation. ICLR
      workshop 2015. arXiv:1410.8516
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        depth: int = 1,
        dtype: Any = tf.float32,
        name: str = "diagonal_scale",
    ):
        parameters = dict(locals())
        shape, dtype = as_shape(event_shape), tf.as_dtype(dtype)
        zeros = np.zeros(shape, dtype.as_numpy_dtype)
        weights = Parameters({"scale": zeros}, dtype=dtype.name, name=f"{name}_weights")
        self._gain = gains.scale(zeros.size, depth)
        super().__init__(
            shape,
            layers={"weights": weights},
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=True,
        )

    def _log_scale(self):
        return tf.asinh(self._gain * self._layers["weights"]["scale"])

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        log_scale = self._log_scale()
        return x * tf.exp(log_scale), tf.reduce_sum(log_scale)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        log_scale = self._log_scale()
        return y * tf.exp(-log_scale), -tf.reduce_sum(log_scale)
