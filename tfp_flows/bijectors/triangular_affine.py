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
from tfp_flows.networks.weights.parameters import Parameters


class TriangularAffine(KerasBijector):
    """A learned mean and Cholesky factor: the full-covariance Gaussian as a flow.

    forward:  y = center + diag(unit) F (D L x + shift),  D = diag(exp(log_diagonal)),
              L = 1 + strictly_lower(s below), s = `gains.matrix` of the units
    inverse:  x = L^-1 D^-1 (F^-1 ((y - center) / unit) - shift)
    log_det:  sum(log_diagonal) + log|det diag(unit) F|, the same everywhere

    `adapt` sets centre, unit and the triangular F to the maximum-likelihood estimate,
    in closed form. They are not trained: so a step of an optimizer moves the latent
    variable by about its rate, whatever the units of the data and however close they
    lie to a subspace.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`; D, F and L are `[D, D]` over
    the flattened event.

    Args:
      event_shape: shape of one event.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: by `adapt`, for events whose covariance is singular.

    Examples:
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
            {
                "center": vector,
                "unit": vector + 1,
                "factor": np.eye(size, dtype=dtype.as_numpy_dtype),
                "adapted": np.array(False),
            },
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
    def is_affine(self) -> bool:
        """True."""
        return True

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
        below = self._layers["weights"]["below"]
        self._layers["weights"].assign(
            center=found.center,
            unit=found.scale,
            factor=factor,
            shift=np.linalg.solve(factor, found.rest),
            log_diagonal=np.zeros(self._size),
            below=np.zeros(below.shape),
            adapted=True,
        )

    def _trained(self):
        """Returns D and log|det D|, and L."""
        weights = self._layers["weights"]
        log_diagonal = tf.convert_to_tensor(weights["log_diagonal"])
        below = self._scale * tf.convert_to_tensor(weights["below"])
        lower = tf.scatter_nd(self._below, below, [self._size, self._size])
        lower = tf.linalg.set_diag(lower, tf.ones_like(log_diagonal))
        return tf.exp(log_diagonal), tf.reduce_sum(log_diagonal), lower

    def _fitted(self):
        """Returns center, unit, F, and log|det diag(unit) F|."""
        weights = self._layers["weights"]
        unit, factor = (tf.convert_to_tensor(weights[k]) for k in ("unit", "factor"))
        # Two logarithms: their product may leave what the dtype holds.
        log_det = tf.math.log(unit) + tf.math.log(tf.linalg.diag_part(factor))
        return weights["center"], unit, factor, tf.reduce_sum(log_det)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        center, unit, factor, log_det = self._fitted()
        diagonal, log_det_trained, lower = self._trained()
        rows = tf.reshape(x, [-1, self._size])
        rows = matmul(rows, lower, transpose_b=True) * diagonal
        rows = rows + self._layers["weights"]["shift"]
        rows = matmul(rows, factor, transpose_b=True) * unit + center
        return tf.reshape(rows, tf.shape(x)), log_det + log_det_trained

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        center, unit, factor, log_det = self._fitted()
        diagonal, log_det_trained, lower = self._trained()
        rows = (tf.reshape(y, [-1, self._size]) - center) / unit
        # One solve with all rows as columns: a solve a row is 40 times slower.
        columns = tf.linalg.triangular_solve(factor, tf.transpose(rows))
        columns -= self._layers["weights"]["shift"][:, None]
        columns = tf.linalg.triangular_solve(lower, columns / diagonal[:, None])
        x = tf.reshape(tf.transpose(columns), tf.shape(y))
        return x, -log_det - log_det_trained
