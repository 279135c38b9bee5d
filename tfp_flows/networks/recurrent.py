"""Recurrent networks (LSTM, GRU) as autoregressive ones, for sequences."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.networks.autoregressive_network import as_many, never_empty
from tfp_flows.networks.heads import ZeroDense
from tfp_flows.networks.sequence_network import SequenceNetwork, delayed

_CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


@keras.saving.register_keras_serializable("tfp_flows")
class RecurrentNetwork(SequenceNetwork):
    """A stack of LSTM or GRU layers that is shown the sequence one step late.

        h[0][t] = (x[t-1], context[t]);  h[n][t] = cell_n(h[n-1][t], state_n[t-1])
        params[t] = P h[N][t], and P begins at zero

    The layers are those of Keras: `call` runs them over the whole sequence (with cuDNN
    on a GPU), `step` runs their cells once on the state that it is given.

    Shapes: x `[B, T, C * num_features]`, context `[B, K]` or `[B, T, K]` -> params
    `[B, T, C, num_params]`.

    Args:
      event_shape: `[T, C]`, time steps and channels. One position is one time step.
      num_params: parameters of each unit.
      num_features: numbers that the network is shown of each unit.
      units: width of each layer.
      cell: "lstm" or "gru".
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: if the events are no sequences, there is no layer or no such cell, or
        a context is neither a vector nor a sequence of T rows.

    Examples:
      >>> network = RecurrentNetwork([20, 1], 2, units=(8, 8), cell="gru")
      >>> network(keras.ops.zeros((5, 20, 1))).shape
      TensorShape([5, 20, 1, 2])

    References:
      Hochreiter, Schmidhuber. Long short-term memory. Neural Computation 1997.
      Cho et al. Learning phrase representations using RNN encoder-decoder. EMNLP 2014.
          arXiv:1406.1078
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_params: int,
        num_features: int = 1,
        *,
        units: Sequence[int] = (128,),
        cell: str = "lstm",
        **kwargs,
    ):
        super().__init__(event_shape, num_params, num_features, **kwargs)
        self.units = tuple(int(n) for n in units)
        self.cell = cell
        if not self.units or min(self.units) < 1 or cell not in _CELLS:
            raise ValueError(
                f"{self.name} needs at least one positive width and a cell of "
                f"{sorted(_CELLS)}, got units {self.units} and cell {cell!r}."
            )
        self._recurrent = [
            _CELLS[cell](
                n,
                return_sequences=True,
                kernel_initializer="lecun_normal",
                name=cell,
                dtype=self.dtype_policy,
            )
            for n in self.units
        ]
        self._last = ZeroDense(
            self.event_shape[1] * self.num_params,
            self.depth,
            name="last",
            dtype=self.dtype_policy,
        )

    def build(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights; a context widens the first layer."""
        self._read_context_shape(context_shape)
        width = x_shape[-1] + (0 if context_shape is None else context_shape[-1])
        for layer, units in zip(self._recurrent, self.units, strict=True):
            layer.build((None, self.event_shape[0], width))
            width = units
        self._last.build((None, self.event_shape[0], width))

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None):
        """Returns params `[B, T, C, num_params]`."""
        h = delayed(x, 1)
        if context is not None:
            context = self._along_time(context)
            rows = tf.shape(h)[0]
            shape = tf.stack([rows, self.event_shape[0], context.shape[-1]])
            h = tf.concat([h, tf.broadcast_to(context, shape)], axis=-1)
        h = never_empty(h)
        for layer in self._recurrent:
            h = layer(h)
        h = as_many(h, x)
        return self._params(h, [-1, *self.event_shape, self.num_params])

    def _params(self, h, shape):
        return tf.reshape(self._last(h), shape)

    def initial_state(self, batch: Any, context: tf.Tensor | None = None) -> Any:
        """Returns the context, and zeros for every cell: a pair for an LSTM."""
        zeros = [tf.zeros(tf.stack([batch, n]), self.compute_dtype) for n in self.units]
        copies = 2 if self.cell == "lstm" else 1
        return self._time_first(context), [[zero] * copies for zero in zeros]

    def step(self, state: Any, x_previous: tf.Tensor, i: Any) -> tuple[tf.Tensor, Any]:
        """Returns params of time step i, `[B, C, num_params]`, and the next state."""
        context, cells = state
        h, after = self._shown(x_previous, i), []
        if isinstance(context, tf.Tensor):
            h = tf.concat([h, self._at(context, i)], axis=-1)
        for layer, cell_state in zip(self._recurrent, cells, strict=True):
            h, cell_state = layer.cell(h, cell_state)
            after.append(list(cell_state))
        params = self._params(h, [-1, self.event_shape[1], self.num_params])
        return params, (context, after)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"units": self.units, "cell": self.cell}
