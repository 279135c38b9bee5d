"""MADE: a dense network whose masks let each unit see the earlier ones only."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks.autoregressive_network import AutoregressiveNetwork
from tfp_flows.networks.centred import adapted
from tfp_flows.networks.masked_dense import MaskedDense

_MANY = 31  # degrees; beside so many those units of degree 0 are few
_WIDE = 256  # units; from here on halves save more time than their operations take


@keras.saving.register_keras_serializable("tfp_flows")
class MADE(AutoregressiveNetwork):
    """A masked autoencoder for distribution estimation (Germain et al., 2015) [1].

    plain:     h <- activation((M * W) h + b) for each of `hidden_units`
    residual:  h <- W0 x + b0; then h <- h + W2 activation(W1 activation(h) + b1) + b2
               for each of `hidden_units[1:]`, all masked; then activation(h)
    params = (M * W) h + b, zero at first

    Every hidden unit has a degree, the number of positions it sees, and M joins a unit
    to those of no higher degree. The units of a layer are sorted by it: `step(state,
    x, i)` computes the units of degree i, one block of each layer, from the record of
    the blocks before; all steps together do the arithmetic of about one `call`. A
    context reaches every unit. Units of degree 0 see it alone; without one they are
    constants, and there are some only for 32 positions and more, where the blocks would
    be larger without: 256 units for 64 positions make 64 blocks of 4, one of them
    constant, instead of 63 of up to 5.

    In layers of 256 units and more, `call` keeps the first and the second half of the
    order apart: what the first never sees is not multiplied, a quarter of the work.

    With fewer hidden units than positions some degrees have none, and a position then
    does not see all of those before it. The last layer has the dtype of the weights.
    Below float32, `step` may round otherwise than `call`.

    Shapes: x `[B, *features_shape]`, context `[B, *context_shape]` ->
    `[B, *event_shape, P]`.

    Args:
      event_shape: shape of one event.
      num_params: parameters of each unit.
      num_features: numbers shown of each unit.
      hidden_units: width of each layer, any number of layers; equal when `residual`.
      activation: name or callable, as for `keras.layers.Dense`.
      residual: adds a skip connection around every pair of layers.
      order: "natural" (row-major), "reversed", or "random" by `seed`.
      block_size: units of one position; they do not see each other.
      seed: of a random order.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: for an unknown order, a block size that does not divide the event, a
        width below one, or unequal widths of a residual network.

    Examples:
      >>> made = MADE((5,), num_params=2, hidden_units=(16, 16))
      >>> made(tf.ones([3, 5])).shape
      TensorShape([3, 5, 2])

    References:
      [1] Germain, Gregor, Murray, Larochelle. MADE: Masked autoencoder for
          distribution estimation. ICML 2015. arXiv:1502.03509
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_params: int,
        num_features: int = 1,
        *,
        hidden_units: Sequence[int] = (256, 256),
        activation: str | Callable = "relu",
        residual: bool = False,
        order: str = "natural",
        block_size: int = 1,
        seed: int = 0,
        **kwargs,
    ):
        units = _ordered(math.prod(event_shape), order, block_size, seed)
        super().__init__(event_shape, num_params, num_features, units, **kwargs)
        self.hidden_units = tuple(int(n) for n in hidden_units)
        self.activation, self.residual = activation, residual
        self._options = {"order": order, "block_size": block_size, "seed": seed}
        if any(n < 1 for n in self.hidden_units):
            raise ValueError(
                f"{self.name} needs positive widths, got {self.hidden_units}."
            )
        if residual and len(set(self.hidden_units)) != 1:
            raise ValueError(
                f"A residual MADE needs equal widths, got {self.hidden_units}. "
                "Give the same number for every layer, or residual=False."
            )
        self._activate = keras.activations.get(activation)

    def build(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights; a context feeds the first layer."""
        highest, size = self.num_positions - 1, self._order.size
        lowest = min(1, highest) if context_shape is None else 0
        position = np.empty(size, np.int32)
        position[self._order] = np.arange(self.num_positions)[:, None]
        hidden = [_degrees(lowest, highest, n) for n in self._widths()]
        # A position is seen from the next degree on, and sees its own.
        seen = np.repeat(position + 1, self.num_features)
        degrees = [seen, *hidden, np.tile(position, (self.num_params, 1))]
        self._cuts = self._middles(position, hidden)
        features, params = np.arange(self.num_features), np.arange(self.num_params)
        first = self._order[..., None] * self.num_features + features
        last = self._order[..., None] + params * size
        first, last = (n.reshape(self.num_positions, -1) for n in (first, last))
        # A position's value comes with the step after it; the first step has none.
        self._steps = [
            np.concatenate([np.full_like(first[:1], -1), first[:-1]]),
            *(_by_degree(d, self.num_positions) for d in hidden),
            last,
        ]
        self._dense = [
            self._layer(k, degrees[k : k + 2], k == len(hidden))
            for k in range(len(hidden) + 1)
        ]
        self._context_kernel = None
        if context_shape is not None:
            shape = (math.prod(context_shape[1:]), degrees[1].size)
            self._context_kernel = self.add_weight(shape=shape, name="context_kernel")

    def _widths(self):
        if not self.residual:
            return self.hidden_units
        first, *others = self.hidden_units
        return [first, *(n for n in others for _ in range(2))]

    def _middles(self, position, hidden):
        """Where inputs, hidden units and positions are cut in halves; 0 for nowhere.

        Nothing in the first half of the order sees the second half.
        """
        middle, narrowest = (self.num_positions + 1) // 2, min(self._widths() or [0])
        if middle < 2 or narrowest < _WIDE:
            return [0] * (len(hidden) + 2)
        cuts = [_change(degrees >= middle) for degrees in (position, *hidden, position)]
        return [self.num_features * cuts[0], *cuts[1:]]

    def _layer(self, k, degrees, is_last):
        layer = MaskedDense(
            *degrees,
            *self._cuts[k : k + 2],
            depth=self.depth if is_last else None,
            num_summed=len(self.hidden_units) if self.residual else 1,
            dtype=self.variable_dtype if is_last else self.dtype_policy,
            name=f"dense_{k}",
        )
        layer.build((None, len(degrees[0])))
        return layer

    @property
    def is_trained(self) -> bool:
        """Whether the last layer has left zero."""
        return self._dense[-1].is_trained

    @property
    def is_adapted(self) -> bool:
        """Whether `adapt` was called, or it is too late for it, after training."""
        return self._dense[-1].is_adapted

    def adapt(self, x: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Sets the centre of each layer to the mean of what it is given.

        Args:
          x: `[N, *features_shape]`.
          context: `[N, *context_shape]` for a conditional network.
        """
        # Outside of a call Keras casts no inputs.
        self._parts(tf.cast(x, self.compute_dtype), context, adapted)

    def _parts(self, x, context, run=lambda layer, h: layer(h)):
        """Returns the params in parts; `run` calls a layer."""

        def dense(k, h):
            h = run(self._dense[k], h)
            if k or context is None:
                return h
            return _add(h, _halves(self._from_context(context), self._cuts[1]))

        x = tf.reshape(x, [-1, self._order.size * self.num_features])
        return self._pass(dense, _halves(x, self._cuts[0]))

    def call(
        self, x: tf.Tensor, context: tf.Tensor | None = None, separate: Any = False
    ):
        """Returns params `[B, *event_shape, P]`; each by itself if `separate`."""
        parts = self._parts(x, context)
        parts = [
            tf.reshape(p, [-1, self.num_params, p.shape[-1] // self.num_params])
            for p in parts
        ]
        params = tf.concat(parts, axis=-1) if self._cuts[-1] else parts[0]
        if separate:
            parts = tf.unstack(params, axis=1)
            return tuple(tf.reshape(p, [-1, *self.event_shape]) for p in parts)
        shape = [-1, *self.event_shape, self.num_params]
        return tf.reshape(tf.transpose(params, [0, 2, 1]), shape)

    def separate(self, x: tf.Tensor, context: tf.Tensor | None = None):
        """Returns the params of `call`, each a contiguous tensor `[B, *event_shape]`.

        The weights lie so that this costs nothing, while a last axis of params has to
        be transposed into place and read with strides.
        """
        return list(self(x, context=context, separate=True))

    def _pass(self, dense, h):
        """The network itself, for whatever `dense(k, h)` makes of the k-th layer."""
        skip = None
        for k in range(len(self._dense) - 1):
            h = dense(k, h)
            if self.residual and k % 2 == 0:
                skip = h = h if skip is None else _add(h, skip)
            h = tf.nest.map_structure(self._activate, h)
        return dense(len(self._dense) - 1, h)

    def initial_state(self, batch: Any, context: tf.Tensor | None = None):
        """Returns the weights, sorted by step, and empty records of each layer.

        Everything has the batch as last axis: a block of units is then one piece of
        memory, and a step's matrix product three times as fast.
        """
        shown = None if context is None else self._from_context(context)
        return [
            layer.initial_state(
                *self._steps[k : k + 2], batch, shown if k == 0 else None
            )
            for k, layer in enumerate(self._dense)
        ]

    def step(self, state: Any, x_previous: tf.Tensor, i: Any):
        """Returns the params of position i; see `AutoregressiveNetwork`."""
        state, i = list(state), tf.convert_to_tensor(i, tf.int32)

        def dense(k, h):
            h, state[k] = self._dense[k].step(state[k], h, i)
            return h

        params = self._pass(dense, tf.transpose(x_previous))
        shape = [-1, self.block_size, self.num_params]
        return tf.reshape(tf.transpose(params), shape), state

    def _from_context(self, context):
        if self._context_kernel is None:
            raise ValueError(
                f"{self.name} was built without a context and got one. Build it with "
                "context_shape, or drop context=."
            )
        dtype = self._dense[0].compute_dtype
        kernel = tf.cast(self._context_kernel.value, dtype)
        context = tf.reshape(context, [-1, kernel.shape[0]])
        return tf.matmul(tf.cast(context, dtype), kernel)

    def get_config(self):
        """Returns the constructor's arguments."""
        return (
            super().get_config()
            | {
                "hidden_units": self.hidden_units,
                "activation": self.activation,
                "residual": self.residual,
            }
            | self._options
        )


def _ordered(size, order, block_size, seed):
    """Returns unit numbers `[num_positions, block_size]`."""
    if block_size < 1 or size % block_size:
        raise ValueError(
            f"MADE needs a block_size that divides the event, got {block_size} for an "
            f"event of {size} units."
        )
    units = np.arange(size)
    if order == "random":
        units = np.random.default_rng(seed).permutation(size)
    elif order == "reversed":
        units = units[::-1]
    elif order != "natural":
        raise ValueError(
            f"MADE has no order {order!r}. Choose natural, reversed or random."
        )
    return units.reshape(-1, block_size)


def _degrees(lowest, highest, count):
    """Degrees of a layer, ascending: as many units of each as possible."""
    if highest >= _MANY and -(-count // highest) > -(-count // (highest + 1)):
        lowest = 0  # a few constant units, so that no degree needs a place more
    degrees = highest - lowest + 1
    if count < degrees:  # from the first to the last, with gaps
        return np.linspace(lowest, highest, count).round().astype(np.int32)
    return lowest + np.arange(count) * degrees // count


def _change(late):
    """Where an array of booleans changes, if it does once; else 0."""
    changes = np.flatnonzero(np.diff(late)) + 1
    return int(changes[0]) if len(changes) == 1 else 0


def _halves(value, cut):
    return tf.split(value, [cut, value.shape[-1] - cut], axis=-1) if cut else [value]


def _add(one, other):
    return tf.nest.map_structure(tf.add, one, other)


def _by_degree(degrees, num_positions):
    """Returns the units of each degree, `[num_positions, most]`, -1 where fewer."""
    counts = np.bincount(degrees, minlength=num_positions)
    places = np.arange(counts.max())
    units = (np.cumsum(counts) - counts)[:, None] + places
    return np.where(places < counts[:, None], units, -1)
