"""Rational-quadratic splines: the scalar map, and the coupling made of it."""

import functools
import math
from typing import NamedTuple

import tensorflow as tf

from tfp_flows.scalar_maps.scalar_map import ScalarMap

# exp(raw) is a bin's share. Beyond this the smallest share left is 1e-17 of the
# largest, so a network that runs away cannot overflow, nor can its gradient.
_LARGEST_RAW = 20.0
# Squares of slopes and of their inverses have to be numbers of float32.
_SMALLEST_OPTION = 1e-6


class _Bin(NamedTuple):
    """The bin a value lies in: a rectangle and two raw slopes, each `[..., units]`."""

    left: tf.Tensor  # on the data side
    width: tf.Tensor
    bottom: tf.Tensor  # on the latent side
    height: tf.Tensor
    first: tf.Tensor  # raw slope at the left edge
    last: tf.Tensor  # raw slope at the right edge


class _Shares(NamedTuple):
    """How one side of [-bound, bound] is shared among the bins, before scaling."""

    parts: list[tf.Tensor]  # exp(raw) of each bin
    before: list[tf.Tensor]  # sum of the parts before each bin
    total: tf.Tensor
    scale: tf.Tensor  # from a sum of parts to a length


class RationalQuadratic(ScalarMap):
    """A monotone rational-quadratic spline on [-bound, bound], the identity outside.

    The interval is cut into bins on both sides. Over a bin of width w and height h
    with the slopes d0 and d1 at its edges, where t = (y - left) / w, s = h / w [1]:

    inverse:  x = bottom + h t (s t + d0 (1 - t)) / q
              q = s + (d0 + d1 - 2 s) t (1 - t)
    slope:    dx/dy = s^2 (d1 t^2 + 2 s t (1 - t) + d0 (1 - t)^2) / q^2
    forward:  the root t in [0, 1] of the quadratic that this is for a given x

    The rational form is the data -> latent direction, the one that training takes; the
    root serves sampling. Edges of bins are learned on both sides. At +-bound the slope
    is 1 and meets the tails. Both directions work with the distance from the bin's
    edge, which rounds less than the position, as a share in [0, 1]: values, slopes and
    gradients are finite at and around every knot, for every option, in float32 too.

    Params: `num_bins` raw widths, `num_bins` raw heights, `num_bins - 1` raw slopes,
    each `[..., units]`, as x and y.

    Args:
      num_bins: number of bins.
      bound: of the interval, from 1e-6 to 1e6. Outside of 4 lies 6e-5 of a normal
        variable, and from 4 on float32 would be twice as coarse as it is below.
      min_bin: smallest bin, as a fraction of an even one, on either side, at least
        1e-6.
      min_derivative: smallest slope at an edge, at least 1e-6; the largest is its
        inverse. The defaults keep dx/dy between 2.7e-4 and 50 whatever the network
        says. So float32 finds y again from x within 2e-3, and within 1e-4 for params
        of unit variance; x from y within 2e-5.

    Raises:
      ValueError: if a number is out of its range.

    Examples:
      >>> spline = RationalQuadratic(num_bins=4)
      >>> x, log_slope = spline.inverse(tf.ones([3]), *tf.zeros([11, 3]))
      >>> print(x.numpy(), log_slope.numpy())
      [1. 1. 1.] [-0. -0. -0.]

    References:
      [1] Durkan, Bekasov, Murray, Papamakarios. Neural spline flows. NeurIPS 2019.
          arXiv:1906.04032
    """

    def __init__(
        self,
        num_bins: int = 8,
        bound: float = 4.0,
        min_bin: float = 0.25,
        min_derivative: float = 0.1,
    ):
        least = _SMALLEST_OPTION
        if num_bins < 2 or not least <= bound <= 1 / least:
            raise ValueError(
                f"A spline needs num_bins >= 2 and bound > 0, from {least} to "
                f"{1 / least}, got {num_bins} and {bound}. Take for example 8 bins on "
                "[-4, 4], and data of another unit behind a Standardize."
            )
        if not (least <= min_bin < 1 and least <= min_derivative < 1):
            raise ValueError(
                f"A spline needs min_bin and min_derivative from {least} to below 1, "
                f"got {min_bin} and {min_derivative}. The first is a fraction of an "
                "even bin, the second the smallest slope at an edge; float32 cannot "
                "square smaller ones."
            )
        self.num_params = 3 * num_bins - 1
        self._num_bins = num_bins
        self._bound = float(bound)
        self._smallest = 2 * self._bound * min_bin / num_bins
        self._shared = 2 * self._bound * (1 - min_bin)
        self._log_steepest = -math.log(min_derivative)

    def inverse(self, y: tf.Tensor, *params):
        """Returns x, by the rational form, and log dy/dx."""
        inside, safe = self._inside(y)
        here = self._bin(safe, params, by_data=True)
        t = _between_0_and_1((safe - here.left) / here.width)
        s, d0, d1 = self._slopes(here)
        q = s + (d0 + d1 - 2 * s) * t * (1 - t)
        x = here.bottom + here.height * t * (s * t + d0 * (1 - t)) / q
        return self._with_tails(inside, y, x, t, s, d0, d1, q)

    def forward(self, x: tf.Tensor, *params):
        """Returns y, by the root of a quadratic, and log dy/dx."""
        inside, safe = self._inside(x)
        here = self._bin(safe, params, by_data=False)
        r = _between_0_and_1((safe - here.bottom) / here.height)
        s, d0, d1 = self._slopes(here)
        t = _root(r, s, d0, d1)
        q = s + (d0 + d1 - 2 * s) * t * (1 - t)
        y = here.left + here.width * t
        return self._with_tails(inside, x, y, t, s, d0, d1, q)

    def _inside(self, value):
        """Returns where the spline holds, and a value to compute it with elsewhere.

        Chosen before and after: a gradient that is multiplied by zero must be finite.
        """
        inside = tf.abs(value) < self._bound
        return inside, tf.where(inside, value, tf.zeros_like(value))

    def _with_tails(self, inside, value, result, t, s, d0, d1, q):
        ratio = s / q
        slope = d1 * t * t + 2 * s * t * (1 - t) + d0 * (1 - t) * (1 - t)
        log_slope = -tf.math.log(ratio * ratio * slope)
        return (
            tf.where(inside, result, value),
            tf.where(inside, log_slope, tf.zeros_like(log_slope)),
        )

    def _slopes(self, here):
        """Returns the mean slope of the bin and those at its edges; 1 for raw 0."""
        limit = self._log_steepest
        edges = [tf.exp(limit * tf.tanh(r / limit)) for r in (here.first, here.last)]
        return here.height / here.width, *edges

    def _bin(self, value, params, by_data):
        """Finds the bin that holds each value, by comparing it with all edges.

        As good as free beside the network, and without search or gather, so that XLA
        makes a few elementwise loops of it. The gradient is written out, since the
        one that autodiff builds of all these choices takes a third longer and twice
        as long to compile: a bin's share moves the chosen bin if it lies before it,
        resizes it if it is the one, and takes from all others.
        """
        bins = self._num_bins
        slopes = self._edge_slopes(value, params[2 * bins :])

        @tf.custom_gradient
        def choose(value, *params):
            exps = _exps(params[: 2 * bins])
            data, latent = self._share(exps[:bins]), self._share(exps[bins:])
            raw = params[2 * bins :]
            past = self._edges_passed(value, data if by_data else latent)
            start = [tf.constant(self._start(i), value.dtype) for i in range(bins)]
            columns = (data.before, data.parts, latent.before, latent.parts, start)
            before, part, below, rise, start, first, last = _choose(
                past, list(zip(*columns, raw[:-1], raw[1:], strict=True))
            )

            def gradient(d_left, d_width, d_bottom, d_height, d_first, d_last):
                sizes = functools.partial(_share_gradients, past, shared=self._shared)
                return (
                    None,  # the bin does not change with the value
                    *sizes(data, before, part, d_left, d_width),
                    *sizes(latent, below, rise, d_bottom, d_height),
                    *_slope_gradients(past, d_first, d_last),
                )

            left, width = before * data.scale + start, part * data.scale
            bottom, height = below * latent.scale + start, rise * latent.scale
            width, height = width + self._smallest, height + self._smallest
            return (left, width, bottom, height, first, last), gradient

        return _Bin(*choose(value, *params[: 2 * bins], *slopes))

    def _edge_slopes(self, value, slopes):
        """Returns the raw slopes at all edges: 1 where the tails begin."""
        zero = tf.zeros_like(value)
        return [zero, *slopes, zero]

    def _share(self, parts):
        before = [tf.zeros_like(parts[0])]
        for part in parts:
            before.append(before[-1] + part)
        total = before.pop()
        return _Shares(parts, before, total, self._shared / total)

    def _start(self, i):
        """Where bin i would begin if all bins before it were as small as they can."""
        return i * self._smallest - self._bound

    def _edges_passed(self, value, shares):
        """Returns for each inner edge whether the value is at it or beyond."""
        return [
            value >= shares.before[i] * shares.scale + self._start(i)
            for i in range(1, self._num_bins)
        ]


