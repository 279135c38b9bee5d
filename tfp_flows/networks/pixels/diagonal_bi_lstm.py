"""PixelRNN with diagonal LSTMs: two recurrences, diagonal by diagonal."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows.networks.pixels.layer import PixelBlock, keep, pointwise
from tfp_flows.networks.pixels.lstm_network import LSTMNetwork
from tfp_flows.networks.pixels.row_lstm import lstm


@keras.saving.register_keras_serializable("tfp_flows")
class DiagonalBiLSTM(LSTMNetwork):
    """The network of PixelRNN with diagonal LSTMs in two directions [1].

    rightward: gates[r, c] <- W h[r, c] + U state[r, c - 1] + V state[r - 1, c]
    leftward:  gates[r, c] <- W [h[r - 1, c], above[r, c]] + U state[r, c + 1]
                              + V state[r - 1, c]
    h[r, c] <- h[r, c] + O (rightward[r, c] + leftward[r, c])

    The leftward LSTM reads the row above, so no pixel sees its future, and what the
    first layer gathers of the rows above: without that, which the paper leaves out,
    the last pixel of the row above would be seen from nearby only. So every layer sees
    all of the past. In `call` a diagonal, whose pixels do not depend on each other, is
    one turn of the loop: H + W - 1 turns.

    Cost of `step` over a whole image: the arithmetic of about one `call` (half of it
    in the states, as no diagonal is padded); with C ordered channels that of the
    rightward LSTM C times. The leftward LSTM walks over the row above before each row.

    Shapes: x `[B, H, W, C * num_features]`, context `[B, K]` -> params `[B, H, W, C,
    num_params]`, zero at first.

    Args:
      event_shape: `(H, W, C)`.
      num_params: parameters of each unit.
      num_features: numbers that the network is shown of each unit.
      units: of each LSTM; between the layers there are twice as many channels.
      num_layers: layers of two LSTMs.
      channels: "ordered" or "joint", see `PixelNetwork`.
      first_kernel_size: side of the first kernel, odd.
      dropout: rate on the LSTMs' outputs, in training mode.
      **kwargs: of `keras.layers.Layer`.

    Raises:
      ValueError: if the event is no image, a number is too small, `channels` unknown,
        the first kernel even, or a context no vector.

    Examples:
      >>> import keras
      >>> network = DiagonalBiLSTM((4, 4, 1), num_params=2, units=8, num_layers=1)
      >>> network(keras.ops.zeros((5, 4, 4, 1))).shape
      TensorShape([5, 4, 4, 1, 2])

    References:
      [1] van den Oord, Kalchbrenner, Kavukcuoglu. Pixel recurrent neural networks.
          ICML 2016. arXiv:1601.06759
    """

    def _make_blocks(self, num_blocks, **kwargs):
        return [
            DiagonalBlock(self.units, dropout=self.dropout, **kwargs)
            for _ in range(num_blocks)
        ]

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "units": self.units,
            "num_layers": self.num_layers,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable("tfp_flows")
class DiagonalBlock(PixelBlock):
    """One layer: a rightward and a leftward LSTM, and a residual connection.

    Shapes: h `[B, H, W, n]` -> the same; context `[B, K]`.

    Args:
      units: of each LSTM.
      groups: channel groups of a pixel.
      **kwargs: of `PixelBlock`.
    """

    def __init__(self, units: int, groups: int = 1, **kwargs):
        super().__init__(groups, **kwargs)
        self.units = units

    def build(
        self, h_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights."""
        n, gates = h_shape[-1], 4 * self.units
        self._channels = n
        self._right = self.add("right", n, gates)
        self._left = self.add("left", 2 * n, gates)  # of rows above only: no mask
        self._right_shift = self.add_shift("right", gates, context_shape)
        self._left_shift = self.add_shift("left", gates, context_shape)
        # Of both directions; first the state beside, then the one above.
        self._recurrent = self.add("recurrent", 2, 2 * self.units, gates)
        self._out = self.add("out", self.units, n)
        self._out_bias = self.add_bias("out_bias", n)

    def call(
        self,
        above: tf.Tensor,
        h: tf.Tensor,
        context: tf.Tensor | None = None,
        training: bool | None = None,
    ):
        """Returns (above, h)."""
        right = pointwise(h, self.masked(self._right, parts=4))
        row_above = tf.pad(h[:, :-1], [[0, 0], [1, 0], [0, 0], [0, 0]])
        left = self._leftward_gates(row_above, above, context)
        gates = [self.shifted(right, self._right_shift, context), left[:, :, ::-1]]
        right, left = tf.unstack(self._along_diagonals(tf.stack(gates)))
        outputs = self.dropped(right + left[:, :, ::-1], training)
        return above, h + self._map_out(outputs)

    def _leftward_gates(self, row_above, above, context):
        gates = pointwise(tf.concat([row_above, above], axis=-1), self.read(self._left))
        return self.shifted(gates, self._left_shift, context)

    def _along_diagonals(self, gates):
        """Runs both LSTMs: `[2, B, H, W, gates]` -> outputs `[2, B, H, W, units]`."""
        _, _, height, width, _ = gates.shape
        kernel = self.read(self._recurrent)
        diagonals = tf.transpose(skew(gates), [3, 0, 1, 2, 4])  # [H + W - 1, 2, B, ...]
        zeros = tf.zeros_like(diagonals[0, ..., : self.units])

        def go_on(state, elements):
            (beside, cell), (diagonal, begun) = state, elements
            over = tf.pad(beside[:, :, :-1], [[0, 0], [0, 0], [1, 0], [0, 0]])
            states = tf.reshape(
                tf.concat([beside, over], axis=-1), [2, -1, 2 * self.units]
            )
            recurrent = tf.reshape(tf.matmul(states, kernel), tf.shape(diagonal))
            output, cell = lstm(diagonal + recurrent, cell)
            return output * begun, cell * begun

        # Row r begins r diagonals later; until then its state stays zero.
        begun = tf.range(height + width - 1)[:, None] >= tf.range(height)
        begun = tf.cast(begun, gates.dtype)[:, :, None]
        outputs, _ = tf.scan(go_on, (diagonals, begun), (zeros, zeros))
        return unskew(tf.transpose(outputs, [1, 2, 3, 0, 4]), width)

    def _map_out(self, outputs):
        return pointwise(outputs, self.masked(self._out), self.read(self._out_bias))

    def initial_state(self, batch: Any, width: int) -> dict[str, tf.Tensor]:
        """Returns empty memories."""
        u = self.units
        return {
            "row": self.zeros(batch, width, self._channels),
            "leftward": self.zeros(batch, width, u),
            "rightward": self.zeros(batch, width, u),
            "gates": self.zeros(batch, width, 4 * u),
            "output": self.zeros(batch, u),
            "cell": self.zeros(batch, u),
        }

    def start_row(self, state: Any, above: tf.Tensor, context: tf.Tensor | None):
        """Sends the leftward LSTM over the row; returns the state and above."""
        beside, over = tf.split(self.read(self._recurrent), 2, axis=1)
        gates = self._leftward_gates(state["row"][:, None], above, context)[:, 0]
        gates += pointwise(state["leftward"], over[1])
        zeros = tf.zeros_like(state["cell"])
        leftward, _ = tf.scan(
            lambda s, column: lstm(column + tf.matmul(s[0], beside[1]), s[1]),
            tf.transpose(gates, [1, 0, 2]),
            (zeros, zeros),
            reverse=True,
        )
        gates = pointwise(state["rightward"], over[0])[:, None]
        state = state | {
            "leftward": tf.transpose(leftward, [1, 0, 2]),
            "gates": self.shifted(gates, self._right_shift, context)[:, 0],
            "output": zeros,
            "cell": zeros,
        }
        return state, above

    def step(self, state: Any, h: tf.Tensor, place: Any):
        """Returns h of a pixel and the state."""
        beside = self.read(self._recurrent)[0, : self.units]
        gates = tf.matmul(h, self.masked(self._right, parts=4))
        gates += tf.matmul(state["output"], beside)
        gates += tf.gather(state["gates"], place.column, axis=1)
        output, cell = lstm(gates, state["cell"])
        leftward = tf.gather(state["leftward"], place.column, axis=1)
        state = state | {
            "row": keep(state["row"], h, place),
            "rightward": keep(state["rightward"], output, place),
            "output": tf.where(place.done, output, state["output"]),
            "cell": tf.where(place.done, cell, state["cell"]),
        }
        return h + self._map_out(output + leftward), state

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"units": self.units}


