"""Glow's conditioner: 3x3, 1x1, 3x3 convolutions with act norm between them."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks import gains
from tfp_flows.networks.centred import add_flag, has_left_zero
from tfp_flows.networks.dropout import Dropout
from tfp_flows.networks.grid_context import has_positions, joined, joined_shape
from tfp_flows.networks.grids import at_all_positions, convolve
from tfp_flows.networks.hidden import HiddenInitializer
from tfp_flows.networks.moments import moments
from tfp_flows.networks.weights.prepared import prepared


@keras.saving.register_keras_serializable("tfp_flows")
class GlowNet(keras.layers.Layer):
    """The first two convolutions of Glow's conditioner; the last one is the head [1].

    h <- dropout(relu(act_norm(conv3x3(x) + dense(context))))
    features <- relu(act_norm(conv1x1(h)))

    Act norm here is a learned scale and bias for each channel. It is folded into the
    convolution's kernel, so it costs nothing on the image, and so is the gain of what
    is trained, see `gains`. `adapt` sets it from data.

    A context with positions is put beside x as channels, as in `ConvResNet`. On signals
    and volumes the first window is 3 along each axis as well.

    Shapes: x `[B, *positions, C]`, one to three axes of positions, context `[B, K]` or
    `[B, *(n positions), K]` -> features `[B, *positions, filters]`.

    Args:
      filters: channels of both hidden layers.
      dropout: rate, applied in training mode only.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: if `filters` is not positive, or a context does not fit.

    Examples:
      >>> GlowNet(filters=8)(keras.ops.zeros((5, 4, 4, 2))).shape
      TensorShape([5, 4, 4, 8])

    References:
      [1] Kingma, Dhariwal. Glow: Generative flow with invertible 1x1 convolutions.
          NeurIPS 2018. arXiv:1807.03039
    """

    def __init__(self, filters: int = 128, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        if filters < 1:
            raise ValueError(f"GlowNet needs filters >= 1, got {filters}.")
        self.filters = filters
        self.dropout = dropout
        self._drop = None
        if dropout:
            self._drop = Dropout(dropout, dtype=self.dtype_policy)
        self._context_kernel = None

    def build(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights; a context adds a dense layer, or channels."""
        channels = joined_shape(x_shape, context_shape, self.name)[-1]
        window = [3] * (len(x_shape) - 2)
        self._conv = self._kernel("conv", (*window, channels, self.filters))
        self._mix = self._kernel("mix", (self.filters, self.filters))
        self._norms = [self._norm("conv"), self._norm("mix")]
        self._adapted = add_flag(self)
        if context_shape is not None and not has_positions(context_shape):
            shape = (context_shape[-1], self.filters)
            self._context_kernel = self._kernel("context", shape)

    def _kernel(self, name, shape):
        initializer = HiddenInitializer("he_normal")
        return self.add_weight(
            shape=shape, initializer=initializer, name=f"{name}_kernel"
        )

    def _norm(self, name):
        shape = (self.filters,)
        log_scale = self.add_weight(shape=shape, initializer="zeros", name=f"{name}_ls")
        bias = self.add_weight(shape=shape, initializer="zeros", name=f"{name}_bias")
        return log_scale, bias

    @property
    def is_adapted(self) -> bool:
        """Whether `adapt` was called, now or before the weights were saved."""
        return has_left_zero(self._adapted)

    def adapt(self, x: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Sets both act norms so that this batch has mean 0 and variance 1 after them.

        Args:
          x: `[N, *positions, C]`.
          context: `[N, K]` or `[N, *(n positions), K]` for a conditional network.
        """
        # Outside of a call Keras casts no weights to a lower precision.
        x = tf.cast(x, self.variable_dtype)
        self._set_norm(0, self._first(x, context))
        self._set_norm(1, self._second(self._first(x, context)))
        self._adapted.assign(True)

    def _set_norm(self, i, before):
        """Standardises what act norm i gives now; its weights compose."""
        # Also the values that a stack of equal networks lends its template.
        log_scale, bias = (np.asarray(v.value, np.float64) for v in self._norms[i])
        rows = np.reshape(tf.cast(before, self.variable_dtype), [-1, self.filters])
        found = moments(rows, self.variable_dtype, self.name)
        mean = found.center + found.rest * found.scale
        self._norms[i][0].assign(log_scale - np.log(found.scale))
        self._norms[i][1].assign((bias - mean) / found.scale)

    def compute_output_shape(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Returns the shape of the features; Keras would trace a call for it."""
        return (*x_shape[:-1], self.filters)

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None):
        """Returns features `[B, *positions, filters]`."""
        first = self._first(x, context)
        # Rectified as rows: TensorFlow fuses product, bias and rectifier.
        rows = tf.nn.relu(self._second(first))
        return tf.reshape(rows, tf.shape(first))

    @property
    def prepared_from(self) -> list[keras.Variable]:
        """The variables that nothing but `prepare` reads."""
        kernels = (self._conv, self._mix, self._context_kernel)
        scales = [log_scale for log_scale, _ in self._norms]
        return [*(kernel for kernel in kernels if kernel is not None), *scales]

    def prepare(self) -> list[tf.Tensor]:
        """Returns the kernels, each times its gain and the scales of its act norm."""
        scales = [
            tf.exp(tf.convert_to_tensor(log_scale)) for log_scale, _ in self._norms
        ]
        kernels = [(self._conv, scales[0]), (self._mix, scales[1])]
        if self._context_kernel is not None:
            kernels.append((self._context_kernel, scales[0]))
        gain = lambda kernel: gains.hidden(math.prod(kernel.shape[:-1]))  # noqa: E731
        return [kernel * (gain(kernel) * scale) for kernel, scale in kernels]

    def _first(self, x, context):
        """What the first act norm gives, `[B, *positions, filters]`."""
        kernel, _, *of_context = prepared(self.prepare)
        first = convolve(joined(x, context), kernel)
        first = tf.nn.bias_add(first, self._norms[0][1])
        for kernel in of_context:
            context = tf.cast(context, first.dtype)
            shift = tf.matmul(context, tf.cast(kernel, first.dtype))
            first += at_all_positions(shift, first)
        return first

    def _second(self, first):
        """What the second act norm gives, as rows `[-1, filters]`."""
        kernel = tf.cast(prepared(self.prepare)[1], first.dtype)
        # A 1x1 convolution as a matrix product: up to twice as fast on small images.
        first = tf.nn.relu(first)
        if self._drop is not None:
            first = self._drop(first)
        rows = tf.reshape(first, [-1, self.filters])
        return tf.nn.bias_add(tf.matmul(rows, kernel), self._norms[1][1])

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "dropout": self.dropout,
        }
