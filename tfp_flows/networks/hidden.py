"""Keras' dense and convolutional layers with kernels that optimizers move slowly."""

import math
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.networks import gains
from tfp_flows.networks.centred import CentredConv, add_center, mean_of


@keras.saving.register_keras_serializable("tfp_flows")
class HiddenInitializer(keras.initializers.Initializer):
    """Divides another initializer's values by the gain of their kernel, see `gains`.

    Args:
      base: initializer of the kernel that the layer shall have, or its name.
      far: whether a step may move the layer further, see `gains`.

    Examples:
      >>> kernel = HiddenInitializer("ones")(shape=(64, 1))  # gain 1/2
      >>> float(kernel[0, 0])
      2.0
    """

    def __init__(
        self,
        base: str | keras.initializers.Initializer = "glorot_uniform",
        far: bool = False,
    ):
        self.base = keras.initializers.get(base)
        self.far = far

    def __call__(self, shape, dtype=None):
        """Returns a kernel `[..., inputs, units]`."""
        gain = gains.hidden(math.prod(shape[:-1]), self.far)
        return self.base(shape, dtype=dtype) / gain

    def get_config(self):
        """Returns the constructor's arguments."""
        base = keras.initializers.serialize(self.base)
        return {"base": base, "far": self.far}


@keras.saving.register_keras_serializable("tfp_flows")
class HiddenDense(keras.layers.Dense):
    """`keras.layers.Dense` with gain times `kernel` as kernel; see `gains`.

    Args:
      units: of the result.
      kernel_initializer: of gain times `kernel`, Glorot's if None; or of `kernel`, a
        `HiddenInitializer`.
      far: whether a step may move it further, see `gains`.
      **kwargs: of `keras.layers.Dense`.

    Examples:
      >>> HiddenDense(8)(keras.ops.ones((5, 64))).shape
      TensorShape([5, 8])
    """

    def __init__(
        self,
        units: int,
        kernel_initializer: Any = None,
        far: bool = False,
        **kwargs,
    ):
        initial = keras.initializers.get(kernel_initializer or "glorot_uniform")
        if not isinstance(initial, HiddenInitializer):
            initial = HiddenInitializer(initial, far)
        super().__init__(units, kernel_initializer=initial, **kwargs)
        self.far = far

    def call(self, h: tf.Tensor, training: bool | None = None):
        """Returns `[..., units]`."""
        gain = gains.hidden(h.shape[-1], self.far)
        if self.far:  # at one position of a sequence h is smaller than the kernel
            y = keras.ops.matmul(h if gain == 1.0 else h * gain, self.kernel)
        else:
            y = keras.ops.matmul(h, self.kernel * gain)
        if self.use_bias:
            y = keras.ops.add(y, self.bias)
        return y if self.activation is None else self.activation(y)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"far": self.far}


@keras.saving.register_keras_serializable("tfp_flows")
class CentredDense(HiddenDense):
    """A `HiddenDense` that sees its inputs from a centre, see `centred`.

    Shapes: h `[..., n]` -> y `[..., units]`.

    Args:
      units: of the result.
      kernel_initializer: as for `HiddenDense`.
      far: whether a step may move it further, see `gains`.
      **kwargs: of `keras.layers.Dense`.

    Examples:
      >>> layer, h = CentredDense(8), keras.ops.ones((5, 64))
      >>> layer.build(h.shape)
      >>> layer.adapt(h)
      >>> float(keras.ops.max(layer(h)))
      0.0
    """

    # Keras' dense layer saves kernel and bias alone.
    save_own_variables = keras.layers.Layer.save_own_variables
    load_own_variables = keras.layers.Layer.load_own_variables

    def build(self, h_shape: tuple[Any, ...]):
        """Makes the weights."""
        super().build(h_shape)
        self.center = add_center(self, h_shape[-1])

    def adapt(self, h: tf.Tensor) -> None:
        """Sets the centre to the mean of inputs `[..., F]`; call it before training."""
        self.center.assign(mean_of(h))

    def call(self, h: tf.Tensor, training: bool | None = None):
        """Returns `[..., units]`."""
        return super().call(h - self.center)


@keras.saving.register_keras_serializable("tfp_flows")
class HiddenConv(CentredConv):
    """A convolution that keeps all sides, from a centre, with a gain; see `centred`.

    The gain is that of layers whose features are bounded, see `gains`.

    Shapes: h `[B, *positions, C]`, one to three axes of positions -> y `[B,
    *positions, filters]`.

    Args:
      filters: channels of the result.
      kernel_size: sides of the kernel.
      **kwargs: of `keras.layers.Layer`.

    Examples:
      >>> HiddenConv(8, 3)(keras.ops.ones((5, 4, 4, 8))).shape
      TensorShape([5, 4, 4, 8])
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, h_shape: tuple[Any, ...]):
        """Makes the weights."""
        inputs = [self.kernel_size] * (len(h_shape) - 2) + [h_shape[-1]]
        self._gain = gains.bounded(math.prod(inputs))
        self.kernel = self.add_weight(
            shape=(*inputs, self.filters),
            # With which the gain's share of it has a variance of 1 / inputs.
            initializer=keras.initializers.VarianceScaling(1 / self._gain**2),
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.filters,), initializer="zeros", name="bias"
        )
        self.center = add_center(self, h_shape[-1])
        self._fold(h_shape)

    @property
    def factors(self) -> tuple[float, float]:
        """What kernel and bias are multiplied with."""
        return self._gain, 1.0

    def adapt(self, h: tf.Tensor) -> None:
        """Sets the centre to the mean of inputs `[B, *positions, C]`."""
        self.center.assign(mean_of(h))

    def compute_output_shape(self, h_shape: tuple[Any, ...]):
        """Returns the shape of the result."""
        return (*h_shape[:-1], self.filters)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
        }
