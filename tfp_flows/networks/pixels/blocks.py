"""The residual blocks of PixelCNN: gated with two stacks, and plain."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows.networks.pixels.layer import (
    PixelBlock,
    keep,
    look_back,
    look_left,
    look_up,
    pointwise,
    shift_in,
)


class _ConvBlock(PixelBlock):
    """A block with k x k kernels."""

    def __init__(self, kernel_size: int, groups: int = 1, **kwargs):
        super().__init__(groups, **kwargs)
        self.kernel_size = kernel_size

    @property
    def reach(self) -> int:
        """Pixels to the left, and rows above, that one kernel spans."""
        return self.kernel_size // 2

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"kernel_size": self.kernel_size}


@keras.saving.register_keras_serializable("tfp_flows")
class GatedBlock(_ConvBlock):
    """A layer of the gated PixelCNN: a vertical and a horizontal stack [1].

    a <- conv(above; k//2 + 1 rows of k)       above <- above + gate(a)
    s <- conv(h; k//2 + 1 to the left) + W a   h <- h + V gate(s)
    gate(a) = tanh(a1) sigmoid(a2)

    The rows above form a rectangle that grows by k//2 to all sides with each layer:
    no pixel of the past is left out, as it is with a masked k x k kernel. Unlike the
    paper's, the vertical stack has a residual connection as well.

    Shapes: above, h `[B, H, W, filters]` -> the same; context `[B, K]`.

    Args:
      kernel_size: k, odd.
      groups: channel groups of a pixel.
      dropout: rate on the gated features of h, in training mode.
      **kwargs: of `keras.layers.Layer`.

    References:
      [1] van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu.
          Conditional image generation with PixelCNN decoders. NeurIPS 2016.
          arXiv:1606.05328
    """

    def build(
        self, h_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights."""
        n = self._filters = h_shape[-1]
        self._up = self.add("up", self.reach + 1, self.kernel_size, n, 2 * n)
        self._up_shift = self.add_shift("up", 2 * n, context_shape)
        self._mix = self.add("mix", 2 * n, 2 * n)
        self._left = self.add("left", self.reach + 1, n, 2 * n)
        self._left_shift = self.add_shift("left", 2 * n, context_shape)
        self._out = self.add("out", n, n)
        self._out_bias = self.add_bias("out_bias", n)

    def call(
        self,
        above: tf.Tensor,
        h: tf.Tensor,
        context: tf.Tensor | None = None,
        training: bool | None = None,
    ):
        """Returns (above, h)."""
        vertical, mixed = self._vertical(above, context, padding=self.reach)
        horizontal = mixed + look_left(h, self.masked(self._left, parts=2))
        gated = self.dropped(_gate(horizontal), training)
        return above + vertical, h + self._map_out(gated)

    def _vertical(self, above, context, padding=0):
        """Returns gate(a), and W a with everything else that h does not decide."""
        a = look_up(above, self.read(self._up), padding)
        a = self.shifted(a, self._up_shift, context)
        mixed = pointwise(a, self.read(self._mix))
        return _gate(a), self.shifted(mixed, self._left_shift, context)

    def _map_out(self, gated):
        return pointwise(gated, self.masked(self._out), self.read(self._out_bias))

    def initial_state(self, batch: Any, width: int) -> dict[str, tf.Tensor]:
        """Returns empty memories."""
        n = self._filters
        return {
            "rows": self.zeros(batch, self.reach, width, n),
            "mixed": self.zeros(batch, width, 2 * n),
            "left": self.zeros(batch, self.reach, n),
        }

    def start_row(self, state: Any, above: tf.Tensor, context: tf.Tensor | None):
        """Runs the vertical stack over a row; returns the state and `above`."""
        rows = tf.concat([state["rows"], above], axis=1)
        vertical, mixed = self._vertical(rows, context)
        state = {
            "rows": rows[:, 1:],
            "mixed": mixed[:, 0],
            "left": tf.zeros_like(state["left"]),
        }
        return state, above + vertical

    def step(self, state: Any, h: tf.Tensor, place: Any):
        """Runs the horizontal stack over a pixel; returns h and the state."""
        left = state["left"]
        window = tf.concat([left, h[:, None]], axis=1)
        horizontal = look_back(window, self.masked(self._left, parts=2))
        horizontal += tf.gather(state["mixed"], place.column, axis=1)
        state = state | {"left": shift_in(left, h, place)}
        return h + self._map_out(_gate(horizontal)), state


@keras.saving.register_keras_serializable("tfp_flows")
class ResidualBlock(_ConvBlock):
    """A residual block of the first PixelCNN: one masked k x k convolution [1].

    t <- relu(W1 relu(h));  h <- h + W2 relu(conv(t)), with mask B

    The masked kernel is computed as its two parts, the rows above and the taps to the
    left. Stacked, they leave a blind spot to the right, above the pixel.

    Shapes: h `[B, H, W, filters]` -> the same; context `[B, K]`.

    Args:
      kernel_size: k, odd.
      groups: channel groups of a pixel.
      dropout: rate on the features before the last map, in training mode.
      **kwargs: of `keras.layers.Layer`.

    References:
      [1] van den Oord, Kalchbrenner, Kavukcuoglu. Pixel recurrent neural networks.
          ICML 2016. arXiv:1601.06759
    """

    def build(
        self, h_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights."""
        n = h_shape[-1]
        t = self._filters = max(self.groups, n // 2)
        self._in = self.add("in", n, t, initializer="he_normal")
        self._in_bias = self.add_bias("in_bias", t)
        self._up = self.add("up", self.reach, self.kernel_size, t, t)
        self._left = self.add("left", self.reach + 1, t, t)
        self._shift = self.add_shift("conv", t, context_shape)
        self._out = self.add("out", t, n)
        self._out_bias = self.add_bias("out_bias", n)

    def call(
        self,
        above: tf.Tensor,
        h: tf.Tensor,
        context: tf.Tensor | None = None,
        training: bool | None = None,
    ):
        """Returns (above, h); above is not used."""
        t = self._map_in(h)
        up = look_up(t, self.read(self._up), padding=self.reach)[:, :-1]
        conv = self.shifted(up, self._shift, context)
        conv += look_left(t, self.masked(self._left))
        return above, h + self._map_out(self.dropped(tf.nn.relu(conv), training))

    def _map_in(self, h):
        t = pointwise(tf.nn.relu(h), self.masked(self._in), self.read(self._in_bias))
        return tf.nn.relu(t)

    def _map_out(self, t):
        return pointwise(t, self.masked(self._out), self.read(self._out_bias))

    def initial_state(self, batch: Any, width: int) -> dict[str, tf.Tensor]:
        """Returns empty memories."""
        t = self._filters
        return {
            "row": self.zeros(batch, width, t),
            "rows": self.zeros(batch, self.reach, width, t),
            "up": self.zeros(batch, width, t),
            "left": self.zeros(batch, self.reach, t),
        }

    def start_row(self, state: Any, above: tf.Tensor, context: tf.Tensor | None):
        """Convolves the rows above; returns the state, and `above` as it came."""
        row = state["row"]
        rows = tf.concat([state["rows"][:, 1:], row[:, None]], axis=1)
        up = self.shifted(look_up(rows, self.read(self._up)), self._shift, context)
        left = tf.zeros_like(state["left"])
        return {"row": row, "rows": rows, "up": up[:, 0], "left": left}, above

    def step(self, state: Any, h: tf.Tensor, place: Any):
        """Returns h of a pixel and the state."""
        t = self._map_in(h)
        window = tf.concat([state["left"], t[:, None]], axis=1)
        conv = look_back(window, self.masked(self._left))
        conv += tf.gather(state["up"], place.column, axis=1)
        state = state | {
            "row": keep(state["row"], t, place),
            "left": shift_in(state["left"], t, place),
        }
        return h + self._map_out(tf.nn.relu(conv)), state


def _gate(a):
    signal, gate = tf.split(a, 2, axis=-1)
    return tf.tanh(signal) * tf.sigmoid(gate)
