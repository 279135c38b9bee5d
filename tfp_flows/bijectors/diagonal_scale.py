"""A learned scale for each unit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.shapes import as_shape
from tfp_flows.networks.weights.parameters import Parameters


class DiagonalScale(KerasBijector):
    """NICE's last layer: a learned positive scale for each unit (Dinh et al., 2015).

    forward:  y = x * exp(log_scale);  inverse:  x = y * exp(-log_scale)
    log_det:  sum(log_scale), the same for every event

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`.

    Args:
      event_shape: shape of one event.
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
        dtype: Any = tf.float32,
        name: str = "diagonal_scale",
    ):
        parameters = dict(locals())
        shape, dtype = as_shape(event_shape), tf.as_dtype(dtype)
        zeros = np.zeros(shape, dtype.as_numpy_dtype)
        weights = Parameters(
            {"log_scale": zeros}, dtype=dtype.name, name=f"{name}_weights"
        )
        super().__init__(
            shape,
            layers={"weights": weights},
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=True,
        )

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        log_scale = tf.convert_to_tensor(self._layers["weights"]["log_scale"])
        return x * tf.exp(log_scale), tf.reduce_sum(log_scale)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        log_scale = tf.convert_to_tensor(self._layers["weights"]["log_scale"])
        return y * tf.exp(-log_scale), -tf.reduce_sum(log_scale)
