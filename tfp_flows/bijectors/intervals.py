"""From the real line, or a circle, to the interval in which each feature lies."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.interval import check_in, intervals_of
from tfp_flows.bijectors.support_map import SupportMap


class Intervals(SupportMap):
    """Maps real numbers to the interval of each feature, and angles to circles.

    | support of the feature    | inverse: data -> latent           |
    |---------------------------|-----------------------------------|
    | "real"                    | x = y                             |
    | (low, high)               | x = log(y - low) - log(high - y)  |
    | (low, None), "positive"   | x = log(y - low)                  |
    | (None, high)              | x = -log(high - y)                |
    | ("periodic", low, high)   | x = angle in [-pi, pi]            |

    Logarithms take data of any magnitude: a unit or a magnitude is a shift of x, which
    a `Standardize` behind them takes away, and what is close to an end is told apart by
    its distance from it. Ends are not part of an interval; those of a circle are, and
    are one point. What lies beyond has density 0, by a log-det of -inf, and forward
    never leaves the support, whatever x and the dtype's rounding are.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[*batch]`.

    Args:
      event_shape: shape of one event; the features are the last axis.
      support: one of those above for all features, or a sequence with one for each.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: for another support, one with another number of features, or one
        whose ends the dtype cannot tell apart.

    Examples:
      >>> to_data = Intervals((3,), [(0, 1), "positive", ("periodic", 0, 360)])
      >>> print(to_data.forward([[0.0, 0.0, 0.0]]).numpy())
      [[  0.5   1.  180. ]]
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        support: Any,
        *,
        dtype: Any = tf.float32,
        name: str = "intervals",
    ):
        parameters = dict(locals())
        super().__init__(event_shape, dtype=dtype, parameters=parameters, name=name)
        found = intervals_of(support, self._event_shape[-1], name)
        self._intervals = self._no_dependency(found)
        kind = self.dtype.as_numpy_dtype
        check_in(kind, found)
        low, high, circle = (np.array(column) for column in zip(*found, strict=True))
        has_low, has_high = np.isfinite(low) & ~circle, np.isfinite(high) & ~circle
        self._has_low, self._has_high, self._is_circle = has_low, has_high, circle
        self._has_both = has_low & has_high
        self._low = np.where(np.isfinite(low), low, 0.0).astype(kind)
        self._high = np.where(np.isfinite(high), high, 0.0).astype(kind)
        least, most = _outermost(low, high, has_low | has_high, kind)
        self._least = np.where(circle, low.astype(kind), least)
        self._most = np.where(circle, high.astype(kind), most)
        self._inside = _inside(self._low, self._high, has_low, has_high)
        width = np.where(self._has_both | circle, self._high - self._low, 1.0)
        self._width = width.astype(kind)  # 1 where an end is missing
        log_width = np.log(self._width)
        self._log_width = np.where(circle, 0, log_width).astype(kind)
        # d angle / dy
        self._log_turn = np.where(circle, math.log(2 * math.pi) - log_width, 0.0)
        self._log_turn = self._log_turn.astype(kind)

    def keeps_order(self, order: np.ndarray) -> bool:
        """Returns True: features do not meet."""
        return True

    def beyond(self, y: Any) -> np.ndarray:
        """Returns which events lie beyond the support, bool `[N]`."""
        y = np.asarray(y, self.dtype.as_numpy_dtype)
        is_beyond = (y < self._least) | (y > self._most) | np.isinf(y)
        return is_beyond.reshape([len(y), -1]).any(axis=1)

    def flaw(self, event: Any) -> tuple[str, str]:
        """Says which feature leaves its interval."""
        event = np.asarray(event, self.dtype.as_numpy_dtype)
        is_beyond = (event < self._least) | (event > self._most) | np.isinf(event)
        place = np.argwhere(is_beyond)[0]
        column, interval = place[-1], self._intervals[place[-1]]
        where = column if len(place) == 1 else tuple(place.tolist())
        cure = "Drop such rows, or give the feature a wider support."
        if interval.is_periodic:
            period = interval.high - interval.low
            cure = (
                f"Take its remainder, {interval.low:.6g} + np.mod(x - "
                f"{interval.low:.6g}, {period:.6g}), if the unit is right."
            )
        value = event[tuple(place)]
        return f"column {where} is {value!s}, and has to be {interval}", cure

    @property
    def is_by_unit(self) -> bool:
        """Whether there are no circles, on which no unit is a real number."""
        return not self._is_circle.any()

    def by_unit(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns x and log|dx/dy| of each unit; NaN and 0 of missing ones."""
        missing = tf.math.is_nan(y)
        # Chosen before the logarithm is taken, so that no gradient meets NaN.
        x, log_slope = self._inverse_of_each(tf.where(missing, self._inside, y))
        nothing = tf.constant(math.nan, self.dtype)
        return (
            tf.where(missing, nothing, x),
            tf.where(missing, tf.zeros_like(log_slope), log_slope),
        )

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        x, log_slope = self._inverse_of_each(y)
        return x, self._sum(log_slope)

    def _inverse_of_each(self, y):
        outside = (y < self._least) | (y > self._most) | tf.math.is_inf(y)
        y = tf.where(outside, self._inside, y)
        one = tf.ones([], self.dtype)
        log_below = tf.math.log(tf.where(self._has_low, y - self._low, one))
        log_above = tf.math.log(tf.where(self._has_high, self._high - y, one))
        x = tf.where(self._has_low | self._has_high, log_below - log_above, y)
        angle = (y - self._low) * (2 * math.pi / self._width) - math.pi
        x = tf.where(self._is_circle, angle, x)
        log_slope = self._log_turn + self._log_width - log_below - log_above  # dx/dy
        nothing = tf.constant(-math.inf, self.dtype)
        return x, tf.where(outside, nothing, log_slope)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        grown = tf.where(self._has_low, x, -x)  # of half-lines: log of the distance
        largest = math.log(np.finfo(self.dtype.as_numpy_dtype).max) - 1.0
        far = tf.exp(tf.minimum(grown, tf.constant(largest, self.dtype)))
        near = self._width * tf.sigmoid(-tf.abs(x))  # of both ends: to the nearer one
        distance = tf.where(self._has_both, near, far)
        from_low = self._has_low & ~(self._has_both & (x > 0))
        y = tf.where(from_low, self._low + distance, self._high - distance)
        y = tf.where(self._has_low | self._has_high, y, x)
        turned = x - 2 * math.pi * tf.floor((x + math.pi) / (2 * math.pi))
        angle = self._low + (turned + math.pi) * (self._width / (2 * math.pi))
        y = tf.where(self._is_circle, angle, y)
        log_logistic = -tf.nn.softplus(x) - tf.nn.softplus(-x)
        log_slope = tf.where(self._has_both, log_logistic, grown)  # dy/dx
        log_slope = tf.where(self._has_low | self._has_high, log_slope, 0 * x)
        log_slope += self._log_width - self._log_turn
        return tf.clip_by_value(y, self._least, self._most), self._sum(log_slope)

    def _sum(self, log_slope):
        rank = log_slope.shape.rank
        axes = list(range(rank - len(self._event_shape), rank))
        return tf.reduce_sum(log_slope, axes)


def _outermost(low, high, is_bounded, kind):
    """The outermost numbers inside; below `tiny`, float32 is flushed to 0."""
    low, high = low.astype(kind), high.astype(kind)
    tiny, largest = (
        np.finfo(kind).tiny,
        np.where(is_bounded, np.finfo(kind).max, np.inf),
    )
    with np.errstate(over="ignore"):
        least = np.maximum(np.nextafter(low, kind(np.inf)), low + tiny)
        most = np.minimum(np.nextafter(high, kind(-np.inf)), high - tiny)
    least = np.where(np.isfinite(low), least, -largest).astype(kind)
    return least, np.where(np.isfinite(high), most, largest).astype(kind)


def _inside(low, high, has_low, has_high):
    """A number of each interval, that stands for what lies beyond it."""
    step = np.maximum(1.0, np.abs(low))
    inside = np.where(has_low, low + step, low)
    inside = np.where(has_high, high - np.maximum(1.0, np.abs(high)), inside)
    middle = low / 2 + high / 2
    return np.where(has_low == has_high, middle, inside).astype(low.dtype)
