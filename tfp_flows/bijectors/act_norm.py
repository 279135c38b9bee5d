"""Normalisation by learned or fitted means and scales."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.position_affine import AffineMap, PositionAffine
from tfp_flows.bijectors.shapes import as_shape
from tfp_flows.networks import gains
from tfp_flows.networks.moments import moments
from tfp_flows.networks.weights.parameters import Parameters


class _Normalizer(KerasBijector):
    """forward: y = (x + shift) * exp(log_scale) + center; set from moments of data."""

    _trainable: bool
    _share = 1.0  # what is kept of shift and log_scale is divided by it, see `gains`

    def __init__(self, event_shape, weight_shape, dtype, name, parameters):
        dtype = tf.as_dtype(dtype)
        zeros = np.zeros(weight_shape, dtype.as_numpy_dtype)
        map_of_units = {"shift": zeros, "log_scale": zeros}
        fixed = {"center": zeros, "adapted": np.array(False)}
        weights = Parameters(
            trainable=map_of_units if self._trainable else {},
            fixed=fixed if self._trainable else {**map_of_units, **fixed},
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
        self._weight_shape = self._no_dependency(tuple(weight_shape))

    @property
    def is_affine(self) -> bool:
        """True."""
        return True

    def keeps_order(self, order: np.ndarray) -> bool:
        """Returns True: units do not meet."""
        return True

    @property
    def is_adapted(self) -> bool:
        """Whether `adapt` was called, now or before the weights were saved."""
        return bool(self._layers["weights"]["adapted"].numpy())

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Sets the weights so that this batch leaves with mean 0 and variance 1.

        Units that do not vary keep the scale 1. Call it outside of a replica's step.

        Args:
          y: `[N, *event_shape]`, N >= 2.
          context: not used.

        Raises:
          ValueError: if there are fewer than two values a weight, or one is not finite.
        """
        size = math.prod(self._weight_shape)
        rows = np.reshape(y, [-1, size])
        found = moments(rows, self.dtype.as_numpy_dtype, self.name)
        values = {
            "center": found.center,
            "shift": found.rest / self._share,
            "log_scale": np.log(found.scale) / self._share,
        }
        self._layers["weights"].assign(
            adapted=True,
            **{k: v.reshape(self._weight_shape) for k, v in values.items()},
        )

    def _factors(self):
        """Returns shift, log_scale and center."""
        weights = self._layers["weights"]
        shift, log_scale = (
            tf.convert_to_tensor(weights[name]) * self._share
            for name in ("shift", "log_scale")
        )
        return shift, log_scale, tf.convert_to_tensor(weights["center"])

    def forward_and_log_det(self, x, context=None):
        """Returns y and log|det dy/dx|."""
        shift, log_scale, center = self._factors()
        y = (x + shift) * tf.exp(log_scale) + center
        return y, self._copies * tf.reduce_sum(log_scale)

    def inverse_and_log_det(self, y, context=None):
        """Returns x and log|det dx/dy|."""
        shift, log_scale, center = self._factors()
        # The difference first: near the centre it is exact, however far out that is.
        x = (y - center) * tf.exp(-log_scale) - shift
        return x, -self._copies * tf.reduce_sum(log_scale)


class ActNorm(_Normalizer, PositionAffine):
    """A learned scale and shift for each channel, initialised from data (Glow) [1].

    forward:  y = (x + shift) * exp(log_scale) + center
    inverse:  x = (y - center) * exp(-log_scale) - shift
    log_det:  height * width * sum(log_scale), the same for every event

    Vectors have a weight for each feature, higher ranks for each channel of the last
    axis. `adapt` sets the weights once so that a batch leaves towards the latent side
    with mean 0 and variance 1; nothing else does, and the fact is saved with them.

    The shift is on the latent side, so a step of an optimizer moves the latent variable
    by about its rate whatever the unit of the data. The centre is the mean of the data
    that `adapt` saw, rounded, and not trained: a shift of 1e6 scales would be too
    coarse in float32 to be trained. Where a `Chain` multiplies an act norm with a
    neighbouring matrix, the centre becomes part of a bias and rounds like one; put
    `Standardize` before those where data lie far from 0, as the recipes do.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`.

    Args:
      event_shape: shape of one event.
      depth: steps of the flow that an event passes through, see `networks.gains`.
      dtype: of the events.
      name: of the bijector.

    Examples:
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
        depth: int = 1,
        dtype: Any = tf.float32,
        name: str = "act_norm",
    ):
        parameters = dict(locals())
        shape = as_shape(event_shape)
        self._share = gains.share(depth)
        super().__init__(shape, shape[-1:], dtype, name, parameters)

    def forward_map(self):
        """Returns the map from the latent to the data side."""
        shift, log_scale, center = self._factors()
        scale = tf.exp(log_scale)
        bias = shift * scale + center
        return AffineMap(scale, bias, tf.reduce_sum(log_scale))

    def inverse_map(self):
        """Returns the map from the data to the latent side."""
        shift, log_scale, center = self._factors()
        scale = tf.exp(-log_scale)
        bias = -center * scale - shift
        return AffineMap(scale, bias, -tf.reduce_sum(log_scale))


class Standardize(_Normalizer):
    """Removes the mean and the scale of a data set; not trained.

    forward:  y = (x + shift) * exp(log_scale) + center
    inverse:  x = (y - center) * exp(-log_scale) - shift
    log_det:  sum(log_scale), the same for every event

    `adapt` fits all three from data; they are saved with the flow and never trained, so
    the likelihood stays one of the data in its own units. `center + shift *
    exp(log_scale)` is the mean: the second part is what float32 rounds off the first.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`.

    Args:
      event_shape: shape of one event.
      per: "unit" for a mean and scale of each unit, or "channel" for those of the last
        axis, the same at all positions.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: for an unknown `per`.

    Examples:
      >>> standardize = Standardize((2,))
      >>> standardize.adapt(tf.constant([[0.0, 10.0], [2.0, 30.0]]))
      >>> print(standardize.inverse(tf.constant([[2.0, 30.0]])).numpy().round(3))
      [[1. 1.]]
    """

    _trainable = False

    def __init__(
        self,
        event_shape: Sequence[int],
        per: str = "unit",
        *,
        dtype: Any = tf.float32,
        name: str = "standardize",
    ):
        parameters = dict(locals())
        shape = as_shape(event_shape)
        if per not in ("unit", "channel"):
            raise ValueError(
                f"{name} needs moments per 'unit' or per 'channel', got {per!r}."
            )
        weight_shape = shape if per == "unit" else shape[-1:]
        super().__init__(shape, weight_shape, dtype, name, parameters)
