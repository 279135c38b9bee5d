"""Autoregressive models: one network call for a density, one loop for a sample."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.elements.element import Element
from tfp_flows.distributions.unit_model import UnitModel
from tfp_flows.networks.autoregressive_network import (
    AutoregressiveNetwork,
    as_many,
    generate,
    never_empty,
)


class Autoregressive(UnitModel):
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

    Examples:
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
        shapes = [network.features_shape]
        super().__init__(
            *(network, element, parameters, shapes, context_shape),
            *(context_bijector, dtype, name),
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def num_uniforms(self) -> int:
        """Uniform numbers that one event takes."""
        return self._network.order.size * self._element.num_uniforms

    def log_prob_by_position(self, x: Any, context: Any = None) -> tf.Tensor:
        """Returns what each position adds to `log_prob`, given those before it.

        The sum over the last positions is the log-probability of the rest of an event
        given its beginning; a single one is how surprising a position is.

        Args:
          x: `[*batch, *event_shape]`.
          context: `[*batch', *context_shape]` for a conditional model.

        Returns:
          `[*broadcast(batch, batch'), num_positions]` in nats, position i of the
          network's order at i; -inf for units that are no values.

        Examples:
          >>> from tfp_flows import flows
          >>> model = flows.pixel_cnn((2, 2, 1), 1, 8, num_values=2)
          >>> print(model.log_prob_by_position(tf.zeros([2, 2, 1])).numpy().round(2))
          [-0.69 -0.69 -0.69 -0.69]
        """
        context = None if context is None else tf.convert_to_tensor(context)
        x, context, batch = self._as_rows(tf.convert_to_tensor(x), context)
        units, fits = self._element.supported(x, self._real)
        params = self._in_blocks(self._params(units, context))
        log_prob = self._element.log_prob(params, self._in_blocks(units))
        if fits is not None:
            is_state = tf.reduce_all(self._in_blocks(fits), axis=-1)
            log_prob = tf.where(is_state, log_prob, -math.inf)
        shape = tf.concat([tf.cast(batch, tf.int32), tf.shape(log_prob)[1:]], axis=0)
        return tf.reshape(log_prob, shape)

    def _generate(self, u, temperature, context, known):
        network, element = self._network, self._element
        count = u.shape[0] if u.shape[0] is not None else tf.shape(u)[0]
        shape = [network.num_positions, network.block_size, element.num_uniforms]
        u = tf.transpose(tf.reshape(u, [-1, *shape]), [1, 0, 2, 3])
        if known is not None:
            events, is_known = (network.to_blocks(value) for value in known)

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
        given = {} if context is None else {"context": never_empty(context)}
        params = self._network(never_empty(features), **given)
        return tf.cast(as_many(params, features), self._real)

    @property
    def _is_by_last_axis(self):
        """Whether the element can take events as they are, block beside block."""
        order, size = self._network.order, self._element.block_size
        if size is None:
            return True
        blocks = order[np.argsort(order[:, 0])]  # a sum takes them in any order
        natural = np.array_equal(blocks.ravel(), np.arange(order.size))
        return natural and self._network.event_shape[-1] == size

    def _in_blocks(self, value):
        """`[N, *event_shape, ...]` -> `[N, num_positions, block_size, ...]`."""
        rank = len(self._network.event_shape)
        rest = value.shape[rank + 1 :]
        flat = tf.reshape(value, [-1, self._network.order.size, *rest])
        return tf.gather(flat, self._network.order, axis=1)


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
