"""Another order for any autoregressive network: events are rearranged at its edge."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks.autoregressive_network import AutoregressiveNetwork


@keras.saving.register_keras_serializable("tfp_flows")
class Reordered(AutoregressiveNetwork):
    """A network that sees the positions of an event in another arrangement.

    Position n of what the inner network sees is position `positions[n]` of the event.
    Masks, kernels and recurrences stay as they are, and what they go through in their
    own order is the order asked for: exact whatever the permutation. Transposed or
    flipped images keep their neighbourhoods; other permutations tear them apart, so
    that a convolution sees pixels side by side that are not.

    Channels stay with their position. A context with positions, `(*positions, K)`, is
    rearranged as well, so that row t of it still belongs to position t.

    Shapes: x `[B, *features_shape]`, context `[B, *context_shape]` -> params
    `[B, *event_shape, num_params]`.

    Args:
      network: over events of as many positions and channels.
      positions: row-major numbers of the event's positions, each once, in the order in
        which the inner network's events hold them.
      event_shape: `(*positions, C)`; the inner network's if None.
      **kwargs: of `keras.layers.Layer`, such as `name`.

    Raises:
      ValueError: if the positions are no permutation, or the events differ in size.

    Examples:
      >>> from tfp_flows.networks import CausalConv
      >>> network = Reordered(CausalConv((3, 2), num_params=1), [2, 1, 0])
      >>> print(network.order)
      [[4 5]
       [2 3]
       [0 1]]
    """

    def __init__(
        self,
        network: AutoregressiveNetwork,
        positions: Sequence[int] | np.ndarray,
        event_shape: Sequence[int] | None = None,
        **kwargs,
    ):
        inner = network.event_shape
        shape = tuple(event_shape or inner)
        count, channels = math.prod(inner[:-1]), inner[-1]
        places = np.asarray(positions)
        is_permutation = np.array_equal(np.sort(places.ravel()), np.arange(count))
        if not is_permutation or math.prod(shape) != count * channels:
            raise ValueError(
                f"Reordered needs each of the {count} positions of {network.name} once "
                f"and events of its size, got {places.size} positions and event_shape "
                f"{shape}."
            )
        places = places.ravel().astype(np.int32)
        units = places[network.order // channels] * channels + network.order % channels
        kwargs = {"name": network.name, "dtype": network.dtype_policy, **kwargs}
        super().__init__(
            shape,
            network.num_params,
            network.num_features,
            units,
            network.depth,
            **kwargs,
        )
        self.network = network
        self._positions = places

    def build(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the inner network's weights."""
        given = {}
        if context_shape is not None:
            given["context_shape"] = context_shape
            if self._has_positions(context_shape):
                sides = self.network.event_shape[:-1]
                given["context_shape"] = (None, *sides, context_shape[-1])
        if not self.network.built:  # as when it comes from a configuration
            self.network.build((None, *self.network.features_shape), **given)

    @property
    def is_trained(self) -> bool:
        """Whether the inner network says so."""
        return getattr(self.network, "is_trained", False)

    @property
    def is_adapted(self) -> bool:
        """Whether the inner network is, if it has data-dependent weights."""
        return getattr(self.network, "is_adapted", True)

    def adapt(self, x: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Lets the inner network set its data-dependent weights, if it has any."""
        if hasattr(self.network, "adapt"):
            self.network.adapt(self._inside(x), **self._given(context))

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None):
        """Returns params `[B, *event_shape, num_params]`."""
        return self._outside(self.network(self._inside(x), **self._given(context)))

    def separate(self, x: tf.Tensor, context: tf.Tensor | None = None):
        """Returns the params of `call`, each by itself, `[B, *event_shape]`."""
        context = self._given(context).get("context")
        params = self.network.separate(self._inside(x), context)
        return [self._outside(p) for p in params]

    def initial_state(self, batch: Any, context: tf.Tensor | None = None):
        """Returns the inner network's."""
        return self.network.initial_state(batch, **self._given(context))

    def step(self, state: Any, x_previous: tf.Tensor, i: Any):
        """Returns params `[B, block_size, num_params]` of position i, and the state."""
        return self.network.step(state, x_previous, i)

    def _has_positions(self, shape):
        return len(shape) > 2 and tuple(shape[1:-1]) == self.event_shape[:-1]

    def _given(self, context):
        if context is None:
            return {}
        has_positions = self._has_positions(context.shape)
        return {"context": self._inside(context) if has_positions else context}

    def _inside(self, value):
        """`[B, *positions, ...]` as the inner network takes it."""
        sides = self.network.event_shape[:-1]
        return _rearranged(value, self.event_shape[:-1], sides, self._positions)

    def _outside(self, value):
        """Undoes `_inside`."""
        sides = self.network.event_shape[:-1]
        back = np.argsort(self._positions)
        return _rearranged(value, sides, self.event_shape[:-1], back)

    def get_config(self):
        """Returns the constructor's arguments."""
        config = keras.layers.Layer.get_config(self)
        return config | {
            "network": keras.saving.serialize_keras_object(self.network),
            "positions": self._positions.tolist(),
            "event_shape": self.event_shape,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        """Returns the network of a configuration."""
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})


def _rearranged(value, sides, new_sides, positions):
    """`[B, *sides, ...]` -> `[B, *new_sides, ...]`, position n from `positions[n]`."""
    numbers, rank = np.arange(positions.size).reshape(sides), len(sides)
    # Transposing and flipping are cheap, and so are their gradients.
    if np.array_equal(numbers.T.ravel(), positions):
        rest = range(rank + 1, value.shape.rank)
        return tf.transpose(value, [0, *range(rank, 0, -1), *rest])
    if np.array_equal(numbers.ravel()[::-1], positions) and sides == new_sides:
        return tf.reverse(value, list(range(1, rank + 1)))
    rest = value.shape[rank + 1 :].as_list()
    flat = tf.reshape(value, [-1, positions.size, *rest])
    return tf.reshape(tf.gather(flat, positions, axis=1), [-1, *new_sides, *rest])
