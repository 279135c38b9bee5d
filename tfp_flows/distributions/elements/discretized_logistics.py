"""PixelCNN++'s element: discretised logistics, the channels of a pixel together."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.elements.element import (
    Element,
    as_real,
    checked_values,
    inverse_cdf,
    pick,
    soft_bound,
)

_SCALE_BOUND = 7.0  # largest |log s| around its first value; PixelCNN++ stops at -7


class DiscretizedLogisticMixture(Element):
    """Integers as rounded draws of a mixture of logistics (Salimans et al., 2017) [1].

    Values are scaled, t = 2 x / (num_values - 1) - 1, and a value owns the cell of
    half-width h = 1 / (num_values - 1) around t; the outermost cells reach to infinity.

    log p(x) = logsumexp_k [log pi_k + sum_c log(F(t_c + h) - F(t_c - h))]
    F of component k and channel c: logistic, with mean and scale
    mean_c = mu_kc + sum_{b < c} a_kcb t_b,  scale s_kc

    With `num_channels` 1 every unit has a mixture of its own. With more, the channels
    of one pixel share the component, and each channel's mean moves with the channels
    before it: one position of the network is then one pixel ("joint" channels). The
    sum over all values is one, to rounding.

    Params: of a pixel, read as one list: K logits, K C means, K C log-scales and
    K C (C - 1) / 2 coefficients a (through a tanh, as in [1]); shared out evenly among
    its channels, at most C - 1 are left over. At 0 the means lie apart and cover the
    range evenly, so that the components do not stay equal.

    Temperature divides the logits and multiplies the scales.

    Args:
      num_values: number of values, 0 .. num_values - 1.
      num_components: K.
      num_channels: C, units of one position.

    Raises:
      ValueError: if a number is too small.

    Examples:
      >>> element = DiscretizedLogisticMixture(4, num_components=2)
      >>> logs = [element.log_prob(tf.ones([1, 6]), tf.constant([x])) for x in range(4)]
      >>> print(np.exp(logs).sum().round(5))
      1.0

    References:
      [1] Salimans, Karpathy, Chen, Kingma. PixelCNN++: Improving the PixelCNN with
          discretized logistic mixture likelihood and other modifications. ICLR 2017.
          arXiv:1701.05517
    """

    num_uniforms = 2

    def __init__(
        self, num_values: int, num_components: int = 10, num_channels: int = 1
    ):
        self.num_values = checked_values(num_values, "A discretised mixture")
        if num_components < 1 or num_channels < 1:
            raise ValueError(
                f"A discretised mixture needs num_components >= 1 and num_channels >= "
                f"1, got {num_components} and {num_channels}."
            )
        self._count, self._channels = num_components, num_channels
        if num_channels > 1:
            self.block_size = num_channels
        pairs = num_channels * (num_channels - 1) // 2
        per_component = (1, num_channels, num_channels, pairs)
        self._sizes = [num_components * n for n in per_component]
        self.num_params = -(-sum(self._sizes) // num_channels)
        self._largest = self.num_values - 1
        self._half_width = 1.0 / self._largest
        place = 2.0 * (np.arange(num_components) + 0.5) / num_components - 1.0
        self._first_means = place[:, None]
        # Neighbours overlap: a logistic's standard deviation is 1.8 scales.
        self._first_log_scale = float(np.log(1.0 / (1.8 * num_components)))

    def log_prob(self, params: tf.Tensor, x: tf.Tensor):
        """Returns log p of the units, `[...]`: of one pixel, or summed over all."""
        logits, means, log_scales, coefficients = self._components(params)
        t = self.features(self._as_pixels(x), params.dtype)[..., None, :]  # [..., 1, C]
        means = means + self._shift(coefficients, t)
        edges = tf.constant([0, self._largest], x.dtype)
        pixel = self._as_pixels(x)[..., None, :]
        log_cells = self._log_cells(
            t - means, log_scales, pixel == edges[0], pixel == edges[1]
        )
        log_component = tf.nn.log_softmax(logits) + tf.reduce_sum(log_cells, axis=-1)
        log_prob = tf.reduce_logsumexp(log_component, axis=-1)
        return log_prob if self._channels > 1 else tf.reduce_sum(log_prob, axis=-1)

    def from_uniform(self, params: tf.Tensor, u: tf.Tensor, temperature: Any = 1.0):
        """Returns a draw: a component, then its channels one after the other."""
        logits, means, log_scales, coefficients = self._components(params)
        hot = as_real(temperature, params.dtype)
        hot = hot if self._channels > 1 else hot[..., None]
        u = tf.reshape(u, tf.concat([tf.shape(logits)[:-1], [self._channels, 2]], 0))
        chosen = inverse_cdf(logits / hot, u[..., 0, 0])[..., None]
        noise = tf.math.log(u[..., 1]) - tf.math.log1p(-u[..., 1])  # [..., C]
        by_channel = lambda v: pick(tf.linalg.matrix_transpose(v), chosen)  # noqa: E731
        mean, log_scale = by_channel(means), by_channel(log_scales)
        noise = noise * tf.exp(log_scale) * hot
        drawn: list = []
        shown: list = []
        for c in range(self._channels):
            y = mean[..., c] + noise[..., c]
            for b, previous in enumerate(shown):
                y = y + pick(coefficients[c][b], chosen[..., 0]) * previous
            drawn.append(self._rounded(y))
            shown.append(self.features(drawn[-1], params.dtype))
        pixels = tf.stack(drawn, axis=-1)
        return pixels if self._channels > 1 else pixels[..., 0]

    def _components(self, params):
        """Takes params apart: logits `[..., K]`, means and log-scales `[..., K, C]`.

        The coefficients are a list of lists: of channel c on channel b < c `[..., K]`.
        """
        lead = tf.shape(params)[: -1 if self._channels == 1 else -2]
        flat = tf.reshape(
            params, tf.concat([lead, [self._channels * self.num_params]], axis=0)
        )
        left_over = self._channels * self.num_params - sum(self._sizes)
        sizes = [*self._sizes, left_over]
        logits, means, raw, pairs, _ = tf.split(flat, sizes, axis=-1)
        grid = tf.concat([lead, [self._count, self._channels]], axis=0)
        means = tf.reshape(means, grid) + tf.constant(self._first_means, flat.dtype)
        raw = soft_bound(tf.reshape(raw, grid), _SCALE_BOUND)
        coefficients: list = [[] for _ in range(self._channels)]
        if self._channels > 1:
            pairs = tf.split(tf.tanh(pairs), self._sizes[3] // self._count, axis=-1)
            for c in range(self._channels):
                coefficients[c], pairs = pairs[:c], pairs[c:]
        return logits, means, raw + self._first_log_scale, coefficients

    def _shift(self, coefficients, t):
        """Returns what the channels before add to each mean, `[..., K, C]`."""
        if self._channels == 1:
            return tf.zeros([], t.dtype)
        zero = tf.zeros_like(coefficients[1][0])
        moved = [
            sum((a * t[..., b] for b, a in enumerate(before)), zero)
            for before in coefficients
        ]
        return tf.stack(moved, axis=-1)

    def _log_cells(self, centred, log_scales, is_first, is_last):
        """Returns log(F(t + h) - F(t - h)) without a difference of near numbers.

        sigmoid(p) - sigmoid(m) = sigmoid(p) sigmoid(-m) (1 - exp(m - p)); the lower
        edge has no m, the upper one no p.
        """
        inverse_scale = tf.exp(-log_scales)
        plus = inverse_scale * (centred + self._half_width)
        minus = inverse_scale * (centred - self._half_width)
        width = 2.0 * self._half_width * inverse_scale
        zero = tf.zeros([], centred.dtype)
        log_below = tf.where(is_last, zero, tf.math.log_sigmoid(plus))
        log_above = tf.where(is_first, zero, tf.math.log_sigmoid(-minus))
        log_rest = tf.math.log(-tf.math.expm1(-width))
        return log_below + log_above + tf.where(is_first | is_last, zero, log_rest)

    def _rounded(self, y):
        """Returns the value whose cell y lies in, int32."""
        x = tf.floor((y + 1.0) * (0.5 / self._half_width) + 0.5)
        return tf.cast(tf.clip_by_value(x, 0.0, float(self._largest)), tf.int32)

    def _as_pixels(self, x):
        """Adds the axis of channels to single units: `[..., C]`."""
        return x if self._channels > 1 else x[..., None]
