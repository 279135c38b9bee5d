"""A base with heavy tails, as heavy as the data's."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions.bases import Base
from tfp_flows.networks.weights.parameters import Parameters

# Of log((df - 1) / 4): so df is between 1.03 and 595, where a normal is as good.
_BOUND = 5.0
_BEGINNING = 4.0


class StudentT(Base):
    """Independent Student-t variables of scale 1 with learned degrees of freedom.

    log p(z) = -sum(log B(1/2, df/2) + log(df) / 2 + (df + 1)/2 log(1 + z^2 / df))

    A flow of splines or of bounded affine maps keeps the tails of its base: normal ones
    fall faster than any power, these as |z|^-(df + 1). Each unit has df of its own,
    which begins at 5 and is trained between 1.03 and 595.

    Events are drawn from two uniform numbers a unit by the polar method [1], in closed
    form, where a quantile function would take an iteration:
    z = sqrt(df (u^(-2/df) - 1)) cos(2 pi v). Gradients reach df through it.

    Shapes: z `[*batch, *event_shape]` -> log_prob `[*batch]`.

    Args:
      event_shape: shape of one event.
      dtype: of the events.
      name: of the distribution.

    Examples:
      >>> print(StudentT((1,)).log_prob([[0.0], [10.0]]).numpy().round(3))
      [ -0.969 -10.102]

    References:
      [1] Bailey. Polar generation of random variates with the t-distribution.
          Mathematics of Computation 62, 1994.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        dtype: Any = tf.float32,
        name: str = "student_t",
    ):
        parameters = dict(locals())
        super().__init__(
            event_shape, 2 * math.prod(event_shape), dtype, parameters, name
        )
        self._layer = Parameters(
            {"raw_df": np.zeros(event_shape)},
            dtype=self.dtype.name,
            name=f"{name}_weights",
        )
        self._keras_layers = self._no_dependency((self._layer,))
        self._weights = [v.value for v in self._layer.variables]

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def keras_layers(self) -> tuple[keras.Layer, ...]:
        """The layer that owns the degrees of freedom."""
        return self._keras_layers

    @property
    def df(self) -> tf.Tensor:
        """Degrees of freedom `[*event_shape]`."""
        raw = tf.convert_to_tensor(self._layer["raw_df"])
        return 1.0 + _BEGINNING * tf.exp(_BOUND * tf.tanh(raw / _BOUND))

    def _log_prob(self, z):
        df = self.df
        half = tf.constant(0.5, self.dtype)
        log_normalizer = tfp.math.lbeta(half, df / 2) + 0.5 * tf.math.log(df)
        log_kernel = 0.5 * (df + 1.0) * tf.math.log1p(tf.square(z) / df)
        return -self._sum(log_kernel + log_normalizer)

    def from_uniform(self, u: tf.Tensor) -> tf.Tensor:
        """Maps uniform numbers to events by the polar method; see `Base`."""
        u, v = (self._uniform_to_event(part) for part in tf.split(u, 2, axis=-1))
        df = self.df
        radius = tf.sqrt(df * tf.math.expm1(-2.0 / df * tf.math.log(u)))
        return radius * tf.cos(2.0 * math.pi * v)

    def _mean(self):
        return tf.zeros(self._shape, self.dtype)

    def _variance(self):
        df, infinity = self.df, tf.constant(math.inf, self.dtype)
        return tf.where(df > 2.0, df / tf.maximum(df - 2.0, 1e-6), infinity)
