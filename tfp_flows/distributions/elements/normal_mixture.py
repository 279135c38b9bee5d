"""A real unit: a mixture of normals."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.elements.element import (
    Element,
    column,
    inverse_cdf,
    pick,
    soft_bound,
)

# Largest |log s| of a normal component around its first scale: e^7 is the range that
# PixelCNN++ allows its logistics.
_SCALE_BOUND = 7.0


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

    Examples:
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

    def log_prob(self, params: tf.Tensor, x: tf.Tensor):
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

    def cdf(self, params: tf.Tensor, x: tf.Tensor):
        """Returns P(X <= x) twice, `[..., C]`: no real number has a probability."""
        logits, means, log_scales = self._components(params)
        white = (x[..., None] - means) * tf.exp(-log_scales)
        below = 0.5 * tf.math.erfc(-white / math.sqrt(2.0))
        at_most = tf.reduce_sum(tf.nn.softmax(logits) * below, axis=-1)
        return at_most, at_most

    def from_uniform(self, params: tf.Tensor, u: tf.Tensor, temperature: Any = 1.0):
        """Returns a draw: the first number chooses the component."""
        logits, means, log_scales = self._components(params, temperature)
        chosen = inverse_cdf(logits, u[..., 0])
        mean, log_scale = pick(means, chosen), pick(log_scales, chosen)
        return mean + tf.exp(log_scale) * tf.math.ndtri(u[..., 1])
