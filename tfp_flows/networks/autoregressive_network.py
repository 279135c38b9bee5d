"""The protocol of autoregressive networks: all positions at once, or one by one."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class AutoregressiveNetwork(keras.layers.Layer):
    """Gives the parameters of each unit as a function of the units before it.

    The units of an event are taken block by block: block i, `order[i]`, is position i,
    and its parameters depend on the blocks before it (and the context) alone. The same
    numbers come in two ways:

    `call(x, context)`: all positions at once, for densities and training
    `initial_state(batch, context)`, then `step(state, x_previous, i)` for i = 0, 1 ...:
    one position at a time, for sampling, without repeating any work

    Implementing one: write `build`, `call`, `initial_state` and `step`. Masks are
    multiplied inside `call`, never set by a constraint, so that no optimizer and no
    average of weights can break them.

    Shapes: x `[B, *features_shape]`, context `[B, *context_shape]` -> params
    `[B, *event_shape, num_params]`.

    Args:
      event_shape: shape of one event.
      num_params: parameters of each unit.
      num_features: numbers that the network is shown of each unit: 1 for its value,
        more for an embedding. Those of one unit lie side by side on the last axis.
      order: unit numbers in row-major order, `[num_positions, block_size]`; every unit
        of the event once. None for one unit after the other.
      depth: steps of the flow that an event passes through, see `heads`.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: if a number is not positive, or the order leaves a unit out.

    Examples:
      >>> from tfp_flows.networks import MADE
      >>> network = MADE((3,), 2, hidden_units=(8,))
      >>> isinstance(network, AutoregressiveNetwork), network.num_positions
      (True, 3)
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_params: int,
        num_features: int = 1,
        order: np.ndarray | None = None,
        depth: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.depth = depth
        self.event_shape = tuple(int(n) for n in event_shape)
        self.num_params = int(num_params)
        self.num_features = int(num_features)
        if not self.event_shape or min(*self.event_shape, num_params, num_features) < 1:
            raise ValueError(
                f"{self.name} needs an event_shape of positive sizes, num_params >= 1 "
                f"and num_features >= 1, got {self.event_shape}, {num_params} and "
                f"{num_features}."
            )
        size = math.prod(self.event_shape)
        order = np.arange(size)[:, None] if order is None else np.asarray(order)
        if order.ndim != 2 or not np.array_equal(np.sort(order.ravel()), range(size)):
            raise ValueError(
                f"{self.name} needs an order [num_positions, block_size] with each of "
                f"the {size} units once, got one of shape {order.shape}."
            )
        self._order = order.astype(np.int32)

    @property
    def order(self) -> np.ndarray:
        """Unit numbers of each position, int32 `[num_positions, block_size]`."""
        return self._order

    @property
    def num_positions(self) -> int:
        """Number of steps that one event takes."""
        return len(self._order)

    @property
    def block_size(self) -> int:
        """Units of each position."""
        return self._order.shape[1]

    @property
    def features_shape(self) -> tuple[int, ...]:
        """Shape of what `call` is shown of one event."""
        return (*self.event_shape[:-1], self.event_shape[-1] * self.num_features)

    def initial_state(self, batch: Any, context: tf.Tensor | None = None) -> Any:
        """Returns what `step` needs to begin with.

        Args:
          batch: number of events, an integer or a scalar tensor.
          context: `[B, *context_shape]` for a conditional network.

        Returns:
          A nest of tensors, whose shapes and dtypes every step keeps.
        """
        raise NotImplementedError(f"{type(self).__name__} has no initial_state.")

    def step(self, state: Any, x_previous: tf.Tensor, i: Any) -> tuple[tf.Tensor, Any]:
        """Returns the parameters of position i.

        Args:
          state: of `initial_state`, or of the step before.
          x_previous: block i - 1 as `call` would be shown it, its units in the order
            of `order[i - 1]`: `[B, block_size * num_features]`. Ignored at i = 0.
          i: number of the position, an int32 scalar tensor or an integer.

        Returns:
          params `[B, block_size, num_params]`, and the next state.
        """
        raise NotImplementedError(f"{type(self).__name__} has no step.")

    def separate(
        self, x: tf.Tensor, context: tf.Tensor | None = None
    ) -> list[tf.Tensor]:
        """Returns the params of `call`, each by itself, `[B, *event_shape]`.

        Override it when the network can hand them out without strides.
        """
        given = {} if context is None else {"context": context}
        return tf.unstack(self(x, **given), axis=-1)

    def to_blocks(self, value: tf.Tensor) -> tf.Tensor:
        """Takes events apart: `[B, *event_shape]` -> `[positions, B, block_size]`."""
        flat = tf.reshape(value, [-1, self._order.size])
        if not self._is_natural:
            flat = tf.gather(flat, self._order.ravel(), axis=1)
        blocks = tf.reshape(flat, [-1, self.num_positions, self.block_size])
        return tf.transpose(blocks, [1, 0, 2])

    def from_blocks(self, blocks: tf.Tensor) -> tf.Tensor:
        """Undoes `to_blocks`: `[positions, B, block_size]` -> `[B, *event_shape]`."""
        flat = tf.reshape(tf.transpose(blocks, [1, 0, 2]), [-1, self._order.size])
        if not self._is_natural:
            flat = tf.gather(flat, np.argsort(self._order.ravel()), axis=1)
        return tf.reshape(flat, [-1, *self.event_shape])

    @property
    def _is_natural(self):
        return np.array_equal(self._order.ravel(), np.arange(self._order.size))

    def get_config(self) -> dict[str, Any]:
        """Returns the base's arguments; the order is its maker's business."""
        return super().get_config() | {
            "event_shape": self.event_shape,
            "num_params": self.num_params,
            "num_features": self.num_features,
            "depth": self.depth,
        }


