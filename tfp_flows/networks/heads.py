"""Last layers of conditioners: zero at first, and moved by about an optimizer's rate.

Adam's first steps have full length: every weight moves by the rate r, whatever its
gradient. The n features of a rectified layer are all positive, so where a column of a
plain kernel moves, its output moves by r times their sum, about 0.4 n r: half of a
log-scale in one step for a 3x3 kernel on 128 channels at r = 1e-3, in all couplings of
a flow at once. Such a flow is lost in its second step. A head computes

y = s W (h - c) + b,  s = min(1, g / n) min(1, d / depth)

where W and b are zero at first, and W is what is trained. What changes:

- W is divided by the fan-in n, so a step moves y by r g mean|h - c| and no more,
  whatever the width, the kernel and the number of channels. A head of at most g inputs
  is left as it is.
- c is the mean of the features, set by `adapt` and not trained. What all features have
  in common then goes to the bias, which moves by r; what is left has no sign, and one
  step of all weights adds up to a fraction of the bound.
- In a chain of more than d steps each head takes a smaller share, so that all of them
  together move an event as d would.

g and d are large for flows to learn soon, and small for no step to overshoot at r =
5e-3; `python -m benchmarks.stability` shows both ends.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks.derived import derived

GAIN = 128.0  # g
DEPTH = 24.0  # d


def head_scale(fan_in: int, depth: int = 1) -> float:
    """Returns the factor s of a head's kernel.

    Args:
      fan_in: n, inputs of one unit, over all positions of a kernel.
      depth: steps of the flow that an event passes through.

    Example:
      >>> head_scale(8), head_scale(2 * 9 * 128) == head_scale(9 * 128) / 2
      (1.0, True)
    """
    return min(1.0, GAIN / fan_in) * min(1.0, DEPTH / depth)


@keras.saving.register_keras_serializable("tfp_flows")
class Head(keras.layers.Layer):
    """Base of the heads that see whole feature vectors: y = s W (h - c) + b.

    Implementing one: `build` with `_add_weights(kernel_shape)`, and `call`.

    Args:
      units: of the result.
      depth: steps of the flow that an event passes through.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.
    """

    def __init__(self, units: int, depth: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.depth = depth

    def _add_weights(self, kernel_shape):
        *window, features, units = kernel_shape
        self._scale = head_scale(int(np.prod(window)) * features, self.depth)
        self.kernel = self.add_weight(
            shape=kernel_shape, initializer="zeros", name="kernel"
        )
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self.center = self.add_weight(
            shape=(features,), initializer="zeros", trainable=False, name="center"
        )

    def adapt(self, features: tf.Tensor) -> None:
        """Sets c to the mean of features `[..., F]`; call it before training."""
        rows = np.reshape(features, [-1, features.shape[-1]])
        self.center.assign(rows.mean(axis=0, dtype=np.float64))

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"units": self.units, "depth": self.depth}


@keras.saving.register_keras_serializable("tfp_flows")
class ZeroDense(Head):
    """A dense head; see this module for what it computes and why.

    Shapes: h `[..., n]` -> y `[..., units]`. Arguments: see `Head`.

    Example:
      >>> float(tf.reduce_sum(ZeroDense(8)(keras.ops.ones((5, 2)))))
      0.0
    """

    def build(self, h_shape):
        """Makes the weights."""
        self._add_weights((h_shape[-1], self.units))

    def call(self, h):
        """Returns `[..., units]`."""
        kernel = self.kernel * self._scale
        return keras.ops.matmul(h - self.center, kernel) + self.bias

    def compute_output_shape(self, h_shape):
        """Returns the shape of the result."""
        return (*h_shape[:-1], self.units)


@keras.saving.register_keras_serializable("tfp_flows")
class ZeroConv(Head):
    """A convolutional head: Glow's last layer [1]; see this module.

    It replaces the paper's learned factor exp(3 s), which made up for a slow start.

    Shapes: h `[B, H, W, C]` -> y `[B, H, W, units]`.

    Args:
      units: channels of the result.
      kernel_size: height and width of the kernel.
      depth: steps of the flow that an event passes through.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Example:
      >>> float(tf.reduce_sum(ZeroConv(8)(keras.ops.ones((5, 4, 4, 2)))))
      0.0

    References:
      [1] Kingma, Dhariwal. Glow: Generative flow with invertible 1x1 convolutions.
          NeurIPS 2018. arXiv:1807.03039
    """

    def __init__(self, units: int, kernel_size: int = 3, depth: int = 1, **kwargs):
        super().__init__(units, depth, **kwargs)
        self.kernel_size = kernel_size

    def build(self, h_shape):
        """Makes the weights."""
        self._add_weights((self.kernel_size, self.kernel_size, h_shape[-1], self.units))

    @property
    def derived_from(self) -> list[keras.Variable]:
        """The variables that nothing but `derive` reads."""
        return [self.kernel]

    def derive(self) -> list[tf.Tensor]:
        """Returns the kernel with its factor."""
        return [tf.convert_to_tensor(self.kernel) * self._scale]

    def call(self, h):
        """Returns `[B, H, W, units]`."""
        [kernel] = derived(self, self.derive)
        # Before the padding: outside of the image lie features like the mean ones.
        y = tf.nn.conv2d(h - self.center, tf.cast(kernel, h.dtype), 1, "SAME")
        return tf.nn.bias_add(y, tf.cast(self.bias, h.dtype))

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"kernel_size": self.kernel_size}


def zero_conv(
    dtype: str, kernel_size: int = 3, depth: int = 1
) -> Callable[[int], ZeroConv]:
    """Returns a builder of heads for `Conditioner`, all of one name.

    TensorFlow keeps some 30 KiB for every name that a variable was made with.
    """
    return lambda units: ZeroConv(
        units, kernel_size, depth, dtype=dtype, name="zero_conv"
    )
