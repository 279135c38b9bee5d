"""Small convolutional residual networks for signals, images and volumes."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks.centred import adapted
from tfp_flows.networks.dropout import Dropout
from tfp_flows.networks.grid_context import has_positions, joined, joined_shape
from tfp_flows.networks.grids import at_all_positions
from tfp_flows.networks.hidden import CentredDense, HiddenConv

_LIMIT = 3.0


def _called(layer, h):
    return layer(h)


@keras.saving.register_keras_serializable("tfp_flows")
class ConvResNet(keras.layers.Layer):
    """A convolutional residual network that keeps all sides.

    h <- conv3(x) (+ dense(context) at every position), or conv3([x, context])
    h <- h + conv3(dropout(activation(conv1(activation(h)))))   `num_blocks` times
    features <- activation(h)

    Blocks and activation see h divided where its root mean square over the channels of
    a position is above a limit: features of many layers grow together, while heads
    count on their size. The limit is 3, for inputs of unit variance more than twice
    what there is at first; `adapt` raises it with inputs that are larger.

    conv3 has a window of 3 along each axis. The conv1 before it halves the cost of a
    pair of 3x3 and loses little on small images. There is no output layer: a bijector
    adds the head it needs. Each layer sees its inputs from their mean, which `adapt`
    sets, see `centred`; what is trained of the kernels is divided by their gain, see
    `gains`.

    A context is a vector, or has positions as x or n times as many along each axis,
    whose blocks are then taken for channels.

    Shapes: x `[B, *positions, C]`, one to three axes of positions, context `[B, K]` or
    `[B, *(n positions), K]` -> features `[B, *positions, filters]`.

    Args:
      filters: channels of every hidden layer.
      num_blocks: residual blocks; the receptive field is `3 + 2 * num_blocks` wide.
      activation: name or callable, as for `keras.layers.Activation`.
      dropout: rate, applied in training mode only.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: if a count is not positive, or a context does not fit.

    Examples:
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
        self._context_dense: keras.layers.Layer | None = None
        self._blocks = [self._block() for _ in range(num_blocks)]
        self._last = self._activation()

    def _conv(self, size):
        return HiddenConv(self.filters, size, dtype=self.dtype_policy)

    def _activation(self):
        return keras.layers.Activation(self.activation, dtype=self.dtype_policy)

    def _block(self):
        drop = [Dropout(self.dropout, dtype=self.dtype_policy)] if self.dropout else []
        mix, conv = self._conv(1), self._conv(3)
        return keras.Sequential(
            [self._activation(), mix, self._activation(), *drop, conv]
        )

    @property
    def num_summed(self) -> int:
        """Layers whose sum the features are, see `gains`."""
        return 1 + self.num_blocks

    @property
    def bounded(self) -> bool:
        """True: the features are limited in size, see `gains`."""
        return True

    def build(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights; a context adds a dense layer, or channels."""
        hidden = (*x_shape[:-1], self.filters)
        self._limit = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(_LIMIT),
            trainable=False,
            autocast=False,
            name="limit",
        )
        self._first.build(joined_shape(x_shape, context_shape, self.name))
        for block in self._blocks:
            block.build(hidden)
        if context_shape is not None and not has_positions(context_shape):
            self._context_dense = CentredDense(
                self.filters, far=True, dtype=self.dtype_policy
            )
            self._context_dense.build(context_shape)

    def compute_output_shape(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Returns the shape of the features; Keras would trace a call for it."""
        return (*x_shape[:-1], self.filters)

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None):
        """Returns features `[B, *positions, filters]`."""
        return self._last(self._sum(self._begin(joined(x, context), context)))

    def adapt(self, x: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Sets the centre of each layer to the mean of what it is given, and the limit.

        Args:
          x: `[N, *positions, C]`.
          context: `[N, K]` or `[N, *(n positions), K]` for a conditional network.
        """
        # Outside of a call Keras casts no inputs.
        x = tf.cast(joined(x, context), self.compute_dtype)
        first = self._begin(x, context, adapted)
        size = np.sqrt(np.mean(np.asarray(first, np.float64) ** 2))
        self._limit.assign(_LIMIT * max(1.0, size))
        self._sum(first, adapted)

    def _begin(self, x, context, run=_called):
        """Returns what the first layer gives, and the context; `run` calls a layer."""
        features = run(self._first, x)
        if self._context_dense is None:
            return features
        shift = run(self._context_dense, context)
        return features + at_all_positions(shift, features)

    def _sum(self, features, run=_called):
        """Returns the sum of all blocks."""
        for block in self._blocks:
            features = features + functools.reduce(
                lambda h, layer: run(layer, h), block.layers, self._limited(features)
            )
        return self._limited(features)

    def _limited(self, h):
        exact = tf.cast(h, self.variable_dtype)
        size = tf.reduce_mean(tf.square(exact), axis=-1, keepdims=True)
        # The square root has no gradient at 0, and 0 is below the limit.
        excess = tf.maximum(size / tf.square(self._limit), 1.0)
        return h * tf.cast(tf.math.rsqrt(excess), h.dtype)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "num_blocks": self.num_blocks,
            "activation": self.activation,
            "dropout": self.dropout,
        }
