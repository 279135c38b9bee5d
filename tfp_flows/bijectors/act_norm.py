"""Normalisation by learned or fitted means and scales."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector, as_shape
from tfp_flows.bijectors.position_affine import AffineMap, PositionAffine
from tfp_flows.networks.parameters import Parameters


class _Normalizer(KerasBijector):
    """forward: y = x * exp(log_scale) + shift; set from the moments of a batch."""

    _trainable: bool

    def __init__(self, event_shape, weight_shape, dtype, name, parameters):
        dtype = tf.as_dtype(dtype)
        zeros = np.zeros(weight_shape, dtype.as_numpy_dtype)
        moments = {"shift": zeros, "log_scale": zeros}
        adapted = {"adapted": np.array(False)}
        weights = Parameters(
            trainable=moments if self._trainable else {},
            fixed=adapted if self._trainable else {**moments, **adapted},
            dtype=dtype.name,
            name=f"{name}_weights",
        )
        super().__init__(
            event_shape,
            layers={"weights": weights},
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=True,
        )
        # Each weight acts on this many units of an event.
        self._copies = math.prod(self._event_shape) // math.prod(weight_shape)
        self._weight_ndims = len(weight_shape)

    @property
    def is_adapted(self) -> bool:
        """Whether `adapt` was called, now or before the weights were saved."""
        return bool(self._layers["weights"]["adapted"].numpy())

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Sets shift and scale so that this batch leaves with mean 0 and variance 1.

        Units that do not vary keep the scale 1. Call it outside of a replica's step.

        Args:
          y: `[N, *event_shape]`, N >= 2.
          context: not used.

        Raises:
          ValueError: if there are fewer than two values a weight, or one is not finite.
        """
        axes = list(range(y.shape.rank - self._weight_ndims))
        # In float64: the variance of 1e6 + noise is lost in float32.
        wide = tf.cast(y, tf.float64)
        mean, variance = (m.numpy() for m in tf.nn.moments(wide, axes))
        if int(y.shape[0]) * self._copies < 2 or not np.isfinite(variance).all():
            raise ValueError(
                f"{self.name!r} needs at least 2 finite events to adapt, got a batch "
                f"of shape {y.shape} with variances from {variance.min()} "
                f"to {variance.max()}."
            )
        varies = variance > 1e-12 * np.maximum(1.0, mean**2)
        log_scale = np.where(varies, 0.5 * np.log(np.where(varies, variance, 1.0)), 0.0)
        self._layers["weights"].assign(shift=mean, log_scale=log_scale, adapted=True)

    def _forward_and_log_det(self, x, context=None):
        weights = self._layers["weights"]
        log_scale = tf.convert_to_tensor(weights["log_scale"])
        y = x * tf.exp(log_scale) + weights["shift"]
        return y, self._copies * tf.reduce_sum(log_scale)

    def _inverse_and_log_det(self, y, context=None):
        weights = self._layers["weights"]
        log_scale = tf.convert_to_tensor(weights["log_scale"])
        x = (y - weights["shift"]) * tf.exp(-log_scale)
        return x, -self._copies * tf.reduce_sum(log_scale)


class ActNorm(_Normalizer, PositionAffine):
    """A learned scale and shift for each channel, initialised from data (Glow) [1].

    forward:  y = x * exp(log_scale) + shift;  inverse:  x = (y - shift) exp(-log_scale)
    log_det:  height * width * sum(log_scale), the same for every event

    Vectors have a weight for each feature, higher ranks for each channel of the last
    axis. `adapt` sets the weights once so that a batch leaves towards the latent side
    with mean 0 and variance 1; nothing else does, and the fact is saved with them.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`.

    Args:
      event_shape: shape of one event.
      dtype: of the events.
      name: of the bijector.

    Example:
      >>> ActNorm((3,)).forward(tf.ones([5, 3])).shape
      TensorShape([5, 3])

    References:
      [1] Kingma, Dhariwal. Glow: Generative flow with invertible 1x1 convolutions.
          NeurIPS 2018. arXiv:1807.03039
    """

    _trainable = True

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        dtype: Any = tf.float32,
        name: str = "act_norm",
    ):
        parameters = dict(locals())
        shape = as_shape(event_shape)
        super().__init__(shape, shape[-1:], dtype, name, parameters)

    def _forward_map(self):
        weights = self._layers["weights"]
        log_scale = tf.convert_to_tensor(weights["log_scale"])
        shift = tf.convert_to_tensor(weights["shift"])
        return AffineMap(tf.exp(log_scale), shift, tf.reduce_sum(log_scale))

    def _inverse_map(self):
        weights = self._layers["weights"]
        log_scale = tf.convert_to_tensor(weights["log_scale"])
        scale = tf.exp(-log_scale)
        return AffineMap(scale, -weights["shift"] * scale, -tf.reduce_sum(log_scale))


class Standardize(_Normalizer):
    """Removes the mean and the scale of a data set, feature by feature; not trained.

    forward:  y = x * exp(log_scale) + shift;  inverse:  x = (y - shift) exp(-log_scale)
    log_det:  sum(log_scale), the same for every event

    `adapt` fits both from data; they are saved with the flow and never trained, so the
    likelihood stays one of the data in its own units.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`.

    Args:
      event_shape: shape of one event; each unit has its own mean and scale.
      dtype: of the events.
      name: of the bijector.

    Example:
      >>> standardize = Standardize((2,))
      >>> standardize.adapt(tf.constant([[0.0, 10.0], [2.0, 30.0]]))
      >>> print(standardize.inverse(tf.constant([[2.0, 30.0]])).numpy().round(3))
      [[1. 1.]]
    """

    _trainable = False

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        dtype: Any = tf.float32,
        name: str = "standardize",
    ):
        parameters = dict(locals())
        shape = as_shape(event_shape)
        super().__init__(shape, shape, dtype, name, parameters)
