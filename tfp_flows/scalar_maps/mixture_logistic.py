"""Mixtures of logistics as a map: the CDF to the latent side, Newton's steps back."""

import functools

import numpy as np
import tensorflow as tf

from tfp_flows.purpose import purpose
from tfp_flows.scalar_maps.affine import Affine
from tfp_flows.scalar_maps.scalar_map import ScalarMap

# Largest |log s|: components between a twentieth and twenty times the width of the
# standard logistic. Narrower ones would leave float32 nothing between two modes.
_SCALE_BOUND = 3.0
# Of each of the two log-scales that add up, those of the components and the affine one:
# together a step of an optimizer moves them as far as the one of an affine coupling.
_SHARE = 0.5
# Newton's method takes about ten steps; where it fails, bisection takes one a bit.
_MAX_STEPS = 100


class MixtureLogistic(ScalarMap):
    """The CDF of a mixture of logistics as a logit, then an affine map; Flow++'s [1].

    inverse:  z = logit(sum_k pi_k sigmoid((y - mu_k) / s_k)),  x = affine^-1(z)
    slope:    dz/dy = p(y) / (F(y) (1 - F(y))), p and F the mixture's density and CDF
    forward:  the y with z(y) = affine(x), by Newton's method within a bracket

    All is computed from log F and log(1 - F), so the map is finite and linear far out,
    where other mixtures saturate. Training takes the closed direction. Sampling takes
    about ten steps; its gradient is that of the implicit function, so it costs no more
    memory than one step.

    Where the modes lie far apart in units of their widths the density between them
    is next to nothing and x hardly changes with y: x -> y -> x stays exact there, y
    -> x -> y does not.

    Params: `num_components` raw weights, means and log-scales each, then the affine
    map's shift and raw log-scale, each `[..., units]`, as x and y. With all 0 the
    components coincide, and equal components with equal gradients would stay equal.
    They do not: component k's mean is gain_k raw_k and starts with the weight pi_k,
    both different for each k, so that the first step parts them under SGD (by pi and
    gain) and under Adam (by gain). Neither changes the identity. Log-scales of the
    components and the affine map are half of their raw numbers, see `networks.gains`.

    Args:
      num_components: number of logistics.
      scale_bound: of the affine map, see `Affine`.

    Raises:
      ValueError: if a number is not positive.

    Examples:
      >>> mixture = MixtureLogistic(num_components=4)
      >>> x, log_slope = mixture.inverse(tf.fill([2], 0.5), *tf.zeros([14, 2]))
      >>> print(x.numpy().round(5), abs(log_slope.numpy()).max() < 1e-6)
      [0.5 0.5] True

    References:
      [1] Ho, Chen, Srinivas, Duan, Abbeel. Flow++: Improving flow-based generative
          models with variational dequantization and architecture design. ICML 2019.
          arXiv:1902.00275
    """

    def __init__(self, num_components: int = 8, scale_bound: float = 2.0):
        if num_components < 1:
            raise ValueError(
                f"A mixture needs num_components >= 1, got {num_components}. Flow++ "
                "takes 32, smaller data 4 to 8."
            )
        self.num_params = 3 * num_components + 2
        self._count = num_components
        self._affine = Affine(scale_bound)
        # From a half to one and a half, one apart for every component.
        place = (np.arange(num_components) + 0.5) / num_components
        self._gains, self._first_weights = 0.5 + place, np.log(0.5 + place[::-1])

    def inverse(self, y: tf.Tensor, *params):
        """Returns x = affine^-1(logit F(y)) and log dy/dx."""
        mixture, affine = self._components(params)
        z, log_slope = _logit_cdf(y, *mixture)
        x, log_scale = self._affine.inverse(z, *affine)
        return x, log_scale - log_slope

    def forward(self, x: tf.Tensor, *params):
        """Returns y with logit F(y) = affine(x) and log dy/dx."""
        mixture, affine = self._components(params)
        z, log_scale = self._affine.forward(x, *affine)
        y = _quantile(z, *mixture)
        return y, log_scale - _logit_cdf(y, *mixture)[1]

    def _components(self, params):
        """Returns (log weights, means, log-scales) `[K, ..., units]`, affine params."""
        count = self._count
        weights, means, scales = (
            tf.stack(params[i * count : (i + 1) * count]) for i in range(3)
        )
        column = [count] + [1] * (weights.shape.rank - 1)
        gains = tf.constant(self._gains.reshape(column), weights.dtype)
        first = tf.constant(self._first_weights.reshape(column), weights.dtype)
        _, log_weights = _log_sum(weights + first)
        log_scales = _SCALE_BOUND * tf.tanh(_SHARE * scales / _SCALE_BOUND)
        affine = [_SHARE * param for param in params[3 * count :]]
        return (log_weights, gains * means, log_scales), affine


