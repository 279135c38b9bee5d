"""What models of an event's units have in common, whatever the order of these."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.distributions import noise, rows
from tfp_flows.distributions.elements.element import Element, as_real
from tfp_flows.distributions.model import Model
from tfp_flows.networks.autoregressive_network import as_many, never_empty


class UnitModel(Model):
    """A network gives the parameters of each unit, an element says what they mean.

    Implementing one: write `num_uniforms`, `_generate(u, temperature, context, known)`,
    `_params(x, context)` and `_log_prob`.

    Args:
      network: with `event_shape` and `compute_dtype`.
      element: what the parameters of one unit mean.
      parameters: the constructor's arguments.
      input_shapes: of what the network is called with, of one event; it is built on
        these if it is not yet.
      context_shape: shape of one context, or None.
      context_bijector: what contexts go through (its inverse) before the network sees
        them; None for nothing.
      dtype: of the arithmetic, and of the events of a continuous element; the events
        of a discrete one are int32.
      name: of the distribution; the network's if None.
    """

    def __init__(
        self,
        network: keras.Layer,
        element: Element,
        parameters: dict,
        input_shapes: Sequence[tuple[int, ...]],
        context_shape: Sequence[int] | None,
        context_bijector: Any,
        dtype: Any,
        name: str | None,
    ):
        shape = None if context_shape is None else tuple(int(n) for n in context_shape)
        if not network.built:
            given = {} if shape is None else {"context_shape": (None, *shape)}
            network.build(*((None, *inputs) for inputs in input_shapes), **given)
        self._network, self._element, self._context = network, element, shape
        self._real = tf.as_dtype(dtype)
        self._context_bijector = context_bijector
        self.own_layers = self._no_dependency((network,))
        self._weights = [v.value for v in network.variables]
        self._compiled = self._no_dependency(
            tf.function(self._generate, autograph=False, reduce_retracing=True)
        )
        discrete = element.num_values is not None
        super().__init__(
            tf.int32 if discrete else self._real, parameters, name or network.name
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def network(self) -> Any:
        """The network that gives each unit's parameters."""
        return self._network

    @property
    def element(self) -> Element:
        """The distribution of one unit given its parameters."""
        return self._element

    @property
    def num_values(self) -> int | None:
        """Number of integer values; None for continuous events."""
        return self._element.num_values

    @property
    def real_dtype(self) -> tf.DType:
        """Of the arithmetic, the contexts and the log-probabilities."""
        return self._real

    @property
    def num_uniforms(self) -> int:
        """Uniform numbers that one event takes."""
        raise NotImplementedError(f"{type(self).__name__} draws no events.")

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        """Shape of one context, or None for an unconditional model."""
        return self._context

    @property
    def is_adapted(self) -> bool:
        """Whether the unit of the contexts is known, if there are any."""
        return getattr(self._context_bijector, "is_adapted", True)

    @property
    def parts(self) -> tuple[Any, ...]:
        """What contexts go through, and the network."""
        return self._context_bijector, self._network

    def _adapt(self, x, context, seed):
        if self._context_bijector is not None:
            self._context_bijector.adapt(context)

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Returns (name, value, log-probability or 0) of the network and the element.

        Args:
          x: `[*batch, *event_shape]`.
          context: `[*batch, *context_shape]` for a conditional model.
        """
        flat, flat_context, _ = self._as_rows(tf.convert_to_tensor(x), context)
        values, _ = self._element.supported(flat, self._real)
        params = self._params(values, flat_context)
        log_prob = self.log_prob(x, context=context)
        return [
            (self._network.name, params, tf.zeros([], self._real)),
            (type(self._element).__name__, log_prob, log_prob),
        ]

    def uniforms(self, count: Any, seed: Any) -> tf.Tensor:
        """Draws what `from_uniform` takes, `[count, num_uniforms]`.

        Args:
          count: number of events.
          seed: as for `sample`.
        """
        static = tf.get_static_value(count)
        count = count if static is None else static
        seed = noise.salted(seed, "autoregressive")
        return noise.uniform([count, self.num_uniforms], seed, self._real)

    def from_uniform(
        self,
        u: tf.Tensor,
        context: Any = None,
        temperature: Any = 1.0,
        known: tuple[tf.Tensor, np.ndarray] | None = None,
    ) -> tf.Tensor:
        """Maps independent uniform numbers to events, one row to one event.

        Args:
          u: `[N, num_uniforms]` in (0, 1).
          context: `[N, *context_shape]` for a conditional model.
          temperature: a number, or one for each row, `[N]`; see the element.
          known: events `[N, *event_shape]`, and which of their units to take as they
            are, bool that broadcasts to the same shape; see `complete`.

        Returns:
          `[N, *event_shape]`, distributed as this model.
        """
        rows.check_context(context, self._context, self.name)
        u = tf.cast(u, self._real)
        temperature = tf.broadcast_to(as_real(temperature, self._real), tf.shape(u)[:1])
        context = self.seen(context)
        if known is not None:
            events = never_empty(tf.cast(known[0], self.dtype))
            known = events, tf.broadcast_to(known[1], tf.shape(events))
        # Eager steps would have Python start every operation of every position.
        run = self._compiled if tf.executing_eagerly() else self._generate
        temperature, context = never_empty(temperature), never_empty(context)
        return as_many(run(never_empty(u), temperature, context, known), u)

    def _generate(self, u, temperature, context, known):
        raise NotImplementedError(f"{type(self).__name__} draws no events.")

    def _params(self, x, context):
        raise NotImplementedError(f"{type(self).__name__} has no parameters.")

    def _call_sample_n(self, sample_shape, seed, temperature=1.0, context=None):
        rows.check_context(context, self._context, self.name)
        shape = tf.reshape(tf.convert_to_tensor(sample_shape, tf.int32), [-1])
        if context is not None:
            context = tf.convert_to_tensor(context)
            split = context.shape.rank - len(self._context)
            shape = tf.concat([shape, tf.shape(context)[:split]], axis=0)
            context = rows.flat(context, shape, self._context)
        temperature = rows.flat(as_real(temperature, self._real), shape, ())
        u = self.uniforms(tf.reduce_prod(shape), seed)
        x = self.from_uniform(u, context, temperature)
        return tf.reshape(x, tf.concat([shape, self._event_shape_tensor()], axis=0))

    def _sample_and_log_prob(self, sample_shape, seed, temperature=1.0, context=None):
        x = self._call_sample_n(sample_shape, seed, temperature, context)
        return x, self.log_prob(x, context=context)

    def seen(self, context: tf.Tensor | None) -> tf.Tensor | None:
        """Returns what the network is shown of contexts.

        Args:
          context: `[*batch, *context_shape]`, or None.
        """
        if context is None:
            return None
        if self._context_bijector is not None:
            context = self._context_bijector.inverse(tf.cast(context, self._real))
        return tf.cast(context, self._network.compute_dtype)

    def _as_rows(self, x, context):
        context = self.seen(context)
        return rows.paired(
            x, self._network.event_shape, context, self._context, self.name
        )

    def _event_shape(self):
        return tf.TensorShape(self._network.event_shape)

    def _event_shape_tensor(self):
        return tf.constant(self._network.event_shape, tf.int32)