def _exps(params):
    """Exponentials of all, computed as one tensor: one loop for XLA.

    The written gradient does not see the clip, so what lies beyond it can come back.
    """
    raw = tf.clip_by_value(tf.concat(params, -1), -_LARGEST_RAW, _LARGEST_RAW)
    return tf.split(tf.exp(raw), len(params), -1)


def _choose(past, options):
    """Returns the last option whose edge is passed."""
    chosen = options[0]
    for beyond, option in zip(past, options[1:], strict=True):
        chosen = [
            tf.where(beyond, new, old) for new, old in zip(option, chosen, strict=True)
        ]
    return chosen


def _share_gradients(past, shares, before, part, d_position, d_size, shared):
    """Gradients of the raw sizes from those of the chosen bin's position and size.

    What all bins need ends in a division: XLA stores its result, but would compute a
    product, and the sums before it, again for every bin (a third of the gradient).
    """
    move, resize = shared * d_position / shares.total, shared * d_size / shares.total
    common = (move * before + resize * part) / shares.total
    zero = tf.zeros_like(move)
    direct = [
        tf.where(next_passed, move, own)
        for next_passed, own in zip(
            past,
            [resize, *(tf.where(p, resize, zero) for p in past[:-1])],
            strict=True,
        )
    ]
    direct.append(tf.where(past[-1], resize, zero))
    return [p * (d - common) for p, d in zip(shares.parts, direct, strict=True)]