def _logit_cdf(y, log_weights, means, log_scales, rates=None):
    """Returns z = log F - log(1 - F) and log dz/dy; rates are exp(-log_scales)."""
    u = (y - means) * (tf.exp(-log_scales) if rates is None else rates)
    log_below = tf.math.log_sigmoid(u)
    log_above = log_below - u  # log sigmoid(-u), without a second softplus
    below, above = log_weights + log_below, log_weights + log_above
    log_cdf, from_below = _log_sum(below)
    log_survival, from_above = _log_sum(above)
    z = log_cdf - log_survival
    # log p - log F - log(1 - F). Far out log p and one of the others are both of the
    # size of u, so their difference is taken before the sum, component by component.
    upper = z > 0
    ratio = tf.where(upper, from_above + log_below, from_below + log_above)
    log_slope, _ = _log_sum(ratio - log_scales)
    return z, log_slope - tf.where(upper, log_cdf, log_survival)


def _log_sum(terms):
    """Returns log sum_k exp(terms_k) and the logs of the terms' shares in the sum.

    A tenth of the operations of `tf.reduce_logsumexp`, which provides for infinite
    terms, and of `tf.nn.log_softmax`, which transposes for the first axis.
    """
    top = tf.stop_gradient(tf.reduce_max(terms, axis=0))
    below_top = terms - top
    rest = tf.math.log(tf.reduce_sum(tf.exp(below_top), axis=0))
    return top + rest, below_top - rest


@tf.custom_gradient
def _quantile(z, *mixture):
    """Returns y with logit F(y) = z; its gradient is that of the implicit function."""
    y = (_shared_solve if purpose() == "export" else _solve)(z, *mixture)

    def gradient(d_y):
        with tf.GradientTape() as tape:
            tape.watch((z, mixture))
            reached, log_slope = _logit_cdf(y, *mixture)
            missing = z - reached
        # The slope is kept from 0, or places that no probability reaches give 0/0.
        d_missing = d_y * tf.exp(-tf.maximum(log_slope, -30.0))
        d_z, d_mixture = tape.gradient(missing, (z, mixture), d_missing)
        return d_z, *d_mixture

    return y, gradient


def _solve(z, log_weights, means, log_scales):
    """Newton's method on logit F(y) - z, safeguarded by bisection.

    Each component alone would reach z at mu_k + s_k z; the mixture does between the
    smallest and the largest of these. A step that leaves the bracket, or is longer
    than half of the one before, is replaced by the middle of the bracket. A unit whose
    last step or error is within rounding rests, while the others go on.
    """
    ends, rates = means + tf.exp(log_scales) * z, tf.exp(-log_scales)
    low, high = tf.reduce_min(ends, axis=0), tf.reduce_max(ends, axis=0)
    epsilon = np.finfo(z.dtype.as_numpy_dtype).eps

    def moving(y, step):
        # False for NaN: such a row does not keep the others waiting.
        return tf.abs(step) > 2 * epsilon * (1 + tf.abs(y))

    def improve(y, low, high, step, goes):
        value, log_slope = _logit_cdf(y, log_weights, means, log_scales, rates)
        error = value - z
        low, high = tf.where(error < 0, y, low), tf.where(error > 0, y, high)
        newton = -error * tf.exp(-log_slope)
        good = (y + newton >= low) & (y + newton <= high)
        good &= 2 * tf.abs(newton) <= tf.abs(step)
        good |= ~moving(y, newton)
        new = tf.where(good, newton, 0.5 * (low + high) - y)
        off = tf.abs(error) > 4 * epsilon * (1 + tf.abs(z))
        step = tf.where(goes & off, new, tf.zeros_like(y))
        y += step
        return y, low, high, step, moving(y, step)

    y, width = 0.5 * (low + high), high - low
    y, *_ = tf.while_loop(
        lambda y, low, high, step, goes: tf.reduce_any(goes),
        improve,
        (y, low, high, width, moving(y, width)),
        maximum_iterations=_MAX_STEPS,
    )
    return y


def _shared_solve(*args):
    """Calls one function for all couplings of an export, whatever their size.

    A server then optimizes the loop once for each signature, and not at each coupling.
    """
    specs = [tf.TensorSpec([None] * t.shape.rank, t.dtype) for t in args]
    y = _SOLVE.get_concrete_function(*specs)(*args)
    y.set_shape(
        functools.reduce(tf.broadcast_static_shape, [t.shape for t in args])[1:]
    )
    return y


_SOLVE = tf.function(
    _solve, autograph=False, experimental_attributes={"_noinline": True}
)
