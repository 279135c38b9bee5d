"""Equalises the histogram of pixels: the marginals as a first step of a flow."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.shapes import as_shape
from tfp_flows.networks.weights.parameters import Parameters


class PixelHistogram(KerasBijector):
    """Maps each dequantized pixel through its own cumulative histogram.

    inverse:  x = num_values * F(y), F the distribution function of the pixel
    forward:  y = F^-1(x / num_values);  log_det of the inverse: sum log(num_values p)

    Uniformly dequantized integers have a density that is constant between k and k + 1,
    so F is linear there and known exactly from p(k): x is uniform if the pixel follows
    its histogram, and the couplings need not learn 256 steps. It is continuous and
    increasing, with slope 1 outside of [0, num_values].

    `adapt` counts: each pixel's histogram, smoothed by as many observations of the
    histogram of all pixels as `smoothing` says, and that one by a uniform share of 1 %.
    It is not trained. Before, the map is the identity.

    `per="channel"` counts all positions together, so that one value means the same
    everywhere. That suits convolutions, which do not know where they are: with a
    histogram for each pixel they cannot tell an empty pixel from an inked one without
    knowing the position.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[*batch]`.

    Args:
      event_shape: shape of one event.
      num_values: number of integer values, 256 for 8 bits.
      per: "pixel" for a histogram of each unit, or "channel" for one of each channel,
        the last axis, at all positions.
      smoothing: observations that the common histogram counts for.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: if `num_values` < 2, `smoothing` <= 0 or for an unknown `per`.

    Examples:
      >>> pixels = PixelHistogram((1,), 2, smoothing=1.0)
      >>> pixels.adapt(tf.constant([[0.5], [0.5], [0.5], [1.5]]))
      >>> print(pixels.inverse([[0.0], [1.0], [2.0]]).numpy().round(2).ravel())
      [0.  1.5 2. ]

    References:
      Meng, Song, Song, Ermon. Gaussianization flows. AISTATS 2020. arXiv:2003.01941
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_values: int,
        per: str = "pixel",
        *,
        smoothing: float = 100.0,
        dtype: Any = tf.float32,
        name: str = "pixel_histogram",
    ):
        parameters = dict(locals())
        shape = as_shape(event_shape)
        if num_values < 2 or not smoothing > 0:
            raise ValueError(
                f"{name} needs num_values >= 2 and smoothing > 0, got {num_values} "
                f"and {smoothing}."
            )
        if per not in ("pixel", "channel"):
            raise ValueError(
                f"{name} needs a histogram per 'pixel' or per 'channel', got {per!r}."
            )
        self._size = shape[-1] if per == "channel" else math.prod(shape)
        self._num_values = int(num_values)
        self._smoothing = smoothing
        slopes = np.ones((self._size, num_values))
        weights = Parameters(
            fixed={"adapted": np.array(False), **_tables(slopes)},
            dtype=tf.as_dtype(dtype).name,
            name=f"{name}_weights",
        )
        super().__init__(
            shape,
            layers={"weights": weights},
            dtype=dtype,
            parameters=parameters,
            name=name,
        )

    @property
    def is_adapted(self) -> bool:
        """Whether `adapt` was called, now or before the weights were saved."""
        return bool(self._layers["weights"]["adapted"].numpy())

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Counts the values of each pixel.

        Args:
          y: `[N, *event_shape]`, dequantized; values outside count as the nearest.
          context: not used.
        """
        values = np.floor(np.asarray(y).reshape(-1, self._size))
        values = np.clip(values, 0, self._num_values - 1).astype(np.int64)
        bins = values + np.arange(self._size) * self._num_values
        counts = np.bincount(bins.ravel(), minlength=self._size * self._num_values)
        counts = counts.reshape(self._size, self._num_values).astype(np.float64)
        common = counts.sum(0) / counts.sum()
        common = 0.99 * common + 0.01 / self._num_values
        share = counts + self._smoothing * common
        slopes = self._num_values * share / share.sum(1, keepdims=True)
        self._layers["weights"].assign(adapted=True, **_tables(slopes))

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        flat = self._flat(y)
        inside = tf.clip_by_value(flat, 0.0, float(self._num_values))
        cell = tf.minimum(tf.floor(inside), self._num_values - 1.0)
        # NaN has no cell: any integer will do, as long as it is one of the table's.
        number = tf.clip_by_value(tf.cast(cell, tf.int32), 0, self._num_values - 1)
        left, slope = self._look_up(number)
        x = tf.where(self._is_inside(flat), left + slope * (inside - cell), flat)
        return tf.reshape(x, tf.shape(y)), self._log_det(flat, slope, y)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        flat = self._flat(x)
        inside = tf.clip_by_value(flat, 0.0, float(self._num_values))
        edges = tf.convert_to_tensor(self._layers["weights"]["edges"])
        # The pixels as rows, as searchsorted wants them; only inner edges count.
        cell = tf.searchsorted(edges[:, 1:], tf.transpose(inside), side="right")
        cell = tf.transpose(cell)
        left, slope = self._look_up(cell)
        # Rounding of x must not lead out of a rare cell, whose slope is small.
        share = tf.clip_by_value((inside - left) / slope, 0.0, 1.0)
        y = tf.cast(cell, x.dtype) + share
        y = tf.where(self._is_inside(flat), y, flat)
        return tf.reshape(y, tf.shape(x)), -self._log_det(flat, slope, x)

    def _flat(self, value):
        return tf.reshape(value, [-1, self._size])

    def _is_inside(self, flat):
        return (flat >= 0) & (flat <= self._num_values)

    def _look_up(self, cell):
        """Returns the image of the left edge of each pixel's cell, and the slope."""
        weights = self._layers["weights"]
        index = cell + tf.range(self._size) * self._num_values
        left = tf.reshape(weights["edges"], [-1])
        slope = tf.reshape(weights["slopes"], [-1])
        return tf.gather(left, index), tf.gather(slope, index)

    def _log_det(self, flat, slope, value):
        log_slope = tf.where(self._is_inside(flat), tf.math.log(slope), 0.0)
        batch_rank = value.shape.rank - len(self._event_shape)
        log_slope = tf.reshape(log_slope, tf.shape(value))
        return tf.reduce_sum(log_slope, axis=list(range(batch_rank, value.shape.rank)))


def _tables(slopes):
    """Left edges of the cells' images and their slopes, `[D, num_values]` each."""
    edges = np.concatenate([np.zeros((len(slopes), 1)), slopes[:, :-1]], axis=1)
    return {"edges": np.cumsum(edges, axis=1), "slopes": slopes}
