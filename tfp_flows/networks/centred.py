"""Layers that see their inputs from a centre: y = share (gain V (h - c) + b).

V and b are trained; `gains` says what gain and share are for. c is the mean of the
inputs, set by `adapt` and not trained. The features of a rectified layer are all
positive: what they have in common would move y by the sum of all weights' steps.
Centred, it goes to the bias, which moves by r; what is left has no sign, and one step
of all weights adds up to a fraction of the bound.
"""

import abc
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks.grids import convolve, taps_within
from tfp_flows.networks.weights.prepared import prepared


def add_center(layer: keras.Layer, size: int) -> keras.Variable:
    """Adds the centre of a layer's inputs as a weight that is not trained."""
    return layer.add_weight(
        shape=(size,), initializer="zeros", trainable=False, name="center"
    )


def mean_of(rows: np.ndarray) -> np.ndarray:
    """Returns the mean of inputs `[..., F]`, float64 `[F]`."""
    return np.reshape(rows, [-1, rows.shape[-1]]).mean(axis=0, dtype=np.float64)


def add_flag(layer: keras.Layer) -> keras.Variable:
    """Adds whether a layer was adapted as a weight, so that it is saved with others."""
    return layer.add_weight(
        shape=(), dtype="bool", initializer="zeros", trainable=False, name="adapted"
    )


def has_left_zero(*variables: keras.Variable) -> bool:
    """Returns whether any number is not the zero, or False, that all were at first."""
    return any(np.any(variable.value) for variable in variables)


def adapted(layer: Any, h: tf.Tensor) -> tf.Tensor:
    """Returns what a layer gives once it has adapted to h, if it does that."""
    if hasattr(layer, "adapt"):
        layer.adapt(h)
    return layer(h)


class CentredConv(keras.layers.Layer):
    """Base of convolutions that see their inputs from a centre, see this module.

    Shapes: h `[B, *positions, C]`, one to three axes of positions -> y `[B,
    *positions, units]`. It is fastest at the positions that it was built for.

    Implementing one: `factors`, and `build` with kernel, bias, center and `_fold`.
    """

    kernel: keras.Variable
    bias: keras.Variable
    center: keras.Variable

    @property
    @abc.abstractmethod
    def factors(self) -> tuple[Any, float]:
        """What kernel and bias are multiplied with."""

    def _fold(self, h_shape):
        self._positions = tuple(h_shape[1:-1])
        *window, channels, _ = self.kernel.shape
        self._is_pointwise = math.prod(window) == 1
        # What is added at positions is stored in exports: small beside the kernel.
        self._is_folded = (
            self._is_pointwise
            or None not in self._positions
            and (4 * math.prod(self._positions) <= math.prod(window) * channels)
        )

    @property
    def prepared_from(self) -> list[keras.Variable]:
        """The variables that nothing but `prepare` reads."""
        return [self.kernel, self.bias, self.center]

    def prepare(self) -> list[tf.Tensor]:
        """Returns the kernel, and what is added at each position.

        Outside of the event lie features like the mean ones, zeros once centred. So c
        counts at each position for the taps of the kernel that are within the event.
        That is a sum over weights, `[*positions, units]`, or `[units]` for one tap; to
        centre the features takes an operation as large as their layer. Where positions
        are many it is kernel, bias and c.
        """
        kernel, bias, center = self._factored()
        if not self._is_folded:
            return [kernel, bias, center]
        # Thousands of products are added: not in 16 bits.
        exact = tf.float32 if kernel.dtype.size < 4 else kernel.dtype
        bias, center = tf.cast(bias, exact), tf.cast(center, exact)
        of_taps = tf.reduce_sum(tf.cast(kernel, exact) * center[:, None], axis=-2)
        # With an axis in front: products of all members at once want one.
        of_taps = tf.reshape(of_taps, [1, -1, kernel.shape[-1]])
        if self._is_pointwise:
            return [kernel, bias - of_taps[0, 0]]
        seen = taps_within(self._positions, kernel.shape[0])
        added = bias - tf.constant(seen[None], exact) @ of_taps
        return [kernel, tf.reshape(added, [*self._positions, kernel.shape[-1]])]

    def _factored(self):
        kernel, bias, center = (tf.convert_to_tensor(v) for v in self.prepared_from)
        gain, share = self.factors
        return kernel * gain, bias * share, center

    def call(self, h: tf.Tensor):
        """Returns `[B, *positions, units]`."""
        same = self._is_pointwise or tuple(h.shape[1:-1]) == self._positions
        # Unknown positions are other ones: the sum would be spread over them.
        if self._is_folded and not same:
            kernel, added, *center = self._factored()
        else:
            kernel, added, *center = prepared(self.prepare)
        h = h - tf.cast(center[0], h.dtype) if center else h
        return convolve(h, kernel) + tf.cast(added, h.dtype)
