"""Base distributions over the latent variable z."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import noise
from tfp_flows.distributions.model import Model

tfb, tfd = tfp.bijectors, tfp.distributions


class Base(tfd.Distribution):
    """A distribution over events of a fixed shape, without batch dimensions.

    Besides what every `tfd.Distribution` has, a base turns uniform numbers into an
    event, so that a server can draw row after row from seeds of its own.

    Args:
      event_shape: shape of one event.
      num_uniforms: uniform numbers that one event takes.
      dtype: of the events.
      parameters: the constructor's arguments.
      name: of the distribution.

    Examples:
      >>> base = StandardNormal((2,))
      >>> isinstance(base, Base), base.num_uniforms
      (True, 2)
      >>> base.from_uniform(tf.fill([3, 2], 0.5)).shape
      TensorShape([3, 2])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_uniforms: int,
        dtype: Any,
        parameters: dict,
        name: str,
    ):
        self._shape = tf.TensorShape(event_shape)
        self.num_uniforms = num_uniforms
        super().__init__(
            dtype=tf.as_dtype(dtype),
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def from_uniform(self, u: tf.Tensor) -> tf.Tensor:
        """Maps independent uniform numbers to an event.

        Args:
          u: `[*batch, num_uniforms]` in (0, 1).

        Returns:
          `[*batch, *event_shape]`, distributed as this base.
        """
        raise NotImplementedError(f"{self.name} draws no events from uniform numbers.")

    def tempered(self, z: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        """Scales the noise of events about the centre of the base.

        Args:
          z: `[*batch, *event_shape]`.
          temperature: broadcasts with z; 1 changes nothing.
        """
        mean = centre(self)
        return mean + temperature * (z - mean)

    def _event_shape(self):
        return self._shape

    def _event_shape_tensor(self):
        return tf.constant(self._shape.as_list(), tf.int32)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}  # no batch dimensions

    def _default_event_space_bijector(self):
        return tfb.Identity()

    def _sample_n(self, n, seed=None):
        # By quantiles, not by TensorFlow's normals: as fast, and row by row.
        seed = noise.salted(seed, salt=type(self).__name__)
        u = noise.uniform([n, self.num_uniforms], seed, self.dtype)
        return self.from_uniform(u)

    def _sum(self, x):
        return tf.reduce_sum(
            x, list(range(x.shape.rank - self._shape.rank, x.shape.rank))
        )

    def _uniform_to_event(self, u):
        return tf.reshape(u, tf.concat([tf.shape(u)[:-1], self._shape], axis=0))


class StandardNormal(Base):
    """Independent normal variables of mean 0 and variance 1.

    log p(z) = -(|z|^2 + D log(2 pi)) / 2, in nats

    Shapes: z `[*batch, *event_shape]` -> log_prob `[*batch]`.

    Args:
      event_shape: shape of one event.
      dtype: of the events.
      name: of the distribution.

    Examples:
      >>> print(StandardNormal((2,)).log_prob([[0.0, 0.0]]).numpy().round(3))
      [-1.838]
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        dtype: Any = tf.float32,
        name: str = "standard_normal",
    ):
        parameters = dict(locals())
        size = math.prod(event_shape)
        self._log_normalizer = 0.5 * size * math.log(2 * math.pi)
        super().__init__(event_shape, size, dtype, parameters, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _log_prob(self, z):
        return -0.5 * self._sum(tf.square(z)) - self._log_normalizer

    def from_uniform(self, u: tf.Tensor) -> tf.Tensor:
        """Maps uniform numbers through the quantile function; see `Base`."""
        return self._uniform_to_event(tf.math.ndtri(u))

    def _mean(self):
        return tf.zeros(self._shape, self.dtype)

    def _variance(self):
        return tf.ones(self._shape, self.dtype)

    def _stddev(self):
        return tf.ones(self._shape, self.dtype)

    def _entropy(self):
        return tf.constant(self._log_normalizer + 0.5 * self.num_uniforms, self.dtype)


class StandardLogistic(Base):
    """Independent logistic variables of mean 0 and scale 1, NICE's prior.

    log p(z) = -sum(z + 2 softplus(-z)), in nats

    Shapes: z `[*batch, *event_shape]` -> log_prob `[*batch]`.

    Args:
      event_shape: shape of one event.
      dtype: of the events.
      name: of the distribution.

    Examples:
      >>> print(StandardLogistic((1,)).log_prob([[0.0]]).numpy().round(3))
      [-1.386]
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        dtype: Any = tf.float32,
        name: str = "standard_logistic",
    ):
        parameters = dict(locals())
        super().__init__(event_shape, math.prod(event_shape), dtype, parameters, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _log_prob(self, z):
        return -self._sum(tf.abs(z) + 2.0 * tf.nn.softplus(-tf.abs(z)))

    def from_uniform(self, u: tf.Tensor) -> tf.Tensor:
        """Maps uniform numbers through the quantile function; see `Base`."""
        return self._uniform_to_event(_logit(u))

    def _mean(self):
        return tf.zeros(self._shape, self.dtype)

    def _variance(self):
        return tf.fill(self._shape, self.dtype.as_numpy_dtype(math.pi**2 / 3))


def centre(base: tfd.Distribution) -> tf.Tensor:
    """Returns the mean of a base, about which temperatures scale.

    Raises:
      ValueError: where there is no finite one.
    """
    try:
        mean = base.mean()
        known = _known(base, mean)
    except (NotImplementedError, ValueError):  # TFP refuses NaN if told to
        known = math.nan
    if known is not None and not np.isfinite(known).all():
        raise ValueError(
            f"A temperature scales the noise about the mean of the base distribution, "
            f"and {base.name!r} has no finite one. Sample with temperature=1, or give "
            "the flow a base with a mean, such as a normal or a logistic."
        )
    return mean


def _known(base, mean):
    """The mean as an array, also inside of a graph, or None if it follows from it."""
    value = tf.get_static_value(mean)
    if value is not None:
        return value
    try:
        with tf.init_scope():
            return tf.get_static_value(base.mean())
    except (TypeError, ValueError):  # made of tensors of the graph
        return None


def seed_for(distribution: tfd.Distribution, seed: tf.Tensor) -> tf.Tensor:
    """Returns a seed as a distribution takes it; those of TFP know no places.

    Args:
      distribution: that is to be sampled.
      seed: int32 `[2]` or `[3]`, as from `noise.salted`.
    """
    if seed.shape == [2] or isinstance(distribution, (Base, Model)):
        return seed
    return tf.random.experimental.stateless_fold_in(seed[:2], seed[2])


def independent_parts(distribution: tfd.Distribution) -> list[Base] | None:
    """Returns the bases of a joint distribution of nothing but bases, else None.

    Args:
      distribution: any.

    Examples:
      >>> pair = tfd.JointDistributionSequential([StandardNormal((2,))] * 2)
      >>> len(independent_parts(pair))
      2
    """
    parts = getattr(distribution, "model", None)
    if not isinstance(parts, (list, tuple)) or not parts:
        return None
    return list(parts) if all(isinstance(part, Base) for part in parts) else None


def _logit(u):
    return tf.math.log(u) - tf.math.log1p(-u)
