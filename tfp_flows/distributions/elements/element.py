"""What an element is, and the numerics that elements share."""

from typing import Any

import numpy as np
import tensorflow as tf


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

    Examples:
      >>> from tfp_flows.distributions.elements import Categorical
      >>> element = Categorical(4)
      >>> isinstance(element, Element), element.num_params, element.num_values
      (True, 4, 4)
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

    def at(self, position: tf.Tensor) -> "Element":
        """Returns the element of one position; the same one, unless they differ.

        Args:
          position: int32 `[]`, or `[N]` for a position of each row.
        """
        return self

    def cdf(self, params: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns P(X < x) and P(X <= x) of each unit by itself, `[..., C]` each.

        A uniform number between the two is the probability integral transform of x.

        Args:
          params: `[..., C, num_params]`.
          x: `[..., C]`, int32 or real.

        Raises:
          NotImplementedError: if the units of a position depend on each other.
        """
        if self.num_values is None or self.block_size is not None:
            raise NotImplementedError(f"{type(self).__name__} has no cdf of one unit.")
        params, x = params[..., None, :], x[..., None]
        less = equal = tf.zeros_like(params[..., 0, 0])
        for value in range(self.num_values):
            p = tf.exp(self.log_prob(params, tf.fill(tf.shape(x), value)))
            less += tf.where(value < x[..., 0], p, 0.0)
            equal += tf.where(value == x[..., 0], p, 0.0)
        return less, less + equal

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


def logistic_log_density(apart: tf.Tensor, log_scales: tf.Tensor) -> tf.Tensor:
    """Returns log of a logistic's density at a distance from its mean."""
    y = tf.abs(apart) * tf.exp(-log_scales)
    return -y - log_scales - 2.0 * tf.math.softplus(-y)


def above_0(x: tf.Tensor) -> tf.Tensor:
    """Returns x, or the smallest normal number of its dtype if that is larger."""
    return tf.maximum(x, np.finfo(x.dtype.as_numpy_dtype).tiny)