def _slope_gradients(past, d_first, d_last):
    """Gradients of the raw slopes: an inner edge begins one bin and ends another."""
    zero = tf.zeros_like(d_first)
    begins = [tf.where(p, zero, d_first) for p in past[1:]] + [d_first]
    ends = [d_last] + [tf.where(p, d_last, zero) for p in past[:-1]]
    inner = [
        tf.where(passed, begin, end)
        for passed, begin, end in zip(past, begins, ends, strict=True)
    ]
    first, last = tf.where(past[0], zero, d_first), tf.where(past[-1], d_last, zero)
    return [first, *inner, last]


@tf.custom_gradient
def _between_0_and_1(share):
    """A share of the bin, which rounding leads out of at a knot.

    The gradient goes on: the slope at the edge is that of both bins.
    """
    return tf.clip_by_value(share, 0.0, 1.0), lambda gradient: gradient


def _root(r, s, d0, d1):
    """Returns where t in [0, 1] the spline has risen to the share r of its bin.

    That is the root of (s - b) t^2 + b t - s r, with b = m + 2 s r. Written with m its
    discriminant is a sum of squares, and either form of the root a share a / (a + c) of
    positive numbers: nothing cancels, and rounding cannot lead out of [0, 1].
    """
    m = d0 * (1 - r) - d1 * r
    k = tf.abs(m) + tf.sqrt(m * m + 4 * s * s * r * (1 - r))
    early = m >= 0
    near, far = 2 * s * r, 2 * s * (1 - r)
    return tf.where(early, near, k) / (tf.where(early, near, far) + k)
