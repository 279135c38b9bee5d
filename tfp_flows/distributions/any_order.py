"""Any-order models: one network that draws each unit given any others."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import noise
from tfp_flows.distributions.autoregressive import Autoregressive
from tfp_flows.distributions.elements.element import Element
from tfp_flows.distributions.unit_model import UnitModel
from tfp_flows.networks.any_order import AnyOrderNetwork, InOrder


class AnyOrder(UnitModel):
    """p(x) in every order of its units, all by one network (Uria et al., 2014) [1].

    With an order s of the D positions, and x[s < t] the first t of them:

    log p(x | s)  = sum_t log element.p(x[s[t]]; params(x[s < t]))
    log_prob(x)   = D / (D - t) sum over r >= t of log element.p(x[s[r]]; params(
                    x[s < t])),  s and t drawn from the seed [2]
    E log_prob(x) = mean over s of log p(x | s) <= log p(x)

    p(x), the mean of p(x | s) over all orders, is what `sample` draws from. `log_prob`
    is one network call: an unbiased estimate of a lower bound on log p(x), noisy for a
    single event, good for training and for means over many. The exact density of the
    model that always uses one order is `in_order(order).log_prob(x)`, a call for each
    position; it differs a little from order to order, as far as training left the
    conditionals inconsistent.

    Every completion is exact: any units may be known, and each of the others is drawn
    given all that came before. `complete` draws them in a random order.

    Shapes: x `[*batch, *event_shape]`, context `[*batch', *context_shape]` ->
    log_prob `[*broadcast(batch, batch')]`.
    Cost: `sample` and completions take a call of the network for each unknown position.

    Args:
      network: built or buildable, with the element's `num_params` and `num_features`.
      element: what the parameters of one unit mean.
      context_shape: shape of one context, or None.
      context_bijector: what contexts go through (its inverse) before the network sees
        them; None for nothing.
      dtype: of the arithmetic, and of the events of a continuous element.
      name: of the distribution; the network's if None.

    Raises:
      ValueError: if network and element do not fit together.

    Examples:
      >>> from tfp_flows.distributions.elements import Bernoulli
      >>> from tfp_flows.networks import MLP
      >>> model = AnyOrder(AnyOrderNetwork(MLP((8,)), (4,), 1), Bernoulli())
      >>> x = model.sample(3, seed=1)
      >>> model.log_prob(x, seed=1).shape
      TensorShape([3])
      >>> model.in_order([3, 1, 0, 2]).log_prob(x).shape
      TensorShape([3])

    References:
      [1] Uria, Murray, Larochelle. A deep and tractable density estimator. ICML 2014.
          arXiv:1310.1757
      [2] Hoogeboom, Gritsenko, Bastings, Poole, van den Berg, Salimans.
          Autoregressive diffusion models. ICLR 2022. arXiv:2110.02037
    """

    def __init__(
        self,
        network: AnyOrderNetwork,
        element: Element,
        *,
        context_shape: Sequence[int] | None = None,
        context_bijector: Any = None,
        dtype: Any = tf.float32,
        name: str | None = None,
    ):
        parameters = dict(locals())
        check(network, element)
        shapes = [network.features_shape, (network.num_positions,)]
        super().__init__(
            *(network, element, parameters, shapes, context_shape),
            *(context_bijector, dtype, name),
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def is_exact(self) -> bool:
        """False: `log_prob` is a bound from one drawn order, and takes a seed."""
        return False

    @property
    def num_uniforms(self) -> int:
        """Uniform numbers that one event takes: for its units, and for their order."""
        network = self._network
        units = network.num_positions * network.block_size * self._element.num_uniforms
        return units + network.num_positions

    def in_order(self, order: str | Sequence[int] = "rows") -> Autoregressive:
        """Returns the exact model that draws the positions in one order.

        It shares the weights, and is an `Autoregressive` model like others: `log_prob`
        sums to one, and it can be exported.

        Args:
          order: "rows" (row-major) or "reversed", or the numbers of the positions, each
            once, the first one first; a position is a unit, or a pixel if the element
            models its channels together.

        Raises:
          ValueError: if the order is no permutation of the positions.
        """
        natural = np.arange(self._network.num_positions)
        named = {"rows": natural, "reversed": natural[::-1]}
        if isinstance(order, str) and order not in named:
            raise ValueError(
                f"{self.name} has no order {order!r}. Choose rows or reversed, or give "
                "the numbers of the positions."
            )
        places = named[order] if isinstance(order, str) else np.asarray(order)
        return Autoregressive(
            InOrder(self._network, places),
            self._element,
            context_shape=self._context,
            context_bijector=self._context_bijector,
            dtype=self._real,
            name=self.name,
        )

    def _log_prob(self, x, context=None, seed=None):
        x, context, batch = self._as_rows(x, context)
        units, fits = self._element.supported(x, self._real)
        count = self._network.num_positions
        seed = noise.salted(seed, "any_order")
        u = noise.uniform([tf.shape(x)[0], 1 + count], seed, self._real)
        step = tf.floor(u[:, :1] * count)  # positions that are known
        rank = tf.argsort(tf.argsort(u[:, 1:]))
        known = tf.cast(rank, self._real) < step
        params = self._blocks(self._params(units, known, context))
        log_prob = self._element.log_prob(params, self._blocks(units))
        zero = tf.zeros([], self._real)
        total = tf.reduce_sum(tf.where(known, zero, log_prob), axis=-1)
        total *= count / (count - step[:, 0])
        if fits is not None:
            is_state = tf.reduce_all(fits, list(range(1, fits.shape.rank)))
            total = tf.where(is_state, total, -math.inf)
        return tf.reshape(total, batch)

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Returns what the network gives of one drawn order, and its share.

        Args:
          x: `[*batch, *event_shape]`.
          context: `[*batch, *context_shape]` for a conditional model.
        """
        flat, flat_context, _ = self._as_rows(tf.convert_to_tensor(x), context)
        values, _ = self._element.supported(flat, self._real)
        known = tf.fill([tf.shape(flat)[0], self._network.num_positions], True)
        params = self._params(values, known, flat_context)
        log_prob = self.log_prob(x, context=context, seed=0)
        return [
            (self._network.name, params, tf.zeros([], self._real)),
            (type(self._element).__name__, log_prob, log_prob),
        ]

    def _shown(self, units):
        return self._element.features(units, self._network.compute_dtype)

    def _params(self, units, known, context):
        given = {} if context is None else {"context": context}
        params = self._network(self._shown(units), known, **given)
        return tf.cast(params, self._real)

    def _blocks(self, value):
        """`[N, *event_shape, ...]` -> `[N, num_positions, block_size, ...]`."""
        rest = value.shape[len(self._network.event_shape) + 1 :]
        block = self._network.block_size
        return tf.reshape(value, [-1, self._network.num_positions, block, *rest])

    def _generate(self, u, temperature, context, known):
        network, element = self._network, self._element
        count = network.num_positions
        ranks, u = self._ranks(u[:, :count]), u[:, count:]
        u = tf.reshape(u, [-1, count, network.block_size, element.num_uniforms])
        x, is_known = self._given(tf.shape(u)[0], known)
        # Unknown positions first; ranks are in (0, 1).
        order = tf.argsort(ranks + tf.cast(is_known, u.dtype))
        left = tf.reduce_max(tf.reduce_sum(tf.cast(~is_known, tf.int32), axis=1))

        def body(i, x, is_known):
            shown = self._shown(tf.reshape(x, [-1, *network.event_shape]))
            position = order[:, i]
            features = network.features(shown, is_known, context)
            params = tf.cast(network.params_at(features, position), self._real)
            unit = element.at(position)
            drawn = unit.from_uniform(params, u[:, i], temperature[:, None])
            here = tf.equal(tf.range(count), position[:, None]) & ~is_known
            return i + 1, tf.where(here[..., None], drawn[:, None], x), is_known | here

        _, x, _ = tf.while_loop(
            lambda i, *_: i < left,
            body,
            (tf.constant(0), x, is_known),
            maximum_iterations=count,
            parallel_iterations=1,
        )
        return tf.reshape(x, [-1, *network.event_shape])

    def _ranks(self, u):
        """Returns numbers in (0, 1) whose order is that of the draws, from uniforms."""
        return u

    def _given(self, batch, known):
        """Returns blocks `[N, positions, block]`, and which are known."""
        network = self._network
        count, block = network.num_positions, network.block_size
        if known is None:
            x = tf.zeros(tf.stack([batch, count, block]), self.dtype)
            return x, tf.fill(tf.stack([batch, count]), False)
        is_known = tf.reduce_all(self._blocks(known[1]), axis=-1)
        x = tf.where(is_known[..., None], self._blocks(known[0]), 0)
        return x, is_known


def check(network: AnyOrderNetwork, element: Element) -> None:
    """Refuses a network that does not fit an element.

    Raises:
      ValueError: saying what the element asks for.
    """
    if not isinstance(network, AnyOrderNetwork):
        raise ValueError(
            f"AnyOrder needs an AnyOrderNetwork, got {type(network).__name__}. Put "
            "your layer into one as its body."
        )
    for fact in ("num_params", "num_features", "block_size"):
        got, wanted = getattr(network, fact), getattr(element, fact)
        wanted = wanted or network.block_size
        if got != wanted:
            raise ValueError(
                f"AnyOrder needs a network with {fact}={wanted}, as its "
                f"{type(element).__name__} asks for, got {got}. Build the network "
                f"with {fact}={wanted}."
            )
