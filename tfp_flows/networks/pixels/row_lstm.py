"""PixelRNN with row LSTMs: a recurrence from row to row, for all columns at once."""

from collections.abc import Sequence
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
from tfp_flows.networks.pixels.lstm_network import LSTMNetwork
from tfp_flows.networks.pixels.network import check_odd


@keras.saving.register_keras_serializable("tfp_flows")
class RowLSTM(LSTMNetwork):
    """The network of PixelRNN with row LSTMs [1].

    gates[r] <- conv(x[r] to the left; mask B) + conv(state[r - 1]);  x <- x + W state

    Each layer widens the view by `kernel_size // 2` columns to both sides with each row
    up: a pixel sees a triangle above it. The input to the gates is one convolution of
    the whole image; only the rows above are taken one after the other.

    Cost of `step` over a whole image: the arithmetic of one `call`; with C ordered
    channels that of the input and output maps C times.

    Shapes: x `[B, H, W, C * num_features]`, context `[B, K]` -> params `[B, H, W, C,
    num_params]`, zero at first.

    Args:
      event_shape: `(H, W, C)`.
      num_params: parameters of each unit.
      num_features: numbers that the network is shown of each unit.
      units: of each LSTM; between the layers there are twice as many channels.
      num_layers: LSTM layers.
      kernel_size: width of the convolutions along a row, odd.
      channels: "ordered" or "joint", see `PixelNetwork`.
      first_kernel_size: side of the first kernel, odd.
      dropout: rate on the LSTMs' outputs, in training mode.
      **kwargs: of `keras.layers.Layer`.

    Raises:
      ValueError: if the event is no image, a number is too small or even, `channels`
        unknown, or a context no vector.

    Examples:
      >>> import keras
      >>> network = RowLSTM((4, 4, 1), num_params=2, units=8, num_layers=1)
      >>> network(keras.ops.zeros((5, 4, 4, 1))).shape
      TensorShape([5, 4, 4, 1, 2])

    References:
      [1] van den Oord, Kalchbrenner, Kavukcuoglu. Pixel recurrent neural networks.
          ICML 2016. arXiv:1601.06759
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_params: int,
        num_features: int = 1,
        *,
        kernel_size: int = 3,
        **kwargs,
    ):
        self.kernel_size = kernel_size
        super().__init__(event_shape, num_params, num_features, **kwargs)

    def _make_blocks(self, num_blocks, **kwargs):
        check_odd(self.kernel_size, "kernel_size", self.name)
        return [
            RowLSTMBlock(self.units, self.kernel_size, dropout=self.dropout, **kwargs)
            for _ in range(num_blocks)
        ]

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "units": self.units,
            "num_layers": self.num_layers,
            "kernel_size": self.kernel_size,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable("tfp_flows")
class RowLSTMBlock(PixelBlock):
    """One layer: an LSTM whose time is the row, and whose units are columns.

    Shapes: h `[B, H, W, n]` -> the same; context `[B, K]`.

    Args:
      units: of the LSTM.
      kernel_size: width of both convolutions, odd.
      groups: channel groups of a pixel.
      **kwargs: of `PixelBlock`.
    """

    def __init__(self, units: int, kernel_size: int, groups: int = 1, **kwargs):
        super().__init__(groups, **kwargs)
        self.units = units
        self.kernel_size = kernel_size

    def build(
        self, h_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights."""
        n, gates = h_shape[-1], 4 * self.units
        self._channels = n
        self._left = self.add("left", self.kernel_size // 2 + 1, n, gates)
        self._up = self.add("up", 1, self.kernel_size, self.units, gates)
        self._shift = self.add_shift("gates", gates, context_shape)
        self._out = self.add("out", self.units, n)
        self._out_bias = self.add_bias("out_bias", n)

    def call(
        self,
        above: tf.Tensor,
        h: tf.Tensor,
        context: tf.Tensor | None = None,
        training: bool | None = None,
    ):
        """Returns (above, h); above is not used."""
        gates = self.shifted(
            look_left(h, self.masked(self._left, parts=4)), self._shift, context
        )
        rows = tf.transpose(gates, [1, 0, 2, 3])  # [H, B, W, gates]
        zeros = tf.zeros_like(rows[0, ..., : self.units])
        up = self.read(self._up)
        outputs, _ = tf.scan(
            lambda state, row: lstm(row + _along(state[0], up), state[1]),
            rows,
            (zeros, zeros),
        )
        outputs = self.dropped(tf.transpose(outputs, [1, 0, 2, 3]), training)
        return above, h + self._map_out(outputs)

    def _map_out(self, outputs):
        return pointwise(outputs, self.masked(self._out), self.read(self._out_bias))

    def initial_state(self, batch: Any, width: int) -> dict[str, tf.Tensor]:
        """Returns empty memories."""
        return {
            "output": self.zeros(batch, width, self.units),
            "cell": self.zeros(batch, width, self.units),
            "gates": self.zeros(batch, width, 4 * self.units),
            "left": self.zeros(batch, self.kernel_size // 2, self._channels),
        }

    def start_row(self, state: Any, above: tf.Tensor, context: tf.Tensor | None):
        """Convolves the row above; returns the state, and `above` as it came."""
        gates = _along(state["output"], self.read(self._up))[:, None]
        gates = self.shifted(gates, self._shift, context)[:, 0]
        left = tf.zeros_like(state["left"])
        return state | {"gates": gates, "left": left}, above

    def step(self, state: Any, h: tf.Tensor, place: Any):
        """Returns h of a pixel and the state."""
        window = tf.concat([state["left"], h[:, None]], axis=1)
        gates = look_back(window, self.masked(self._left, parts=4))
        gates += tf.gather(state["gates"], place.column, axis=1)
        output, cell = lstm(gates, tf.gather(state["cell"], place.column, axis=1))
        state = state | {
            "output": keep(state["output"], output, place),
            "cell": keep(state["cell"], cell, place),
            "left": shift_in(state["left"], h, place),
        }
        return h + self._map_out(output), state

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "units": self.units,
            "kernel_size": self.kernel_size,
        }


def lstm(gates: tf.Tensor, cell: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Lets an LSTM go on by one: gates `[..., 4 n]`, cell `[..., n]` -> output, cell.

    Without forgetting much at first: the forget gate has a bias of 1 of its own.
    """
    write, forget, show, value = tf.split(gates, 4, axis=-1)
    cell = tf.sigmoid(forget + 1.0) * cell + tf.sigmoid(write) * tf.tanh(value)
    return tf.sigmoid(show) * tf.tanh(cell), cell


def _along(row, kernel):
    """Convolves rows `[B, W, n]` along themselves."""
    return look_up(row[:, None], kernel)[:, 0]
