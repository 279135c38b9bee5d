"""A network that gives every unit's parameters from any units that are known."""

import inspect
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks.autoregressive_network import AutoregressiveNetwork
from tfp_flows.networks.heads import ZeroDense


@keras.saving.register_keras_serializable("tfp_flows")
class AnyOrderNetwork(keras.layers.Layer):
    """Parameters of each unit given the values of those that are known [1, 2].

    h      = body([known * x, known, coordinates], context)
    params = head(h), zero at first

    The body sees the known values, zeros in place of the others, and which is which;
    events with positions also bring the coordinates of each, from -1 to 1. If it keeps
    the positions the head is the same for all of them, else it has weights for each.

    A position is what is drawn at once: a unit, or `block_size` units that lie side by
    side, such as the channels of a pixel.

    Shapes: x `[B, *features_shape]`, known bool `[B, num_positions]`, context `[B,
    *context_shape]` -> params `[B, *event_shape, num_params]`.

    Args:
      body: layer from `[B, D']` to features `[B, F]`, or from `[B, *positions, C']` to
        `[B, *positions, F]` or `[B, F]`.
      event_shape: shape of one event, `(D,)` or `(*positions, C)`.
      num_params: parameters of each unit.
      num_features: numbers that the network is shown of each unit.
      block_size: units of each position, 1 or those of the last axis.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: for a block size that is neither.

    Examples:
      >>> from tfp_flows.networks import MLP
      >>> network = AnyOrderNetwork(MLP((8,)), (3,), num_params=2)
      >>> network(tf.ones([5, 3]), tf.fill([5, 3], True)).shape
      TensorShape([5, 3, 2])

    References:
      [1] Uria, Murray, Larochelle. A deep and tractable density estimator. ICML 2014.
          arXiv:1310.1757
      [2] Hoogeboom, Gritsenko, Bastings, Poole, van den Berg, Salimans.
          Autoregressive diffusion models. ICLR 2022. arXiv:2110.02037
    """

    def __init__(
        self,
        body: keras.Layer,
        event_shape: Sequence[int],
        num_params: int,
        num_features: int = 1,
        block_size: int = 1,
        **kwargs,
    ):
        super().__init__(**{"dtype": body.dtype_policy, "name": body.name, **kwargs})
        self.body = body
        self.event_shape = tuple(int(n) for n in event_shape)
        self.num_params, self.num_features = int(num_params), int(num_features)
        self.block_size = int(block_size)
        if block_size not in (1, self.event_shape[-1]):
            raise ValueError(
                f"{self.name} needs a block_size of 1 or {self.event_shape[-1]}, the "
                f"units of the last axis, got {block_size}."
            )

    @property
    def num_positions(self) -> int:
        """Number of steps that one event takes."""
        return math.prod(self.event_shape) // self.block_size

    @property
    def positions(self) -> np.ndarray:
        """Numbers of the units of each position, `[num_positions, block_size]`."""
        units = np.arange(math.prod(self.event_shape))
        return units.reshape(-1, self.block_size)

    @property
    def features_shape(self) -> tuple[int, ...]:
        """Shape of what is shown of one event."""
        return (*self.event_shape[:-1], self.event_shape[-1] * self.num_features)

    @property
    def _sides(self):
        return self.event_shape[:-1]

    def build(
        self,
        x_shape: tuple[Any, ...],
        known_shape: tuple[Any, ...] | None = None,
        context_shape: tuple[Any, ...] | None = None,
    ):
        """Makes the weights."""
        channels = self.event_shape[-1]
        width = channels * (self.num_features + 1) + len(self._sides)
        out = self._features_shape((*self._sides, width), context_shape)
        self._keeps_positions = len(out) > 1
        size = channels if self._keeps_positions else math.prod(self.event_shape)
        self.head = ZeroDense(
            size * self.num_params,
            num_summed=getattr(self.body, "num_summed", 1),
            bounded=getattr(self.body, "bounded", False),
            name="head",
            dtype=self.dtype_policy,
        )
        self.head.build((None, *out))

    def _features_shape(self, shown, context_shape):
        """Builds the body on symbolic inputs and returns its features' shape."""
        context = None
        if context_shape is not None:
            if "context" not in inspect.signature(self.body.call).parameters:
                raise ValueError(
                    f"{self.name} has a context, but its body {self.body.name!r} "
                    "declares none. Give its call an argument named context."
                )
            context = keras.KerasTensor((None, *context_shape[1:]), self.compute_dtype)
        x = keras.KerasTensor((None, *shown), self.compute_dtype)
        shape = tuple(self._body(x, context).shape[1:])
        if len(shape) != 1 and shape[:-1] != self._sides:
            raise ValueError(
                f"{self.name} needs features of shape {(*self._sides, 'F')} or ('F',) "
                f"from its body, got {shape} from {self.body.name!r}."
            )
        return shape

    def _body(self, shown, context):
        return self.body(shown, **({} if context is None else {"context": context}))

    def features(
        self, x: tf.Tensor, known: tf.Tensor, context: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns what the body gives, `[B, F]` or `[B, *positions, F]`.

        Args:
          x: `[B, *features_shape]`; those of unknown units do not matter.
          known: bool `[B, num_positions]`.
          context: `[B, *context_shape]` for a conditional network.
        """
        marks = tf.cast(tf.repeat(known, self.block_size, axis=1), self.compute_dtype)
        marks = tf.reshape(marks, [-1, *self.event_shape])
        x = tf.cast(x, self.compute_dtype)
        seen = x * tf.repeat(marks, self.num_features, axis=-1)
        shown = [seen, marks]
        if self._sides:
            axes = [np.linspace(-1.0, 1.0, n) if n > 1 else [0.0] for n in self._sides]
            places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
            places = tf.constant(places, self.compute_dtype)
            shape = tf.concat([tf.shape(x)[:1], places.shape], axis=0)
            shown.append(tf.broadcast_to(places, shape))
        return self._body(tf.concat(shown, axis=-1), context)

    def call(self, x: tf.Tensor, known: tf.Tensor, context: tf.Tensor | None = None):
        """Returns params `[B, *event_shape, num_params]`."""
        params = self.head(self.features(x, known, context))
        return tf.reshape(params, [-1, *self.event_shape, self.num_params])

    def params_at(self, features: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        """Returns the params of one position of each event, and computes no others.

        Args:
          features: what `features` returned.
          position: int32 `[B]`; or `[]`, the same one of all events, if the body
            does not keep the positions.

        Returns:
          `[B, block_size, num_params]`.
        """
        size, block = self.num_params, self.block_size
        if not self._keeps_positions:
            return self._own_params_at(features, position)
        flat = tf.reshape(features, [-1, math.prod(self._sides), features.shape[-1]])
        channels = self.event_shape[-1]
        place = position if block == channels else position // channels
        params = self.head(tf.gather(flat, place, axis=1, batch_dims=1))
        params = tf.reshape(params, [-1, channels // block, block, size])
        channel = position % (channels // block)
        return tf.gather(params, channel, axis=1, batch_dims=1)

    def _own_params_at(self, features, position):
        """Where each position has weights of its own, those are picked first."""
        shape = [features.shape[-1], self.num_positions, self.block_size, -1]
        kernel = tf.reshape(tf.convert_to_tensor(self.head.kernel), shape)
        bias = tf.reshape(tf.convert_to_tensor(self.head.bias), shape[1:])
        gain, share = self.head.factors
        centred = features - tf.cast(self.head.center, features.dtype)
        kernel = tf.cast(tf.gather(kernel, position, axis=1) * gain, features.dtype)
        of_each = "fbcp" if position.shape.rank else "fcp"
        params = tf.einsum(f"bf,{of_each}->bcp", centred, kernel)
        return params + tf.cast(tf.gather(bias, position) * share, features.dtype)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "body": keras.saving.serialize_keras_object(self.body),
            "event_shape": self.event_shape,
            "num_params": self.num_params,
            "num_features": self.num_features,
            "block_size": self.block_size,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        """Returns the network of a configuration."""
        body = keras.saving.deserialize_keras_object(config["body"])
        return cls(**{**config, "body": body})


@keras.saving.register_keras_serializable("tfp_flows")
class InOrder(AutoregressiveNetwork):
    """An `AnyOrderNetwork` that takes the positions in one order.

    `step` is one call of it, and `call` as many as there are positions: nothing is
    shared between them, since each has another set of known units.

    Args:
      network: built.
      positions: each position once, the first one first.
      **kwargs: of `keras.layers.Layer`, such as `name`.

    Raises:
      ValueError: if the positions are no permutation.

    Examples:
      >>> from tfp_flows.networks import MLP
      >>> network = AnyOrderNetwork(MLP((8,)), (3,), num_params=2)
      >>> network.build((None, 3))
      >>> InOrder(network, [2, 0, 1])(tf.ones([5, 3])).shape
      TensorShape([5, 3, 2])
    """

    def __init__(
        self,
        network: AnyOrderNetwork,
        positions: Sequence[int] | np.ndarray,
        **kwargs,
    ):
        count, block = network.num_positions, network.block_size
        places = np.asarray(positions).ravel()
        if not np.array_equal(np.sort(places), np.arange(count)):
            raise ValueError(
                f"{network.name} needs an order with each of its {count} positions "
                f"once, 0 to {count - 1}, got {places.size} entries."
            )
        kwargs = {"name": network.name, "dtype": network.dtype_policy, **kwargs}
        super().__init__(
            network.event_shape,
            network.num_params,
            network.num_features,
            places[:, None] * block + np.arange(block),
            **kwargs,
        )
        self.network = network
        self._places = places.astype(np.int32)

    def build(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Nothing: the network is built."""

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None):
        """Returns params `[B, *event_shape, num_params]`."""
        rank = tf.constant(np.argsort(self._places), tf.int32)

        def at(i):
            known = tf.broadcast_to(rank < i, [tf.shape(x)[0], self.num_positions])
            return self._at(x, known, i, context)

        numbers = tf.range(self.num_positions)
        params = tf.map_fn(at, numbers, fn_output_signature=self.compute_dtype)
        params = tf.gather(params, np.argsort(self._places))  # [positions, B, block, P]
        params = tf.transpose(params, [1, 0, 2, 3])
        return tf.reshape(params, [-1, *self.event_shape, self.num_params])

    def _at(self, x, known, i, context):
        features = self.network.features(x, known, context)
        position = tf.gather(tf.constant(self._places), i)
        position = tf.broadcast_to(position, tf.shape(x)[:1])
        return tf.cast(self.network.params_at(features, position), self.compute_dtype)

    def initial_state(self, batch: Any, context: tf.Tensor | None = None):
        """Returns an event of which nothing is known."""
        shape = tf.stack([batch, *self.features_shape])
        known = tf.fill(tf.stack([batch, self.num_positions]), False)
        state = {"x": tf.zeros(shape, self.compute_dtype), "known": known}
        return state if context is None else state | {"context": context}

    def step(self, state: Any, x_previous: tf.Tensor, i: Any):
        """Returns params `[B, block_size, num_params]` of position i, and the state."""
        i = tf.convert_to_tensor(i, tf.int32)
        before = tf.gather(tf.constant(self._places), tf.maximum(i - 1, 0))
        here = tf.equal(tf.range(self.num_positions), before) & (i > 0)
        known = state["known"] | here
        width = self.block_size * self.num_features
        blocks = tf.reshape(state["x"], [-1, self.num_positions, width])
        shown = tf.cast(x_previous, self.compute_dtype)[:, None]
        x = tf.reshape(tf.where(here[:, None], shown, blocks), tf.shape(state["x"]))
        params = self._at(x, known, i, state.get("context"))
        return params, state | {"x": x, "known": known}
