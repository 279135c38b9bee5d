"""A binary unit."""

from typing import Any

import tensorflow as tf

from tfp_flows.distributions.elements.element import Element, column


class Bernoulli(Element):
    """A binary unit: log p(x) = log sigmoid((2 x - 1) logit).

    Temperature divides the logit.

    Examples:
      >>> print(Bernoulli().log_prob(tf.zeros([2, 1]), tf.constant([0, 1])).numpy())
      -1.3862944
    """

    num_params = 1
    num_values = 2

    def log_prob(self, params: tf.Tensor, x: tf.Tensor):
        """Returns the sum of log p over the units, `[...]`."""
        sign = 2.0 * tf.cast(x, params.dtype) - 1.0
        return tf.reduce_sum(tf.math.log_sigmoid(sign * params[..., 0]), axis=-1)

    def from_uniform(self, params: tf.Tensor, u: tf.Tensor, temperature: Any = 1.0):
        """Returns 1 where u is below the probability of 1."""
        logit = (params / column(temperature, params))[..., 0]
        return tf.cast(u[..., 0] < tf.sigmoid(logit), tf.int32)
