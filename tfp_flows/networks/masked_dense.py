"""A dense layer whose units see the units of no higher degree."""

import functools
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks import gains
from tfp_flows.networks.centred import add_center, add_flag, mean_of
from tfp_flows.networks.heads import ZeroAtFirst, add_gain, spread_of
from tfp_flows.networks.hidden import HiddenInitializer

_ALL = slice(None)
_CHANGED = "here", "before", "given"  # of a state, by a step


@keras.saving.register_keras_serializable("tfp_flows")
class MaskedDense(ZeroAtFirst, keras.layers.Layer):
    """y = (x - c) (M * W) + b, where M joins a unit to those of no higher degree.

    c is a centre, see `centred`.

    Besides the product with all weights at once, it can compute the units one degree
    after the other, each `step` from the inputs that came so far. Steps go in groups:
    a step itself multiplies the inputs of its group alone; what those before the group
    give to all of its units is one larger product. With groups of the square root of
    the number of steps, the record of all inputs is read that much less often.

    Inputs and units may be cut in two parts, which stay apart from layer to layer: a
    quarter of the weights joins late inputs to early units, is masked as a whole, and
    is left out of the products.

    Shapes: parts of x `[B, inputs]` -> parts of `[B, units]`, lists of one or two.

    Args:
      degrees_in: degree of each input, int `[inputs]`.
      degrees_out: degree of each unit, int `[units]`, or `[rows, columns]` for units in
        row-major order.
      cut_in: where the inputs are cut; 0 for one part.
      cut_out: where the units, or their columns, are cut; 0 for one part.
      depth: of a head, which begins at zero, see `heads`; None for a hidden layer.
      num_summed: of a head, layers whose sum the inputs are.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Examples:
      >>> layer = MaskedDense([0, 1], [0, 1])
      >>> layer.build((None, 2))
      >>> _ = layer.kernel.assign(np.ones((2, 2)))
      >>> [units] = layer([tf.constant([[1.0, 10.0]])])
      >>> units.numpy().tolist()
      [[1.0, 11.0]]

    References:
      Germain, Gregor, Murray, Larochelle. MADE. ICML 2015. arXiv:1502.03509
    """

    def __init__(
        self,
        degrees_in: np.ndarray,
        degrees_out: np.ndarray,
        cut_in: int = 0,
        cut_out: int = 0,
        depth: int | None = None,
        num_summed: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._degrees = np.asarray(degrees_in), np.asarray(degrees_out)
        self._cuts = _cut(cut_in), _cut(cut_out)
        self._depth, self._num_summed = depth, num_summed
        self._config = {
            "cut_in": cut_in,
            "cut_out": cut_out,
            "depth": depth,
            "num_summed": num_summed,
        }

    def build(self, x_shape: tuple[Any, ...]):
        """Makes the weights."""
        is_head, fan_in = self._depth is not None, self._degrees[0].size
        self._share = gains.share(self._depth or 1, on_vectors=True)
        self._gain: Any = gains.hidden(fan_in)
        self.kernel = self.add_weight(
            shape=tuple(d.size for d in self._degrees),
            initializer="zeros" if is_head else HiddenInitializer("he_normal"),
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=self.kernel.shape[1:], initializer="zeros", name="bias"
        )
        self._center = add_center(self, fan_in)
        if is_head:
            self._gain = add_gain(self, self._gain_for(None))
            self._adapted = add_flag(self)

    def adapt(self, x: list[tf.Tensor]) -> None:
        """Sets the centre, and the gain of a head, from its inputs, given in parts."""
        rows = np.concatenate(x, axis=-1)
        self._center.assign(mean_of(rows))
        if self._depth is not None:
            self._gain.assign(self._gain_for(spread_of(rows)))
            self._adapted.assign(True)

    def _gain_for(self, spread):
        fan_in, num_masked = self._degrees[0].size, self._degrees[1].shape[-1]
        return gains.head(fan_in, self._num_summed, True, spread, num_masked)

    def call(self, x: tf.Tensor):
        """Returns the parts of `[B, units]`."""
        inputs, units = self._cuts
        center = self._cast(self._center)
        x = [part - center[own] for part, own in zip(x, inputs, strict=True)]
        return [self._part(zip(x, inputs, strict=True), own) for own in units]

    def _part(self, parts, units):
        """A part of the units, from `(values, where)` of the inputs' parts."""
        products = [
            tf.matmul(x, self._masked(where, units))
            for x, where in parts
            if where == _ALL or self._sees(where, units).any()
        ]
        bias = tf.reshape(self._shared_bias(), self._degrees[1].shape)
        bias = tf.reshape(bias[..., units], [-1])
        return tf.nn.bias_add(functools.reduce(tf.add, products), bias)

    def initial_state(
        self,
        inputs: np.ndarray,
        units: np.ndarray,
        batch: Any,
        context: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Returns what `step` needs to begin with: weights in its order, records.

        Args:
          inputs: those that come with each step, int `[steps, a]`; -1 for none.
          units: those to compute in each step, int `[steps, b]`; -1 for none.
          batch: number of rows, an integer or a scalar tensor.
          context: what is added to all units, `[B, units]`.
        """
        size = math.isqrt(len(units))
        inputs, units = _whole_groups(inputs, size), _whole_groups(units, size)
        # Turned once: products with a turned kernel take half as long again.
        masked, bias = self._masked(), self._shared_bias()[:, None]
        kernel = tf.transpose(_rows(masked, inputs.reshape(-1)))
        kernel = _rows(kernel, units.reshape(-1))
        center = self._cast(self._center)[:, None]
        bias -= tf.reduce_sum(masked * center, axis=0)[:, None]
        bias = bias if context is None else bias + tf.transpose(context)
        bias = _rows(bias, units.reshape(-1))
        zeros = lambda n: tf.zeros(tf.stack([n, batch]), kernel.dtype)  # noqa: E731
        first = size * units.shape[1]
        return {
            "kernel": kernel,
            "bias": bias,
            "here": zeros(size * inputs.shape[1]),
            "before": zeros(inputs.size),
            "given": zeros(first) + bias[:first],
        }

    def step(
        self, state: dict[str, tf.Tensor], block: tf.Tensor, i: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the units of step i, and the next state.

        Args:
          state: of `initial_state`, or of the step before.
          block: inputs that come with this step, with the batch as last axis, `[a, B]`.
          i: number of the step.
        """
        kernel, size = state["kernel"], state["here"].shape[0] // block.shape[0]
        group, place = i // size, i % size
        # A loop of one turn at most: XLA copies all that passes a conditional.
        _, _, *changed = tf.while_loop(
            lambda starts, *_: starts,
            # Were the group no variable, XLA would slice its kernel at every step.
            lambda _, group, *changed: (
                tf.constant(False),
                group + 1,
                *_next_group(kernel, state["bias"], group, *changed),
            ),
            (tf.equal(place, 0) & (i > 0), group, *(state[k] for k in _CHANGED)),
            maximum_iterations=1,
        )
        here, before, given = changed
        here = _write(here, block, place)
        count = given.shape[0] // size
        own = [i * count, group * here.shape[0]]
        own = tf.slice(kernel, own, [count, here.shape[0]])
        batch = tf.shape(given)[1]
        units = tf.slice(given, [place * count, 0], [count, batch])
        units += tf.matmul(own, here)
        changed = dict(zip(_CHANGED, (here, before, given), strict=True))
        return units, state | changed

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        degrees_in, degrees_out = (degrees.tolist() for degrees in self._degrees)
        degrees = {"degrees_in": degrees_in, "degrees_out": degrees_out}
        return super().get_config() | degrees | self._config

    def _masked(self, inputs=_ALL, units=_ALL):
        """The kernel of some inputs and some units or columns of units, masked."""
        kernel = self._cast(self.kernel)
        if (inputs, units) != (_ALL, _ALL):
            shape = [*self._degrees[0].shape, *self._degrees[1].shape]
            kernel = tf.reshape(kernel, shape)[inputs, ..., units]
            kernel = tf.reshape(kernel, [kernel.shape[0], -1])
        # The mask is compared anew at each call, which costs nothing beside the product
        # and keeps a matrix of constants out of graphs and exported models.
        factor = self._cast(self._gain) * self._share
        if self._sees(inputs, units).all():
            return kernel * factor
        mask = tf.less_equal(*self._ends(inputs, units))
        return kernel * tf.where(mask, factor, tf.zeros_like(factor))

    def _shared_bias(self):
        return self._cast(self.bias) * self._share

    def _sees(self, inputs, units):
        return np.less_equal(*self._ends(inputs, units))

    def _ends(self, inputs, units):
        """Degrees of the inputs, a column, and of the units, a row."""
        degrees_in, degrees_out = self._degrees
        return degrees_in[inputs, None], degrees_out[..., units].reshape(1, -1)

    def _cast(self, value):
        value = value.value if isinstance(value, keras.Variable) else value
        return tf.cast(value, self.compute_dtype)


def _cut(where):
    return [slice(where), slice(where, None)] if where else [_ALL]


def _whole_groups(numbers, size):
    """Appends steps of no inputs or units until groups of steps are whole."""
    return np.pad(numbers, [(0, -len(numbers) % size), (0, 0)], constant_values=-1)


def _rows(matrix, numbers):
    """Those rows of a matrix, zeros for -1."""
    if np.array_equal(numbers, np.arange(matrix.shape[0])):
        return matrix
    taken = tf.gather(matrix, np.maximum(numbers, 0))
    held = (numbers >= 0)[:, None].astype(np.int8)
    return taken if held.all() else taken * tf.cast(held, matrix.dtype)


def _next_group(kernel, bias, group, here, before, given):
    """Files the group before this one and sums up what all that came gives to it."""
    before = _write(before, here, group - 1)
    first, count = group * given.shape[0], given.shape[0]
    far = tf.slice(kernel, [first, 0], [count, kernel.shape[1]])
    given = tf.matmul(far, before)
    given += tf.slice(bias, [first, 0], [count, tf.shape(bias)[1]])
    # Zeros that are computed from the record: `tf.vectorized_map` wants to see that a
    # variable of a loop stays one for each row.
    zero = tf.zeros([], here.dtype)
    return tf.math.multiply_no_nan(here, zero), before, given


def _write(record, block, place):
    """Puts a block of units into a record `[units, B]`.

    By rows of a matrix: XLA makes it a copy of the block alone, which it does not for
    the same thing with blocks along an axis of their own (three times the step's time).
    """
    rows = place * block.shape[0] + tf.range(block.shape[0])
    return tf.tensor_scatter_nd_update(
        record, rows[:, None], tf.cast(block, record.dtype)
    )
