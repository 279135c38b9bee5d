"""Normalisation by the statistics of batches, as a bijector."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.shapes import as_shape
from tfp_flows.networks import gains
from tfp_flows.networks.moments import moments
from tfp_flows.networks.weights.parameters import Parameters
from tfp_flows.networks.weights.training_mode import TrainingMode


class BatchNorm(KerasBijector):
    """Batch normalisation between the steps of a flow (Dinh et al.; MAF) [1, 2].

    inverse:  u = (y - center) / unit
              x = (u - mean) / sqrt(variance + epsilon) * exp(log_scale) + shift
    forward:  u = (x - shift) exp(-log_scale) sqrt(variance + epsilon) + mean
              y = unit u + center
    log_det:  of the inverse: sum(log_scale - log(variance + epsilon) / 2 - log unit),
              the same for every event

    Center and unit are the moments of the data that `adapt` saw, and fixed: epsilon is
    a share of the data's own variance, and neither scale nor offset costs precision.

    Mean and variance are running averages, so forward and inverse are exact inverses
    and every event has a density of its own. Only when a Keras model trains (`fit`
    calls its layers with training=True), the inverse takes the statistics of the batch
    instead, gradients flow through them, and the running averages move:

    mean <- momentum mean + (1 - momentum) mean of the batch, and so the variance

    A loss of one batch is then no likelihood, since its events see each other: judge
    by `evaluate`. Under `tf.distribute` the batch is that of all replicas together.
    `adapt` sets center, unit and averages to the moments of data: before training, so
    that they begin right, and after it, to have those of the whole data set, as in [2].

    Vectors have weights for each feature, higher ranks for each channel of the last
    axis.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`.

    Args:
      event_shape: shape of one event.
      momentum: of the running averages, in [0, 1).
      epsilon: added to variances, as a share of the variance of the data.
      depth: steps of the flow that an event passes through, see `networks.gains`.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: if a number is out of its range.

    Examples:
      >>> BatchNorm((3,)).forward(tf.ones([5, 3])).shape
      TensorShape([5, 3])

    References:
      [1] Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017.
          arXiv:1605.08803
      [2] Papamakarios, Pavlakou, Murray. Masked autoregressive flow for density
          estimation. NeurIPS 2017. arXiv:1705.07057
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        momentum: float = 0.99,
        epsilon: float = 1e-5,
        depth: int = 1,
        dtype: Any = tf.float32,
        name: str = "batch_norm",
    ):
        parameters = dict(locals())
        shape, dtype = as_shape(event_shape), tf.as_dtype(dtype)
        if not (0 <= momentum < 1 and 0 < epsilon < 1):
            raise ValueError(
                f"{name} needs 0 <= momentum < 1 and 0 < epsilon < 1, got {momentum} "
                f"and {epsilon}."
            )
        super().__init__(
            shape,
            layers={"weights": _weights(shape[-1:], epsilon, dtype, name)},
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=True,
        )
        self._momentum, self._epsilon = float(momentum), float(epsilon)
        self._copies = math.prod(shape[:-1])  # units that share a weight
        self._share = gains.share(depth)
        self._mode = TrainingMode()

    @property
    def is_adapted(self) -> bool:
        """Whether `adapt` was called, now or before the weights were saved."""
        return bool(self._layers["weights"]["adapted"].numpy())

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Sets center, unit and running averages to the moments of data.

        Args:
          y: `[N, *event_shape]`, as much of the data as fits.
          context: not used.

        Raises:
          ValueError: if there are fewer than two values a weight, or one is not finite.
        """
        rows = np.reshape(y, [-1, self._event_shape[-1]])
        found = moments(rows, self.dtype.as_numpy_dtype, self.name)
        self._layers["weights"].assign(
            center=found.center,
            log_unit=np.log(found.scale),
            mean=found.rest,
            variance=found.varies.astype(np.float64),  # 0 in constant channels
            adapted=True,
        )

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        weights = self._layers["weights"]
        log_scale, shift = self._trained()
        spread = weights["variance"] + self._epsilon
        u = (x - shift) * tf.exp(-log_scale) * tf.sqrt(spread) + weights["mean"]
        y = u * tf.exp(weights["log_unit"]) + weights["center"]
        return y, -self._log_det(log_scale, spread)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        weights = self._layers["weights"]
        mean, variance = weights["mean"], weights["variance"]
        u = (y - weights["center"]) * tf.exp(-weights["log_unit"])
        if self._mode.current() and y.shape.rank > len(self._event_shape):
            batch = _moments(u)
            self._follow(mean, variance, batch)
            mean, variance = batch
        (log_scale, shift), spread = self._trained(), variance + self._epsilon
        x = (u - mean) * tf.math.rsqrt(spread) * tf.exp(log_scale) + shift
        return x, self._log_det(log_scale, spread)

    def _trained(self):
        """Returns log_scale and shift."""
        weights = self._layers["weights"]
        return weights["log_scale"] * self._share, weights["shift"] * self._share

    def _log_det(self, log_scale, spread):
        log_slope = log_scale - 0.5 * tf.math.log(spread)
        log_slope -= self._layers["weights"]["log_unit"]
        return self._copies * tf.reduce_sum(log_slope)

    def _follow(self, mean, variance, batch):
        """Moves the running averages; a batch that is not finite leaves them."""
        is_finite = tf.math.is_finite(batch[0] + batch[1])
        new = {}
        for key, old, seen in zip(
            ("mean", "variance"), (mean, variance), batch, strict=True
        ):
            moved = old + (1 - self._momentum) * (seen - old)
            new[key] = tf.where(is_finite, moved, old)
        self._layers["weights"].assign(**new)


def _weights(shape, epsilon, dtype, name):
    zeros = np.zeros(shape, dtype.as_numpy_dtype)
    fixed = {
        "mean": zeros,
        # With epsilon added it is 1: the identity, before it has seen data.
        "variance": zeros + (1 - epsilon),
        "center": zeros,
        "log_unit": zeros,
        "adapted": np.array(False),
    }
    trained = {"shift": zeros, "log_scale": zeros}
    return Parameters(trained, fixed, dtype=dtype.name, name=f"{name}_weights")


def _moments(y):
    """Mean and variance of the whole batch, over all replicas, each a message."""
    axes = list(range(y.shape.rank - 1))
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tf.nn.moments(y, axes)

    def total(value):
        return context.all_reduce(tf.distribute.ReduceOp.SUM, value)

    size = tf.cast(tf.size(y) / y.shape[-1], y.dtype)
    sums, size = total([tf.reduce_sum(y, axes), size])
    mean = sums / size
    return mean, total(tf.reduce_sum(tf.math.squared_difference(y, mean), axes)) / size