def never_empty(value: Any) -> Any:
    """Puts a row of zeros into an empty batch, which some kernels of TensorFlow refuse.

    Args:
      value: `[B, ...]`, or None.

    Returns:
      `[max(B, 1), ...]`; where B is known and not 0, the value itself.
    """
    if value is None or value.shape[0]:
        return value
    missing = tf.cast(tf.equal(tf.shape(value)[0], 0), tf.int32)
    rest = tf.zeros([value.shape.rank - 1, 2], tf.int32)
    padded = tf.pad(value, tf.concat([[[0, missing]], rest], axis=0))
    return tf.ensure_shape(padded, [None, *value.shape[1:]])


def as_many(value: tf.Tensor, as_in: tf.Tensor) -> tf.Tensor:
    """Takes off what `never_empty` put there.

    Args:
      value: `[max(B, 1), ...]`.
      as_in: `[B, ...]`.
    """
    return value if as_in.shape[0] else value[: tf.shape(as_in)[0]]


def generate(
    network: AutoregressiveNetwork,
    batch: Any,
    draw: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, list[tf.Tensor]]],
    dtypes: Sequence[tf.DType],
    context: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Lets a network run over its own output, position after position.

    One `tf.while_loop`, so graph and compile time do not depend on the number of
    positions; the arithmetic is that of about one `call`.

    Args:
      network: built.
      batch: number of events, an integer or a scalar tensor.
      draw: (params of a position `[B, block_size, num_params]`, its number) -> (the
        block as the network is shown it, `[B, block_size * num_features]`; findings
        `[B, block_size]`).
      dtypes: of the findings.
      context: `[B, *context_shape]` for a conditional network.

    Returns:
      Each finding, put together as events `[B, *event_shape]`.

    Examples:
      >>> from tfp_flows.networks import MADE
      >>> network = MADE((3,), 1, hidden_units=(8,))
      >>> network.build((None, 3))
      >>> zero = lambda params, i: (params[..., 0], [params[..., 0] + 1.0])
      >>> print(generate(network, 1, zero, [tf.float32])[0].numpy())
      [[1. 1. 1.]]
    """
    shape = [tf.get_static_value(batch), network.block_size]

    def body(i, shown, state, arrays):
        params, state = network.step(state, shown, i)
        shown, found = draw(params, i)
        written = [a.write(i, f) for a, f in zip(arrays, found, strict=True)]
        return i + 1, shown, state, written

    arrays = [
        tf.TensorArray(dtype, network.num_positions, element_shape=shape)
        for dtype in dtypes
    ]
    first = tf.zeros(
        tf.stack([batch, network.block_size * network.num_features]),
        network.compute_dtype,
    )
    *_, arrays = tf.while_loop(
        lambda i, *_: i < network.num_positions,
        body,
        (tf.constant(0), first, network.initial_state(batch, context), arrays),
        maximum_iterations=network.num_positions,
        parallel_iterations=1,
    )
    return [network.from_blocks(array.stack()) for array in arrays]
