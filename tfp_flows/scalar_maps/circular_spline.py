"""Rational-quadratic splines of the circle, with a turn."""

import math

import tensorflow as tf

from tfp_flows.scalar_maps.rational_quadratic import RationalQuadratic


class CircularSpline(RationalQuadratic):
    """A smooth increasing map of the circle [-pi, pi] onto itself, and a turn [1].

    forward:  y = spline(x + turn)  mod 2 pi
    inverse:  x = spline^-1(y) - turn  mod 2 pi

    The spline is `RationalQuadratic` with bound pi, whose slopes at -pi and pi are one
    learned number in place of 1: value and slope go on across the seam, so that a
    density does. The turn takes the seam to any place.

    Params: `num_bins` raw widths, as many raw heights and raw slopes, that of the seam
    first, and the turn in radians, each `[..., units]`, as x and y, also in radians.

    Args:
      num_bins: number of bins.
      min_bin: smallest bin, as a fraction of an even one.
      min_derivative: smallest slope at an edge.

    Raises:
      ValueError: if a number is out of its range.

    Examples:
      >>> x, log_slope = CircularSpline(4).inverse(tf.ones([3]), *tf.zeros([13, 3]))
      >>> print(x.numpy().round(3))
      [1. 1. 1.]

    References:
      [1] Rezende, Papamakarios, Racaniere, Albergo, Kanwar, Shanahan, Cranmer.
          Normalizing flows on tori and spheres. ICML 2020. arXiv:2002.02428
    """

    def __init__(
        self, num_bins: int = 8, min_bin: float = 0.25, min_derivative: float = 0.1
    ):
        super().__init__(num_bins, math.pi, min_bin, min_derivative)
        self.num_params = 3 * num_bins + 1

    def inverse(self, y: tf.Tensor, *params):
        """Returns x in [-pi, pi], and log dy/dx."""
        x, log_slope = super().inverse(turned(y), *params[:-1])
        return turned(x - params[-1]), log_slope

    def forward(self, x: tf.Tensor, *params):
        """Returns y in [-pi, pi], and log dy/dx."""
        return super().forward(turned(x + params[-1]), *params[:-1])

    def _inside(self, value):
        """There is no outside; what rounding has led beyond the seam is at it."""
        return tf.ones_like(value, tf.bool), value

    def _edge_slopes(self, value, slopes):
        return [*slopes, slopes[0]]


def turned(angle: tf.Tensor) -> tf.Tensor:
    """Returns an angle in [-pi, pi] by whole turns; the gradient is 1."""
    return angle - 2 * math.pi * tf.floor((angle + math.pi) / (2 * math.pi))