def skew(x: tf.Tensor) -> tf.Tensor:
    """Moves row r to the right by r: `[..., H, W, n]` -> `[..., H, H + W - 1, n]`.

    Examples:
      >>> skew(tf.ones([2, 3, 1]))[..., 0].numpy().astype(int)
      array([[1, 1, 1, 0],
             [0, 1, 1, 1]])
    """
    *_, height, width, n = x.shape
    lead, rank = tf.shape(x)[:-3], len(x.shape)
    x = tf.pad(x, [[0, 0]] * (rank - 2) + [[0, height], [0, 0]])
    flat = tf.reshape(x, tf.concat([lead, [height * (width + height), n]], axis=0))
    diagonals = height + width - 1
    flat = flat[..., : height * diagonals, :]  # a row shorter by one: the next moves
    return tf.reshape(flat, tf.concat([lead, [height, diagonals, n]], axis=0))


def unskew(x: tf.Tensor, width: int) -> tf.Tensor:
    """Undoes `skew`: `[..., H, H + W - 1, n]` -> `[..., H, W, n]`."""
    *_, height, diagonals, n = x.shape
    lead, rank = tf.shape(x)[:-3], len(x.shape)
    flat = tf.reshape(x, tf.concat([lead, [height * diagonals, n]], axis=0))
    flat = tf.pad(flat, [[0, 0]] * (rank - 3) + [[0, height], [0, 0]])
    rows = tf.reshape(flat, tf.concat([lead, [height, diagonals + 1, n]], axis=0))
    return rows[..., :width, :]
