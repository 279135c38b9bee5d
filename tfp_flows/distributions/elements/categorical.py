"""An integer with a free probability for each value."""

from typing import Any

import tensorflow as tf

from tfp_flows.distributions.elements.element import (
    Element,
    checked_values,
    column,
    inverse_cdf,
)


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

    Examples:
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

    def log_prob(self, params: tf.Tensor, x: tf.Tensor):
        """Returns the sum of log p over the units, `[...]`."""
        # As a list of units: with more axes of unknown size TensorFlow adds an Assert,
        # which may not be served.
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.reshape(x, [-1]), logits=tf.reshape(params, [-1, self.num_values])
        )
        return -tf.reduce_sum(tf.reshape(nll, tf.shape(x)), axis=-1)

    def from_uniform(self, params: tf.Tensor, u: tf.Tensor, temperature: Any = 1.0):
        """Returns the value whose share of (0, 1) holds u."""
        return inverse_cdf(params / column(temperature, params), u[..., 0])

    def cdf(self, params: tf.Tensor, x: tf.Tensor):
        """Returns P(X < x) and P(X <= x), sums of probabilities, `[..., C]` each."""
        shares = tf.nn.softmax(params)
        place = tf.range(self.num_values)
        less = tf.reduce_sum(tf.where(place < x[..., None], shares, 0.0), axis=-1)
        at_most = tf.reduce_sum(tf.where(place <= x[..., None], shares, 0.0), axis=-1)
        return less, at_most

    def features(self, x: tf.Tensor, dtype: Any):
        """Returns the values scaled to -1 .. 1, or their indicators."""
        if not self._one_hot:
            return super().features(x, dtype)
        return _side_by_side(tf.one_hot(x, self.num_values, dtype=dtype))


def _side_by_side(features):
    """`[..., C, F]` -> `[..., C * F]`."""
    *_, units, count = features.shape
    return tf.reshape(
        features, tf.concat([tf.shape(features)[:-2], [units * count]], axis=0)
    )
