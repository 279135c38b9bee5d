"""Keras' dense and convolutional layers with kernels that optimizers move slowly."""

import math

import keras

from tfp_flows.networks import gains


@keras.saving.register_keras_serializable("tfp_flows")
class HiddenInitializer(keras.initializers.Initializer):
    """Divides another initializer's values by the gain of their kernel, see `gains`.

    Args:
      base: initializer of the kernel that the layer shall have, or its name.

    Example:
      >>> kernel = HiddenInitializer("ones")(shape=(64, 1))  # gain 1/2
      >>> float(kernel[0, 0])
      2.0
    """

    def __init__(self, base: str | keras.initializers.Initializer = "glorot_uniform"):
        self.base = keras.initializers.get(base)

    def __call__(self, shape, dtype=None):
        """Returns a kernel `[..., inputs, units]`."""
        return self.base(shape, dtype=dtype) / gains.hidden(math.prod(shape[:-1]))

    def get_config(self):
        """Returns the constructor's arguments."""
        return {"base": keras.initializers.serialize(self.base)}


@keras.saving.register_keras_serializable("tfp_flows")
class HiddenDense(keras.layers.Dense):
    """`keras.layers.Dense` with gain times `kernel` as kernel; see `gains`.

    Args:
      units: of the result.
      kernel_initializer: of what is trained; Glorot's of the kernel itself if None.
      **kwargs: of `keras.layers.Dense`.

    Example:
      >>> HiddenDense(8)(keras.ops.ones((5, 64))).shape
      TensorShape([5, 8])
    """

    def __init__(self, units: int, kernel_initializer=None, **kwargs):
        initial = kernel_initializer or HiddenInitializer()
        super().__init__(units, kernel_initializer=initial, **kwargs)

    def call(self, h, training=None):
        """Returns `[..., units]`."""
        y = keras.ops.matmul(h, self.kernel * gains.hidden(h.shape[-1]))
        if self.use_bias:
            y = keras.ops.add(y, self.bias)
        return y if self.activation is None else self.activation(y)


@keras.saving.register_keras_serializable("tfp_flows")
class HiddenConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with gain times `kernel` as kernel; see `gains`.

    Args:
      filters: channels of the result.
      kernel_size: height and width of the kernel.
      kernel_initializer: of what is trained; Glorot's of the kernel itself if None.
      **kwargs: of `keras.layers.Conv2D`.

    Example:
      >>> HiddenConv2D(8, 3)(keras.ops.ones((5, 4, 4, 8))).shape
      TensorShape([5, 2, 2, 8])
    """

    def __init__(self, filters: int, kernel_size, kernel_initializer=None, **kwargs):
        initial = kernel_initializer or HiddenInitializer()
        super().__init__(filters, kernel_size, kernel_initializer=initial, **kwargs)

    def convolution_op(self, inputs, kernel):
        """Returns the convolution with the kernel times its gain."""
        gain = gains.hidden(math.prod(kernel.shape[:-1]))
        return super().convolution_op(inputs, kernel * gain)
