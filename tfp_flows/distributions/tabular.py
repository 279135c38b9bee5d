"""Models of tables: mixed columns, missing values, any columns given others."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import rows
from tfp_flows.distributions.any_order import AnyOrder, check
from tfp_flows.distributions.elements.mixed_columns import MixedColumns
from tfp_flows.networks.any_order import AnyOrderNetwork
from tfp_flows.networks.row_noise import RowNoise
from tfp_flows.tables import Columns


class Tabular(AnyOrder):
    """p(row) of a table: a mean over a few orders of its columns, by one network [1].

    p(x)        = mean over the orders s of prod_t p(x[s[t]] | x[s[< t]])
    log_prob(x) = log p(x), exact and without noise: densities of numbers and
                  probabilities of values, multiplied, in nats of the raw units

    Missing values (NaN) are left out of the product and never shown to the network,
    which is trained with any columns missing: what is left is the probability of the
    values that are there. Of missing columns that come last in an order that is their
    exact integral, of others as near to it as training brought the conditionals.

    Training takes one network call for each row: in training mode, as `FlowModel.fit`
    sets it, `log_prob` is an estimate from one drawn order and number of known columns,
    whose mean is at most log p(x) up to inconsistencies; so `loss` is that and
    `val_loss` exact. The orders of training are all orders, so that `complete` draws
    any columns given any others. `sample` draws from p(x).

    Shapes: x `[*batch, D]` -> log_prob `[*batch]`; numbers as `columns.encode` gives
    them. Contexts `[*batch', C]`, by `context_columns.encode`, may miss values too.
    Cost: `log_prob` takes D calls of the network for each order, `sample` D calls.

    Args:
      network: built or buildable, with the element's `num_params` and `num_features`;
        its contexts have what `context` shows of each row, and a mark a column.
      element: of the columns.
      orders: `[K, D]`, numbers of the columns, each row a permutation.
      context: of the columns that others are conditioned on, or None.
      dtype: of the arithmetic.
      name: of the distribution; the network's if None.

    Raises:
      ValueError: if network, element and orders do not fit together.

    Examples:
      >>> from tfp_flows import flows
      >>> model = flows.tabular({"age": "integer", "smokes": "boolean"})
      >>> x = model.columns.encode({"age": [31, None], "smokes": [True, False]})
      >>> model.log_prob(x).shape
      TensorShape([2])
      >>> sorted(model.columns.decode(model.sample(3, seed=1)))
      ['age', 'smokes']

    References:
      [1] Uria, Murray, Larochelle. A deep and tractable density estimator. ICML 2014.
          arXiv:1310.1757
    """

    _element: MixedColumns

    def __init__(
        self,
        network: AnyOrderNetwork,
        element: MixedColumns,
        orders: Any,
        *,
        context: MixedColumns | None = None,
        dtype: Any = tf.float32,
        name: str | None = None,
    ):
        parameters = dict(locals())
        check(network, element)
        self._orders = _checked_orders(orders, len(element.columns))
        self._given_columns = context
        size = len(context.columns) if context is not None else 0
        if not network.built and context is not None:
            width = size * (context.num_features + 1)
            shown = (None, *network.features_shape), (None, network.num_positions)
            network.build(*shown, context_shape=(None, width))
        # Not that of AnyOrder, whose arguments are others.
        super(AnyOrder, self).__init__(
            *(network, element, parameters),
            [network.features_shape, (network.num_positions,)],
            (size,) if context is not None else None,
            *(None, dtype, name),
        )
        self._noise = RowNoise(1 + network.num_positions, dtype=self._real.name)
        moments = [e.layer for e in (element, context) if e is not None]
        self.own_layers = self._no_dependency((network, *moments, self._noise))
        self._weights = [v.value for one in self.own_layers for v in one.variables]

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def is_exact(self) -> bool:
        """True: `log_prob` is a density, and has no noise but in training mode."""
        return True

    @property
    def takes_missing(self) -> bool:
        """True: NaN is a value that is not there."""
        return True

    @property
    def columns(self) -> Columns:
        """What x holds; `columns.encode(table)` makes it, `decode` takes it back."""
        return Columns(self._element.columns)

    @property
    def context_columns(self) -> Columns | None:
        """What a context holds, or None."""
        given = self._given_columns
        return None if given is None else Columns(given.columns)

    @property
    def is_adapted(self) -> bool:
        """Whether means and scales of the numbers are known."""
        given = self._given_columns
        return self._element.is_adapted and (given is None or given.is_adapted)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The network."""
        return (self._network,)

    def _tell_constant(self, x):
        """The element tells of columns by name, and only if they have a density."""

    def _adapt(self, x, context, seed):
        self._element.adapt(x)
        if self._given_columns is not None:
            self._given_columns.adapt(context)

    def in_order(self, order: str | Sequence[int | str] = "rows") -> "Tabular":
        """Returns the model that uses one order of the columns, with these weights.

        Args:
          order: "rows" for the columns as they are, "reversed", or their names or
            numbers, the first one first.

        Raises:
          ValueError: if the order is no permutation of the columns.
        """
        names = self.columns.names
        if isinstance(order, str) and order in ("rows", "reversed"):
            order = np.arange(len(names))[:: 1 if order == "rows" else -1].tolist()
        if isinstance(order, str):
            raise ValueError(
                f'{self.name} has the orders "rows", "reversed" and lists of {names}, '
                f"got {order!r}. Give one of these."
            )
        places = [names.index(n) if n in names else n for n in order]
        unknown = [n for n in places if not isinstance(n, (int, np.integer))]
        if unknown:
            raise ValueError(
                f"There is no column {unknown} among {names}. Name all of these."
            )
        return Tabular(
            self._network,
            self._element,
            [places],
            context=self._given_columns,
            dtype=self._real,
            name=self.name,
        )

    def _log_prob(self, x, context=None):
        x, context, batch = self._as_rows(x, context)
        u = self._noise(x)
        if u.shape[1]:
            total = self._estimate(x, context, u)
        else:
            total = self._exact(x, context)
        return tf.reshape(total, batch)

    def _estimate(self, x, context, u):
        """One call: some of the values that are there are known, the others asked."""
        is_there = ~tf.math.is_nan(x)
        rank = tf.argsort(tf.argsort(tf.where(is_there, u[:, 1:], 2.0)))
        count = tf.reduce_sum(tf.cast(is_there, self._real), axis=1)
        step = tf.floor(u[:, 0] * count)  # values that are known
        known = is_there & (tf.cast(rank, self._real) < step[:, None])
        params = self._params(x, known, context)
        each = self._element.log_prob_of_each(params, x)
        total = tf.reduce_sum(tf.where(known, tf.zeros_like(each), each), axis=1)
        return total * count / tf.maximum(count - step, 1.0)

    def _exact(self, x, context):
        """A call for each column of each order."""
        shown, is_there = self._shown(x), ~tf.math.is_nan(x)
        orders, ranks = tf.constant(self._orders), np.argsort(self._orders, axis=1)
        ranks, count = tf.constant(ranks.astype(np.int32)), x.shape[1]

        def at(i):
            order, place = i // count, i % count
            position = orders[order, place]
            known = is_there & (ranks[order] < place)
            features = self._network.features(shown, known, context)
            params = tf.cast(self._network.params_at(features, position), self._real)
            unit = tf.gather(x, position, axis=1)[:, None]
            return self._element.at(position).log_prob(params, unit)

        each = tf.map_fn(at, tf.range(self._orders.size), fn_output_signature=x.dtype)
        each = tf.reshape(each, [len(self._orders), count, tf.shape(x)[0]])
        by_order = tf.reduce_sum(each, axis=1)
        return tf.reduce_logsumexp(by_order, axis=0) - math.log(len(self._orders))

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Returns what the network gives for all values known, and log p(x).

        Args:
          x: `[*batch, D]`.
          context: `[*batch, C]` for a conditional model.
        """
        flat, flat_context, _ = self._as_rows(tf.convert_to_tensor(x), context)
        params = self._params(flat, ~tf.math.is_nan(flat), flat_context)
        log_prob = self.log_prob(x, **({} if context is None else {"context": context}))
        return [
            (self._network.name, params, tf.zeros([], self._real)),
            (type(self._element).__name__, log_prob, log_prob),
        ]

    def check_known(self, x: tf.Tensor) -> None:
        """Refuses values to complete from that the columns cannot hold.

        Args:
          x: `[..., D]`, NaN where a value is not known.

        Raises:
          ValueError: by the first such column.
        """
        self._element.check(x)

    def _ranks(self, u):
        """Each row draws one of the orders."""
        chosen = tf.cast(u[:, 0] * len(self._orders), tf.int32)
        ranks = np.argsort(self._orders, axis=1) / self._orders.shape[1]
        return tf.gather(tf.constant(ranks, u.dtype), chosen)

    def _given(self, batch, known):
        x, is_known = super()._given(batch, known)
        return x, is_known & ~tf.math.is_nan(x[..., 0])  # what is missing is drawn

    def seen(self, context: tf.Tensor | None) -> tf.Tensor | None:
        """Shows contexts as columns are shown, and which of them are there.

        Args:
          context: `[*batch, *context_shape]`, or None.
        """
        if context is None or self._given_columns is None:
            return context
        context = tf.cast(context, self._real)
        self._given_columns.check(context)
        dtype = self._network.compute_dtype
        shown = self._given_columns.features(context, dtype)
        # In a graph, what a column cannot hold is as good as missing.
        marks = tf.cast(self._given_columns.fits(context), dtype)
        return tf.concat([shown, marks], axis=-1)

    def _as_rows(self, x, context):
        """Flattens with the raw context, then shows that."""
        context = None if context is None else tf.cast(context, self._real)
        shape = self._network.event_shape
        x, context, batch = rows.paired(x, shape, context, self._context, self.name)
        return x, self.seen(context), batch


def _checked_orders(orders, count):
    orders = np.asarray(orders)
    natural = np.arange(count)
    if orders.ndim != 2 or not all(
        np.array_equal(np.sort(order), natural) for order in orders
    ):
        raise ValueError(
            f"A model of {count} columns needs orders with each of them once, got "
            f"{orders.tolist()}. Give their numbers from 0 to {count - 1}, or names."
        )
    return orders.astype(np.int32)
