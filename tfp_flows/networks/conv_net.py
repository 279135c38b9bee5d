"""Small convolutional residual networks for images."""

import keras

from tfp_flows.networks.hidden import HiddenConv2D, HiddenDense
from tfp_flows.networks.image_context import is_image, joined, joined_shape


@keras.saving.register_keras_serializable("tfp_flows")
class ConvResNet(keras.layers.Layer):
    """A convolutional residual network that keeps height and width.

    h <- conv3x3(x) (+ dense(context) on every pixel), or conv3x3([x, context])
    h <- h + conv3x3(dropout(activation(conv1x1(activation(h)))))   `num_blocks` times
    features <- activation(h)

    The 1x1 before the 3x3 halves the cost of a pair of 3x3 and loses little on small
    images. There is no output layer: a bijector adds the head it needs. What is trained
    of the kernels is divided by their gain, see `gains`.

    A context is a vector, or an image as large as x or n times as large, whose blocks
    of n x n pixels are then taken for channels.

    Shapes: x `[B, H, W, C]`, context `[B, K]` or `[B, n H, n W, K]` -> features
    `[B, H, W, filters]`.

    Args:
      filters: channels of every hidden layer.
      num_blocks: residual blocks; the receptive field is `3 + 2 * num_blocks` pixels.
      activation: name or callable, as for `keras.layers.Activation`.
      dropout: rate, applied in training mode only.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: if a count is not positive, or an image-shaped context does not fit.

    Example:
      >>> ConvResNet(filters=8, num_blocks=1)(keras.ops.zeros((5, 4, 4, 2))).shape
      TensorShape([5, 4, 4, 8])
    """

    def __init__(
        self,
        filters: int = 64,
        num_blocks: int = 2,
        activation: str = "relu",
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if filters < 1 or num_blocks < 0:
            raise ValueError(
                f"ConvResNet needs filters >= 1 and num_blocks >= 0, got {filters} "
                f"and {num_blocks}."
            )
        self.filters = filters
        self.num_blocks = num_blocks
        self.activation = activation
        self.dropout = dropout
        self._first = self._conv(3)
        self._context_dense = None
        self._blocks = [self._block() for _ in range(num_blocks)]
        self._last = self._activation()

    def _conv(self, size):
        return HiddenConv2D(self.filters, size, padding="same", dtype=self.dtype_policy)

    def _activation(self):
        return keras.layers.Activation(self.activation, dtype=self.dtype_policy)

    def _block(self):
        drop = (
            [keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)]
            if self.dropout
            else []
        )
        # A 1x1 convolution as a matrix product: up to twice as fast on small images.
        mix = HiddenDense(self.filters, dtype=self.dtype_policy)
        return keras.Sequential(
            [self._activation(), mix, self._activation(), *drop, self._conv(3)]
        )

    def build(self, x_shape, context_shape=None):
        """Makes the weights; a context adds a dense layer, or channels."""
        hidden = (*x_shape[:-1], self.filters)
        self._first.build(joined_shape(x_shape, context_shape, self.name))
        for block in self._blocks:
            block.build(hidden)
        if context_shape is not None and not is_image(context_shape):
            self._context_dense = HiddenDense(self.filters, dtype=self.dtype_policy)
            self._context_dense.build(context_shape)

    def call(self, x, context=None):
        """Returns features `[B, H, W, filters]`."""
        features = self._first(joined(x, context))
        if self._context_dense is not None:
            features = features + self._context_dense(context)[:, None, None, :]
        for block in self._blocks:
            features = features + block(features)
        return self._last(features)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "num_blocks": self.num_blocks,
            "activation": self.activation,
            "dropout": self.dropout,
        }
