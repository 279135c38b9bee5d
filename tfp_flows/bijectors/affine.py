"""Affine maps with weights of their own: diagonal and triangular."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.precision import matmul
from tfp_flows.bijectors.shapes import as_shape
from tfp_flows.networks import gains
from tfp_flows.networks.moments import moments
from tfp_flows.networks.parameters import Parameters


class DiagonalScale(KerasBijector):
    """NICE's last layer: a learned positive scale for each unit (Dinh et al., 2015).

    forward:  y = x * exp(log_scale);  inverse:  x = y * exp(-log_scale)
    log_det:  sum(log_scale), the same for every event

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`.

    Args:
      event_shape: shape of one event.
      dtype: of the events.
      name: of the bijector.

    Example:
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

    def forward_and_log_det(self, x, context=None):
        """Returns y and log|det dy/dx|."""
        log_scale = tf.convert_to_tensor(self._layers["weights"]["log_scale"])
        return x * tf.exp(log_scale), tf.reduce_sum(log_scale)

    def inverse_and_log_det(self, y, context=None):
        """Returns x and log|det dx/dy|."""
        log_scale = tf.convert_to_tensor(self._layers["weights"]["log_scale"])
        return y * tf.exp(-log_scale), -tf.reduce_sum(log_scale)


class TriangularAffine(KerasBijector):
    """A learned mean and Cholesky factor: the full-covariance Gaussian as a flow.

    forward:  y = center + D (L x + shift),  D = diag(exp(log_diagonal)),
              L = 1 + strictly_lower(s below), s = `gains.matrix` of the units
    inverse:  x = L^-1 (D^-1 (y - center) - shift)
    log_det:  sum(log_diagonal), the same everywhere

    `adapt` sets mean and D L to the maximum-likelihood estimate, in closed form. The
    centre is the mean, rounded, and is not trained: so a step of an optimizer moves the
    latent variable by about its rate, whatever the unit of the data.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`; D and L are `[D, D]` over the
    flattened event.

    Args:
      event_shape: shape of one event.
      dtype: of the events.
      name: of the bijector.

    Example:
      >>> TriangularAffine((3,)).inverse(tf.zeros([5, 3])).shape
      TensorShape([5, 3])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        dtype: Any = tf.float32,
        name: str = "triangular_affine",
    ):
        parameters = dict(locals())
        shape, dtype = as_shape(event_shape), tf.as_dtype(dtype)
        size = math.prod(shape)
        vector = np.zeros(size, dtype.as_numpy_dtype)
        # Only the entries below the diagonal are weights: no dead ones are counted.
        below = np.zeros(size * (size - 1) // 2, dtype.as_numpy_dtype)
        weights = Parameters(
            {"shift": vector, "log_diagonal": vector, "below": below},
            {"center": vector, "adapted": np.array(False)},
            dtype=dtype.name,
            name=f"{name}_weights",
        )
        super().__init__(
            shape,
            layers={"weights": weights},
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=True,
        )
        self._size, self._scale = size, gains.matrix(size)
        self._below = self._no_dependency(np.stack(np.tril_indices(size, -1), axis=-1))

    @property
    def is_adapted(self) -> bool:
        """Whether mean and covariance were estimated from data."""
        return bool(self._layers["weights"]["adapted"].numpy())

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Sets mean and factor to the maximum-likelihood estimate.

        Args:
          y: `[N, *event_shape]`, with more events than dimensions.
          context: not used.

        Raises:
          ValueError: if the sample covariance is not positive definite.
        """
        rows = np.reshape(y, [-1, self._size])
        found = moments(rows, self.dtype.as_numpy_dtype, self.name)
        white = (rows - found.center) / found.scale - found.rest
        try:
            factor = np.linalg.cholesky(white.T @ white / len(rows))
        except np.linalg.LinAlgError:
            raise ValueError(
                f"{self.name!r} needs data of full rank to adapt, got {len(rows)} "
                f"events of {self._size} units with a singular covariance. Give more "
                "events, drop constant units, or dequantize integers."
            ) from None
        diagonal = np.diag(factor)
        below = (factor / diagonal[:, None])[tuple(self._below.T)]
        self._layers["weights"].assign(
            center=found.center,
            shift=found.rest / diagonal,
            log_diagonal=np.log(diagonal) + np.log(found.scale),
            below=below / self._scale,
            adapted=True,
        )

    def _unit_lower(self):
        below = self._scale * tf.convert_to_tensor(self._layers["weights"]["below"])
        shape = [self._size, self._size]
        return tf.scatter_nd(self._below, below, shape) + tf.eye(
            self._size, dtype=self.dtype
        )

    def forward_and_log_det(self, x, context=None):
        """Returns y and log|det dy/dx|."""
        weights = self._layers["weights"]
        log_diagonal = tf.convert_to_tensor(weights["log_diagonal"])
        rows = tf.reshape(x, [-1, self._size])
        rows = matmul(rows, self._unit_lower(), transpose_b=True) + weights["shift"]
        rows = rows * tf.exp(log_diagonal) + weights["center"]
        return tf.reshape(rows, tf.shape(x)), tf.reduce_sum(log_diagonal)

    def inverse_and_log_det(self, y, context=None):
        """Returns x and log|det dx/dy|."""
        weights = self._layers["weights"]
        log_diagonal = tf.convert_to_tensor(weights["log_diagonal"])
        rows = tf.reshape(y, [-1, self._size]) - weights["center"]
        rows = rows * tf.exp(-log_diagonal) - weights["shift"]
        # One solve with all rows as columns: a solve a row is 40 times slower.
        columns = tf.linalg.triangular_solve(self._unit_lower(), tf.transpose(rows))
        x = tf.reshape(tf.transpose(columns), tf.shape(y))
        return x, -tf.reduce_sum(log_diagonal)
