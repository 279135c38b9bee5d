"""Last layers of conditioners: zero at first, and moved by about an optimizer's rate.

They see their features from a centre, see `centred`: what they have in common, and what
vectors vary by, is found by `adapt`.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks import gains
from tfp_flows.networks.centred import (
    CentredConv,
    add_center,
    add_flag,
    has_left_zero,
    mean_of,
)


class ZeroAtFirst:
    """What all heads tell of their weights, masked ones too.

    Implementing one: `kernel` and `bias` of zeros, and `_adapted` of `add_flag`.
    """

    kernel: keras.Variable
    bias: keras.Variable
    _adapted: keras.Variable

    @property
    def is_trained(self) -> bool:
        """Whether kernel or bias have left zero."""
        return has_left_zero(self.kernel, self.bias)

    @property
    def is_adapted(self) -> bool:
        """Whether `adapt` was called, or it is too late for it, after training."""
        return self.is_trained or has_left_zero(self._adapted)


@keras.saving.register_keras_serializable("tfp_flows")
class Head(ZeroAtFirst, keras.layers.Layer):
    """Base of the heads that see whole feature vectors; see this module.

    Implementing one: `build` with `_add_weights(h_shape, window)`, and `call`.

    Args:
      units: of the result.
      depth: steps of the flow that an event passes through.
      num_summed: layers whose sum the features are. A bijector asks its network for it,
        and for the next.
      bounded: whether the features are limited in size, as those of `ConvResNet`.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.
    """

    def __init__(
        self,
        units: int,
        depth: int = 1,
        num_summed: int = 1,
        bounded: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.depth = depth
        self.num_summed = num_summed
        self.bounded = bounded

    def _add_weights(self, h_shape, window=()):
        inputs = (*window, h_shape[-1])
        self._on_vectors = len(h_shape) == 2
        self._share = gains.share(self.depth, self._on_vectors)
        self._gain: Any = self._gain_for(math.prod(inputs))
        self.kernel = self.add_weight(
            shape=(*inputs, self.units), initializer="zeros", name="kernel"
        )
        self.bias = self.add_weight(
            shape=(self.units,), initializer="zeros", name="bias"
        )
        self.center = add_center(self, inputs[-1])
        self._adapted = add_flag(self)
        if self._on_vectors:
            self._gain = add_gain(self, self._gain)

    def adapt(self, features: tf.Tensor) -> None:
        """Sets c and gain from features `[..., F]`; call it before training."""
        self.center.assign(mean_of(features))
        self._adapted.assign(True)
        if self._on_vectors:
            self._gain.assign(self._gain_for(features.shape[-1], spread_of(features)))

    def _gain_for(self, fan_in, spread=None):
        kind = self.num_summed, self._on_vectors
        return gains.head(fan_in, *kind, spread, bounded=self.bounded)

    @property
    def factors(self) -> tuple[Any, float]:
        """What kernel and bias are multiplied with."""
        return self._gain * self._share, self._share

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "units": self.units,
            "depth": self.depth,
            "num_summed": self.num_summed,
            "bounded": self.bounded,
        }


@keras.saving.register_keras_serializable("tfp_flows")
class ZeroDense(Head):
    """A dense head; see this module for what it computes and why.

    Shapes: h `[..., n]` -> y `[..., units]`. Arguments: see `Head`.

    Examples:
      >>> float(tf.reduce_sum(ZeroDense(8)(keras.ops.ones((5, 2)))))
      0.0
    """

    def build(self, h_shape: tuple[Any, ...]):
        """Makes the weights."""
        self._add_weights(h_shape)

    def call(self, h: tf.Tensor):
        """Returns `[..., units]`."""
        gain, share = self.factors
        kernel = self.kernel * gain
        return keras.ops.matmul(h - self.center, kernel) + self.bias * share

    def compute_output_shape(self, h_shape: tuple[Any, ...]):
        """Returns the shape of the result."""
        return (*h_shape[:-1], self.units)


@keras.saving.register_keras_serializable("tfp_flows")
class ZeroConv(Head, CentredConv):
    """A convolutional head: Glow's last layer [1]; see this module.

    It replaces the paper's learned factor exp(3 s), which made up for a slow start.

    Shapes: h `[B, *positions, C]`, one to three axes of positions -> y `[B,
    *positions, units]`. It is fastest at the positions that it was built for.

    Args:
      units: channels of the result.
      kernel_size: sides of the kernel.
      depth: steps of the flow that an event passes through.
      **kwargs: of `Head`.

    Examples:
      >>> float(tf.reduce_sum(ZeroConv(8)(keras.ops.ones((5, 4, 4, 2)))))
      0.0

    References:
      [1] Kingma, Dhariwal. Glow: Generative flow with invertible 1x1 convolutions.
          NeurIPS 2018. arXiv:1807.03039
    """

    def __init__(self, units: int, kernel_size: int = 3, depth: int = 1, **kwargs):
        super().__init__(units, depth, **kwargs)
        self.kernel_size = kernel_size

    def build(self, h_shape: tuple[Any, ...]):
        """Makes the weights."""
        self._add_weights(h_shape, [self.kernel_size] * (len(h_shape) - 2))
        self._fold(h_shape)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"kernel_size": self.kernel_size}


def add_gain(layer: keras.Layer, gain: float) -> keras.Variable:
    """Adds a head's gain as a weight that is not trained."""
    initializer = keras.initializers.Constant(gain)
    return layer.add_weight(
        shape=(), initializer=initializer, trainable=False, name="gain"
    )


def spread_of(rows: np.ndarray) -> float:
    """Returns the mean of the standard deviations of columns, `[N, F]`."""
    return float(np.asarray(rows).std(axis=0, dtype=np.float64).mean())


def zero_conv(
    dtype: str, kernel_size: int = 3, depth: int = 1
) -> Callable[[int], ZeroConv]:
    """Returns a builder of heads for `Conditioner`, all of one name.

    TensorFlow keeps some 30 KiB for every name that a variable was made with.

    Args:
      dtype: of the weights.
      kernel_size: sides of the kernel.
      depth: steps of the flow that an event passes through, see `Head`.

    Returns:
      A function of the number of units, see `ZeroConv` for their shapes.

    Examples:
      >>> zero_conv("float32")(6)(tf.ones([1, 4, 4, 2])).shape
      TensorShape([1, 4, 4, 6])
    """
    return lambda units: ZeroConv(
        units, kernel_size, depth, dtype=dtype, name="zero_conv"
    )
