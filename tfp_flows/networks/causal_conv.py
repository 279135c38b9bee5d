"""WaveNet: dilated causal convolutions, for sequences."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.networks.heads import ZeroDense
from tfp_flows.networks.hidden import HiddenDense
from tfp_flows.networks.sequence_network import SequenceNetwork, delayed


@keras.saving.register_keras_serializable("tfp_flows")
class CausalConv(SequenceNetwork):
    """A stack of gated, dilated causal convolutions with skip connections [1].

    h[t] = W x[t-1] + b
    for each layer, with dilation d = 1, 2, 4, ..., 2^(cycle - 1), 1, 2, 4, ...:
      taps[t] = (h[t - (k-1) d], ..., h[t - d], h[t])
      unit[t] = tanh(F taps[t] + F' context[t]) * sigmoid(G taps[t] + G' context[t])
      h <- h + R unit;  skip <- skip + S unit
    params = P relu(Q relu(skip)), and P begins at zero

    What comes before the first time step is zero, in every layer. The residual R of
    the last layer would lead nowhere and does not exist.

    One step of generation costs one dense product for each of these letters: a layer
    keeps its last (k - 1) d inputs in a ring buffer, of which it reads k - 1 entries
    and replaces one, however far the receptive field reaches.

    Shapes: x `[B, T, C * num_features]`, context `[B, K]` or `[B, T, K]` -> params
    `[B, T, C, num_params]`.

    Args:
      event_shape: `[T, C]`, time steps and channels. One position is one time step.
      num_params: parameters of each unit.
      num_features: numbers that the network is shown of each unit.
      filters: channels of h and of the gated units.
      num_layers: number of dilated layers.
      dilation_cycle: the dilation begins again at 1 after so many layers.
      kernel_size: taps of a layer, k.
      skip_filters: channels of the skip connections; None for `filters`.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: if the events are no sequences, a count is not positive, or a context
        is neither a vector nor a sequence of T rows.

    Examples:
      >>> network = CausalConv([100, 1], 2, filters=8, num_layers=4, dilation_cycle=2)
      >>> network(keras.ops.zeros((5, 100, 1))).shape, network.receptive_field
      (TensorShape([5, 100, 1, 2]), 7)

    References:
      [1] van den Oord et al. WaveNet: A generative model for raw audio. 2016.
          arXiv:1609.03499
      Ring buffers: Le Paine et al. Fast WaveNet generation algorithm. 2016.
          arXiv:1611.09482
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_params: int,
        num_features: int = 1,
        *,
        filters: int = 64,
        num_layers: int = 16,
        dilation_cycle: int = 8,
        kernel_size: int = 2,
        skip_filters: int | None = None,
        **kwargs,
    ):
        super().__init__(event_shape, num_params, num_features, **kwargs)
        self.filters = filters
        self.num_layers = num_layers
        self.dilation_cycle = dilation_cycle
        self.kernel_size = kernel_size
        self.skip_filters = filters if skip_filters is None else skip_filters
        counts = filters, num_layers, dilation_cycle, self.skip_filters
        if min(counts) < 1 or kernel_size < 2:
            raise ValueError(
                f"{self.name} needs filters, num_layers, dilation_cycle and "
                f"skip_filters >= 1, got {counts}, and a kernel_size >= 2, got "
                f"{kernel_size}."
            )
        self._dilations = [2 ** (n % dilation_cycle) for n in range(num_layers)]
        self._make_layers(filters, num_layers)

    def _make_layers(self, filters, num_layers):
        self._first = self._dense(filters, "first", base="lecun_normal")
        self._units = [self._dense(2 * filters, "unit") for _ in range(num_layers)]
        widths = [filters] * (num_layers - 1) + [0]
        self._mixes = [self._dense(n + self.skip_filters, "mix") for n in widths]
        self._contexts: list[keras.layers.Layer] = []
        self._hidden = self._dense(
            self.skip_filters,
            "hidden",
            base="he_normal",
            activation="relu",
        )
        self._last = ZeroDense(
            self.event_shape[1] * self.num_params,
            self.depth,
            num_layers,
            name="last",
            dtype=self.dtype_policy,
        )

    def _dense(self, units, name, base="glorot_uniform", **kwargs):
        # All layers share a few names: TensorFlow keeps some 30 KiB for each.
        return HiddenDense(
            units,
            base,
            far=True,
            name=name,
            dtype=self.dtype_policy,
            **kwargs,
        )

    @property
    def receptive_field(self) -> int:
        """Number of time steps before t that the parameters of t depend on."""
        return 1 + (self.kernel_size - 1) * sum(self._dilations)

    def build(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights; a context adds a dense layer to each gated unit."""
        self._read_context_shape(context_shape)
        self._first.build((None, x_shape[-1]))
        for unit, mix in zip(self._units, self._mixes, strict=True):
            unit.build((None, self.kernel_size * self.filters))
            mix.build((None, self.filters))
        if context_shape is not None:
            self._contexts = [
                self._dense(2 * self.filters, "context", use_bias=False)
                for _ in self._units
            ]
            for layer in self._contexts:
                layer.build((None, context_shape[-1]))
        self._hidden.build((None, self.skip_filters))
        self._last.build((None, self.event_shape[0], self.skip_filters))

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None):
        """Returns params `[B, T, C, num_params]`."""
        h = self._first(delayed(x, 1))
        shifts = [None] * self.num_layers
        if context is not None:
            context = self._along_time(context)
            shifts = [layer(context) for layer in self._contexts]
        skip = 0.0
        for n, dilation in enumerate(self._dilations):
            lags = [dilation * k for k in reversed(range(self.kernel_size))]
            taps = [delayed(h, lag) for lag in lags]
            h, more = self._layer(n, h, taps, shifts[n])
            skip = skip + more
        return self._params(skip, [-1, *self.event_shape, self.num_params])

    def _layer(self, n, h, taps, shift):
        """Gated unit n: what goes on to the next layer, and what is skipped ahead."""
        gates = self._units[n](tf.concat(taps, axis=-1))
        if shift is not None:
            gates = gates + shift
        signal, gate = tf.split(gates, 2, axis=-1)
        mixed = self._mixes[n](tf.tanh(signal) * tf.sigmoid(gate))
        if n == self.num_layers - 1:
            return h, mixed
        residual, skip = tf.split(mixed, [self.filters, self.skip_filters], axis=-1)
        return h + residual, skip

    def _params(self, skip, shape):
        return tf.reshape(self._last(self._hidden(tf.nn.relu(skip))), shape)

    def initial_state(self, batch: Any, context: tf.Tensor | None = None) -> Any:
        """Returns empty ring buffers, and what the context adds to each gated unit.

        A vector's part is the same at every step and computed here, once; a sequence
        is kept as it is.
        """
        rings = []
        for dilation in self._dilations:
            length = (self.kernel_size - 1) * dilation
            shape = tf.stack([length, batch, self.filters])
            rings.append(_ring(tf.zeros(shape, self.compute_dtype)))
        context = self._time_first(context)
        if self._contexts and not self._context_is_sequence:
            context = [layer(context[0]) for layer in self._contexts]
        return rings, context

    def step(self, state: Any, x_previous: tf.Tensor, i: Any) -> tuple[tf.Tensor, Any]:
        """Returns params of time step i, `[B, C, num_params]`, and the next state."""
        rings, context = state
        shifts = context if self._contexts else [None] * self.num_layers
        if self._context_is_sequence:
            shifts = [layer(self._at(context, i)) for layer in self._contexts]
        h, skip, kept = self._first(self._shown(x_previous, i)), 0.0, []
        for n, dilation in enumerate(self._dilations):
            length = (self.kernel_size - 1) * dilation
            slots = [(i + dilation * k) % length for k in range(self.kernel_size - 1)]
            taps = [_read(rings[n], slot, h) for slot in slots]
            kept.append(_replace(rings[n], i % length, h))
            h, more = self._layer(n, h, [*taps, h], shifts[n])
            skip = skip + more
        params = self._params(skip, [-1, self.event_shape[1], self.num_params])
        return params, (kept, context)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "num_layers": self.num_layers,
            "dilation_cycle": self.dilation_cycle,
            "kernel_size": self.kernel_size,
            "skip_filters": self.skip_filters,
        }


# Ring buffers are TensorFlow's lists of tensors. Replacing an entry of one copies at
# most its pointers, where scattering into a tensor copies all entries (measured: a
# third of the time of a step of 2 x 8 layers goes away, and more for longer fields).


def _ring(entries):
    """A list of the tensors along the first axis; their batch may be unknown."""
    shape = [-1 if n is None else n for n in entries.shape[1:]]
    return tf.raw_ops.TensorListFromTensor(
        tensor=entries, element_shape=tf.constant(shape)
    )


def _read(ring, slot, like):
    return tf.raw_ops.TensorListGetItem(
        input_handle=ring,
        index=slot,
        element_shape=tf.shape(like),
        element_dtype=like.dtype,
    )


def _replace(ring, slot, entry):
    return tf.raw_ops.TensorListSetItem(input_handle=ring, index=slot, item=entry)
