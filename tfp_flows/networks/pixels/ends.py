"""The first and the last layer of every pixel network."""

import functools
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.networks import gains
from tfp_flows.networks.pixels.layer import (
    PixelLayer,
    look_back,
    look_left,
    look_up,
    pointwise,
)


@keras.saving.register_keras_serializable("tfp_flows")
class PixelInput(PixelLayer):
    """A k x k convolution with mask A: a pixel sees its past alone [1].

    above[r] = conv(x[r - k//2 .. r - 1]) + bias
    h = above + conv(x to the left; channels of the pixel itself that came before)

    Only the k//2 rows and k//2 + 1 taps that a mask A leaves are computed.

    Shapes: x `[B, H, W, C]` -> above `[B, H, W, filters]`, h of the same shape.

    Args:
      filters: channels of the result.
      kernel_size: k, odd.
      groups: channel groups of a pixel.
      **kwargs: of `keras.layers.Layer`.

    References:
      [1] van den Oord, Kalchbrenner, Kavukcuoglu. Pixel recurrent neural networks.
          ICML 2016. arXiv:1601.06759
    """

    def __init__(self, filters: int, kernel_size: int, groups: int = 1, **kwargs):
        super().__init__(groups, **kwargs)
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, x_shape: tuple[Any, ...]):
        """Makes the weights."""
        self._channels = x_shape[-1]
        reach, shape = self.kernel_size // 2, (self._channels, self.filters)
        add = functools.partial(self.add, initializer="lecun_normal")
        self._up = add("up", reach, self.kernel_size, *shape)
        self._left = add("left", reach + 1, *shape)
        self._bias = self.add_bias("bias", self.filters)

    def call(self, x: tf.Tensor):
        """Returns (above, h)."""
        reach = self.kernel_size // 2
        above = look_up(x, self.read(self._up), padding=reach)[:, :-1]
        above = tf.nn.bias_add(above, self.read(self._bias))
        return above, above + look_left(x, self.masked(self._left, strict=True))

    def initial_state(self, batch: Any, width: int) -> dict[str, tf.Tensor]:
        """Returns black images: the row in progress and those above it."""
        reach, n = self.kernel_size // 2, self._channels
        return {
            "row": self.zeros(batch, width, n),
            "rows": self.zeros(batch, reach, width, n),
            "above": self.zeros(batch, width, self.filters),
        }

    def write(self, state: Any, x_previous: tf.Tensor, i: Any):
        """Puts the block before position i into its row; nothing at i = 0."""
        row = state["row"]
        shape = [-1, row.shape[1] * self.groups, self._channels // self.groups]
        blocks = tf.reshape(row, shape)
        here = (tf.range(shape[1]) == (i - 1) % shape[1]) & (i > 0)
        value = tf.cast(x_previous, row.dtype)[:, None]
        blocks = tf.where(here[None, :, None], value, blocks)
        return state | {"row": tf.reshape(blocks, [-1, *row.shape[1:]])}

    def start_row(self, state: Any):
        """Moves down by a row; returns its state and `above`, `[B, 1, W, filters]`."""
        row = state["row"]
        rows = tf.concat([state["rows"][:, 1:], row[:, None]], axis=1)
        above = tf.nn.bias_add(
            look_up(rows, self.read(self._up)), self.read(self._bias)
        )
        state = {"row": tf.zeros_like(row), "rows": rows, "above": above[:, 0]}
        return state, above

    def step(self, state: Any, column: Any):
        """Returns h of a pixel, `[B, filters]`."""
        reach = self.kernel_size // 2
        row = tf.pad(state["row"], [[0, 0], [reach, 0], [0, 0]])
        window = tf.gather(row, column + tf.range(reach + 1), axis=1)
        h = look_back(window, self.masked(self._left, strict=True))
        return h + tf.gather(state["above"], column, axis=1)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
        }


@keras.saving.register_keras_serializable("tfp_flows")
class PixelHead(PixelLayer):
    """Two 1x1 layers from features to params; params begin at zero.

    params = W2 relu(W1 relu(h) + b1) + b2, with mask B

    Shapes: h `[..., n]` -> params `[..., C, num_params]`.

    Args:
      channels: C, of the image.
      num_params: parameters of each unit.
      groups: channel groups of a pixel.
      **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, channels: int, num_params: int, groups: int = 1, **kwargs):
        super().__init__(groups, **kwargs)
        self.channels = channels
        self.num_params = num_params

    def build(self, h_shape: tuple[Any, ...]):
        """Makes the weights."""
        n, units = h_shape[-1], self.channels * self.num_params
        self._hidden = self.add("hidden", n, n, initializer="he_normal")
        self._hidden_bias = self.add_bias("hidden_bias", n)
        self._out = self.add("out", n, units, initializer="zeros")
        self._out_bias = self.add_bias("out_bias", units)

    def call(self, h: tf.Tensor):
        """Returns params of all channels of each pixel."""
        hidden = self.masked(self._hidden)
        h = pointwise(tf.nn.relu(h), hidden, self.read(self._hidden_bias))
        out = self.masked(self._out) * gains.head(self._out.shape[0])
        y = pointwise(tf.nn.relu(h), out, self.read(self._out_bias))
        shape = [tf.shape(y)[:-1], [self.channels, self.num_params]]
        y = tf.reshape(y, tf.concat(shape, axis=0))
        return tf.ensure_shape(y, [*h.shape[:-1], self.channels, self.num_params])

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "channels": self.channels,
            "num_params": self.num_params,
        }
