"""Autoregressive models: one network call for a density, one loop for a sample."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import noise, rows
from tfp_flows.distributions.elements.element import Element, as_real
from tfp_flows.distributions.model import Model
from tfp_flows.networks.autoregressive_network import (
    AutoregressiveNetwork,
    as_many,
    generate,
    never_empty,
)


class Autoregressive(Model):
    """A product of elements, each given the units before it.

    log p(x | c) = sum_i log element.p(x[order[i]]; params_i(x[order[:i]], c)), in nats

    `log_prob` is exact, also for integers, and one network call. `sample` goes through
    the network's steps, one position after the other: the arithmetic of about one
    call. The uniform numbers of all positions are drawn at once from one seed, so that
    the same seed (a Python integer or a `[2]` integer tensor) gives the same sample.

    Shapes: x `[*batch, *event_shape]`, context `[*batch', *context_shape]` ->
    log_prob `[*broadcast(batch, batch')]`. Integers outside of the element's range,
    or between integers, have log_prob -inf.

    Args:
      network: built or buildable, with the element's `num_params` and `num_features`.
      element: what the parameters of one unit mean.
      context_shape: shape of one context, or None.
      context_bijector: what contexts go through (its inverse) before the network sees
        them, as in `bijectors.Chain`; None for nothing.
      dtype: of the arithmetic, and of the events of a continuous element; the events
        of a discrete one are int32.
      name: of the distribution; the network's if None.

    Raises:
      ValueError: if network and element do not fit together.

    Example:
      >>> from tfp_flows.distributions.elements import Bernoulli
      >>> from tfp_flows.networks import MADE
      >>> model = Autoregressive(MADE((4,), 1, hidden_units=(8,)), Bernoulli())
      >>> x = model.sample(3, seed=1)
      >>> x.dtype, model.log_prob(x).shape
      (tf.int32, TensorShape([3]))
    """

    def __init__(
        self,
        network: AutoregressiveNetwork,
        element: Element,
        *,
        context_shape: Sequence[int] | None = None,
        context_bijector: Any = None,
        dtype: Any = tf.float32,
        name: str | None = None,
    ):
        parameters = dict(locals())
        _check(network, element)
        shape = None if context_shape is None else tuple(int(n) for n in context_shape)
        if not network.built:
            given = {} if shape is None else {"context_shape": (None, *shape)}
            network.build((None, *network.features_shape), **given)
        self._network, self._element = network, element
        self._context = shape
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
    def network(self) -> AutoregressiveNetwork:
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
        return self._network.order.size * self._element.num_uniforms

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
            are, bool `[*event_shape]`; see `complete`.

        Returns:
          `[N, *event_shape]`, distributed as this model.
        """
        rows.check_context(context, self._context, self.name)
        u = tf.cast(u, self._real)
        temperature = tf.broadcast_to(as_real(temperature, self._real), tf.shape(u)[:1])
        context = self._seen(context)
        if known is not None:
            events, mask = known
            mask = np.ravel(mask)[self._network.order]  # [positions, block]
            events = never_empty(tf.cast(events, self.dtype))
            known = events, tf.constant(mask, tf.bool)
        # Eager steps would have Python start every operation of every position.
        run = self._compiled if tf.executing_eagerly() else self._generate
        temperature, context = never_empty(temperature), never_empty(context)
        return as_many(run(never_empty(u), temperature, context, known), u)

    def _generate(self, u, temperature, context, known):
        network, element = self._network, self._element
        count = u.shape[0] if u.shape[0] is not None else tf.shape(u)[0]
        shape = [network.num_positions, network.block_size, element.num_uniforms]
        u = tf.transpose(tf.reshape(u, [-1, *shape]), [1, 0, 2, 3])
        if known is not None:
            events, is_known = network.to_blocks(known[0]), known[1]

        def draw(params, i):
            params = tf.cast(params, self._real)
            block = element.from_uniform(params, u[i], temperature[:, None])
            if known is not None:
                block = tf.where(is_known[i], events[i], block)
            return element.features(block, network.compute_dtype), [block]

        return generate(network, count, draw, [self.dtype], context)[0]

    def _log_prob(self, x, context=None):
        x, context, batch = self._as_rows(x, context)
        units, fits = self._element.supported(x, self._real)
        params = self._params(units, context)
        if not self._is_by_last_axis:
            params, units = self._in_blocks(params), self._in_blocks(units)
        log_prob = self._element.log_prob(params, units)
        log_prob = tf.reduce_sum(log_prob, list(range(1, log_prob.shape.rank)))
        if fits is not None:
            is_state = tf.reduce_all(fits, list(range(1, fits.shape.rank)))
            log_prob = tf.where(is_state, log_prob, -math.inf)
        return tf.reshape(log_prob, batch)

    def _params(self, x, context):
        """Returns `[N, *event_shape, num_params]`: the one network call."""
        features = self._element.features(x, self._network.compute_dtype)
        given = {} if context is None else {"context": context}
        return tf.cast(self._network(features, **given), self._real)

    @property
    def _is_by_last_axis(self):
        """Whether the element can take events as they are, block beside block."""
        order, size = self._network.order, self._element.block_size
        if size is None:
            return True
        natural = np.array_equal(order.ravel(), np.arange(order.size))
        return natural and self._network.event_shape[-1] == size

    def _in_blocks(self, value):
        """`[N, *event_shape, ...]` -> `[N, num_positions, block_size, ...]`."""
        rank = len(self._network.event_shape)
        rest = value.shape[rank + 1 :]
        flat = tf.reshape(value, [-1, self._network.order.size, *rest])
        return tf.gather(flat, self._network.order, axis=1)

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

    def _seen(self, context):
        """What the network is shown of contexts."""
        if context is None:
            return None
        if self._context_bijector is not None:
            context = self._context_bijector.inverse(tf.cast(context, self._real))
        return tf.cast(context, self._network.compute_dtype)

    def _as_rows(self, x, context):
        context = self._seen(context)
        return rows.paired(
            x, self._network.event_shape, context, self._context, self.name
        )

    def _event_shape(self):
        return tf.TensorShape(self._network.event_shape)

    def _event_shape_tensor(self):
        return tf.constant(self._network.event_shape, tf.int32)


def _check(network, element):
    if not isinstance(network, AutoregressiveNetwork):
        raise ValueError(
            f"Autoregressive needs an AutoregressiveNetwork, got "
            f"{type(network).__name__}. Pass one of tfp_flows.networks, such as MADE "
            "or MaskedConv."
        )
    for fact in ("num_params", "num_features"):
        got, wanted = getattr(network, fact), getattr(element, fact)
        if got != wanted:
            raise ValueError(
                f"Autoregressive needs a network with {fact}={wanted}, as its "
                f"{type(element).__name__} asks for, got {got}. Build the network "
                f"with {fact}=element.{fact}."
            )
    if element.block_size not in (None, network.block_size):
        raise ValueError(
            f"Autoregressive got an element for {element.block_size} units at once and "
            f"a network with positions of {network.block_size}. Give the network as "
            'many (channels="joint"), or the element one channel.'
        )
