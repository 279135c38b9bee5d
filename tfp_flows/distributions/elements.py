"""Elements: what the parameters of one unit of an autoregressive model mean."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

# Largest |log s| of a normal component around its first scale: e^7 is the range that
# PixelCNN++ allows its logistics.
_SCALE_BOUND = 7.0


class Element:
    """The distribution of one unit given its parameters, which a network computes.

    Everything works on the units of one position, or of many at once: the last axis
    (of params: the last but one) is C units that lie side by side. Params of 0 are
    where training begins, and stand for a sensible distribution.

    Implementing one: set the attributes, write `log_prob` and `from_uniform`, and
    `features` if the network is not to see the values as they are.

    Shapes: x `[..., C]`, params `[..., C, num_params]`, u `[..., C, num_uniforms]` ->
    log_prob `[...]`, features `[..., C * num_features]`.

    Attributes:
      num_params: numbers that the network gives for each unit.
      num_features: numbers that the network is shown of each unit.
      num_uniforms: uniform numbers that a draw of one unit takes.
      num_values: number of integer values, None for a continuous element.
      block_size: None if the units of a position are independent of each other; C if
        the element itself models the dependence of C units.
    """

    num_params: int
    num_features: int = 1
    num_uniforms: int = 1
    num_values: int | None = None
    block_size: int | None = None

    def log_prob(self, params: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Returns the sum of log p over the C units, `[...]`, in nats."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob.")

    def from_uniform(
        self, params: tf.Tensor, u: tf.Tensor, temperature: Any = 1.0
    ) -> tf.Tensor:
        """Maps independent uniform numbers to units.

        Args:
          params: `[..., C, num_params]`.
          u: `[..., C, num_uniforms]` in (0, 1).
          temperature: below 1 for draws nearer to the most likely ones; a number, or
            a tensor that broadcasts to `[..., C]`.

        Returns:
          `[..., C]`, int32 or of the params' dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} has no from_uniform.")

    def features(self, x: tf.Tensor, dtype: Any) -> tf.Tensor:
        """Returns how the network is shown the units, `[..., C * num_features]`.

        Args:
          x: `[..., C]`, int32 or real.
          dtype: of the result.
        """
        if self.num_values is None:
            return tf.cast(x, dtype)
        scale = 2.0 / (self.num_values - 1)  # 0 .. num_values - 1 to -1 .. 1
        return tf.cast(x, dtype) * tf.constant(scale, dtype) - tf.constant(1.0, dtype)

    def supported(self, x: tf.Tensor, dtype: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns x as `log_prob` takes it, and which units are values at all.

        Args:
          x: numbers of any type, `[...]`.
          dtype: of real units.

        Returns:
          int32 `[...]`, 0 where a unit is no value, and bool `[...]`; of a continuous
          element x in the dtype, and None.
        """
        x = tf.cast(x, dtype)
        if self.num_values is None:
            return x, None
        fits = (x >= 0) & (x < self.num_values) & (x == tf.floor(x))
        return tf.cast(tf.where(fits, x, tf.zeros_like(x)), tf.int32), fits


class Categorical(Element):
    """An integer with a free probability for each of its values.

    log p(x) = logits[x] - logsumexp(logits);  a draw is the inverse CDF of one uniform

    Temperature divides the logits.

    Args:
      num_values: number of values, 0 .. num_values - 1.
      one_hot: shows the network each value as an indicator of its own, for values
        without an order, such as characters; otherwise scaled to -1 .. 1.

    Raises:
      ValueError: if there are fewer than two values.

    Example:
      >>> element = Categorical(4)
      >>> print(element.log_prob(tf.zeros([1, 4]), tf.constant([2])).numpy().round(3))
      -1.386
      >>> element.from_uniform(tf.zeros([3, 4]), tf.constant([[0.1], [0.3], [0.9]]))
      <tf.Tensor: shape=(3,), dtype=int32, numpy=array([0, 1, 3], dtype=int32)>
    """

    def __init__(self, num_values: int, one_hot: bool = False):
        self.num_values = checked_values(num_values, "A categorical element")
        self.num_params = self.num_values
        self._one_hot = one_hot
        self.num_features = self.num_values if one_hot else 1

    def log_prob(self, params, x):
        """Returns the sum of log p over the units, `[...]`."""
        # As a list of units: with more axes of unknown size TensorFlow adds an Assert,
        # which may not be served.
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.reshape(x, [-1]), logits=tf.reshape(params, [-1, self.num_values])
        )
        return -tf.reduce_sum(tf.reshape(nll, tf.shape(x)), axis=-1)

    def from_uniform(self, params, u, temperature=1.0):
        """Returns the value whose share of (0, 1) holds u."""
        return inverse_cdf(params / column(temperature, params), u[..., 0])

    def features(self, x, dtype):
        """Returns the values scaled to -1 .. 1, or their indicators."""
        if not self._one_hot:
            return super().features(x, dtype)
        return _side_by_side(tf.one_hot(x, self.num_values, dtype=dtype))


class Bernoulli(Element):
    """A binary unit: log p(x) = log sigmoid((2 x - 1) logit).

    Temperature divides the logit.

    Example:
      >>> print(Bernoulli().log_prob(tf.zeros([2, 1]), tf.constant([0, 1])).numpy())
      -1.3862944
    """

    num_params = 1
    num_values = 2

    def log_prob(self, params, x):
        """Returns the sum of log p over the units, `[...]`."""
        sign = 2.0 * tf.cast(x, params.dtype) - 1.0
        return tf.reduce_sum(tf.math.log_sigmoid(sign * params[..., 0]), axis=-1)

    def from_uniform(self, params, u, temperature=1.0):
        """Returns 1 where u is below the probability of 1."""
        logit = (params / column(temperature, params))[..., 0]
        return tf.cast(u[..., 0] < tf.sigmoid(logit), tf.int32)


class NormalMixture(Element):
    """A real unit: sum_k pi_k N(x; mu_k, s_k^2), for data of about unit scale.

    Params: `num_components` logits, means and log-scales. At 0 the means stand apart,
    spread over -2 .. 2, so that the components do not stay equal; together they are
    about as wide as a standard normal.

    Temperature divides the logits and multiplies the scales.

    Args:
      num_components: number of normals.

    Raises:
      ValueError: if it is not positive.

    Example:
      >>> element = NormalMixture(1)
      >>> print(element.log_prob(tf.zeros([1, 3]), tf.zeros([1])).numpy().round(3))
      -0.919
    """

    num_uniforms = 2

    def __init__(self, num_components: int = 10):
        if num_components < 1:
            raise ValueError(
                f"A normal mixture needs num_components >= 1, got {num_components}."
            )
        self.num_params = 3 * num_components
        place = 2.0 * (np.arange(num_components) + 0.5) / num_components - 1.0
        self._first_means = 2.0 * place
        # Half of the way from one mean to the next: no gaps between them.
        self._first_log_scale = min(0.0, math.log(2.0 / num_components))

    def _components(self, params, temperature=None):
        """Returns logits, means and log-scales `[..., C, K]`."""
        logits, means, raw = tf.split(params, 3, axis=-1)
        means = means + tf.constant(self._first_means, params.dtype)
        log_scales = self._first_log_scale + soft_bound(raw, _SCALE_BOUND)
        if temperature is not None:
            temperature = column(temperature, params)
            logits = logits / temperature
            log_scales = log_scales + tf.math.log(temperature)
        return logits, means, log_scales

    def log_prob(self, params, x):
        """Returns the sum of log p over the units, `[...]`."""
        logits, means, log_scales = self._components(params)
        white = (x[..., None] - means) * tf.exp(-log_scales)
        log_component = (
            -0.5 * tf.square(white) - log_scales - 0.5 * math.log(2 * math.pi)
        )
        log_weights = tf.nn.log_softmax(logits)
        return tf.reduce_sum(
            tf.reduce_logsumexp(log_weights + log_component, axis=-1), axis=-1
        )

    def from_uniform(self, params, u, temperature=1.0):
        """Returns a draw: the first number chooses the component."""
        logits, means, log_scales = self._components(params, temperature)
        chosen = inverse_cdf(logits, u[..., 0])
        mean, log_scale = pick(means, chosen), pick(log_scales, chosen)
        return mean + tf.exp(log_scale) * tf.math.ndtri(u[..., 1])


def checked_values(num_values: int | None, owner: str) -> int:
    """Returns a number of values of at least two.

    Raises:
      ValueError: if it is none.
    """
    if num_values is None or num_values < 2:
        raise ValueError(
            f"{owner} needs num_values >= 2, got {num_values}. Pass 256 for 8 bits, or "
            "the number of symbols."
        )
    return int(num_values)


def column(temperature: Any, params: tf.Tensor) -> tf.Tensor:
    """Returns temperatures `[..., C]` as a factor of params `[..., C, P]`."""
    return as_real(temperature, params.dtype)[..., None]


def as_real(value: Any, dtype: Any) -> tf.Tensor:
    """Returns a number or tensor in a dtype; `tf.cast` would round a number first."""
    if isinstance(value, (int, float)):
        return tf.constant(value, dtype)
    return tf.cast(value, dtype)


def soft_bound(raw: tf.Tensor, bound: float) -> tf.Tensor:
    """Returns bound tanh(raw / bound): a small raw value is the result itself."""
    return bound * tf.tanh(raw / bound)


def inverse_cdf(logits: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """Returns the index whose share of (0, 1) holds u.

    Args:
      logits: `[..., K]`.
      u: `[...]` in (0, 1).

    Returns:
      int32 `[...]`; index k with probability softmax(logits)[k].
    """
    # The last threshold is 1 up to rounding, and left out: no index is out of range.
    upper = tf.cumsum(tf.nn.softmax(logits), axis=-1)[..., :-1]
    return tf.reduce_sum(tf.cast(u[..., None] >= upper, tf.int32), axis=-1)


def pick(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Returns values `[..., K]` at index `[...]`, by a product: no gather."""
    return tf.reduce_sum(
        values * tf.one_hot(index, values.shape[-1], dtype=values.dtype), axis=-1
    )


def _side_by_side(features):
    """`[..., C, F]` -> `[..., C * F]`."""
    *_, units, count = features.shape
    return tf.reshape(
        features, tf.concat([tf.shape(features)[:-2], [units * count]], axis=0)
    )
