"""Tables as people have them: mixed columns, missing values."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfp_flows.distributions import Tabular
from tfp_flows.distributions.elements import MixedColumns
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._recipe import recipe
from tfp_flows.networks import MLP, AnyOrderNetwork
from tfp_flows.tables import Columns


@recipe(unusable.with_own_network)
def tabular(
    columns: Any,
    *,
    condition_on: Sequence[str] = (),
    num_components: int = 8,
    num_orders: int = 4,
    hidden_units: Sequence[int] = (256, 256),
    activation: str = "relu",
    residual: bool = False,
    dropout: float = 0.0,
    network: Callable[..., keras.Layer] | None = None,
    seed: int = 0,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Tabular:
    """Builds a model of the rows of a table, with columns of any kinds [1].

    One network learns each column given any others, so that values may be missing
    anywhere, in training too: they are integrated out, nothing is filled in. Densities
    are those of the table's own units; see `Tabular` for what `log_prob` is.

    Args:
      columns: what the columns hold: from `tables.infer(table)`, or a dict of name ->
        kind as `tables.Columns.of` takes it.
      condition_on: names of columns that are not modelled but given: the context, made
        by `context_columns.encode(table)`.
      num_components: logistics of each column of numbers.
      num_orders: orders of the columns that `log_prob` and `sample` are a mean of: the
        one given, its reverse, and others at random. More are a little better and
        cost as many calls.
      hidden_units: widths of the network.
      network: builder of a Keras layer from `[B, C]` (and the context, if it declares
        one) to features `[B, F]`.

    Returns:
      `Tabular`, over `[N, D]` numbers: `columns.encode(table)` makes them of a
      DataFrame or a dict, `columns.decode` and `columns.frame` tables of them.

    Raises:
      ValueError: for columns that say too little, or are not there.

    Examples:
      >>> from tfp_flows import tables
      >>> table = {"hour": [3.5, 23.9, None], "size": ["S", "L", "L"]}
      >>> columns = tables.infer(table, {"hour": ("periodic", 24)})
      >>> model = tabular(columns, hidden_units=(8,))
      >>> model.log_prob(columns.encode(table)).shape
      TensorShape([3])

    References:
      [1] Uria, Murray, Larochelle. A deep and tractable density estimator. ICML 2014.
          arXiv:1310.1757
    """
    every = Columns.of(columns)
    events = every.without(condition_on) if condition_on else every
    shape = (len(events),)
    frame = Frame.of("tabular", {**locals(), "event_shape": shape})
    element = MixedColumns(list(events), num_components, dtype)
    context = None
    if condition_on:
        known = every.select(condition_on)
        context = MixedColumns(list(known), 1, dtype, "context")
    body = (network or frame.builder(MLP, name=frame.name))()
    whole = AnyOrderNetwork(
        *(body, shape, element.num_params, element.num_features), name=frame.name
    )
    orders = _orders(len(events), num_orders, seed)
    return Tabular(whole, element, orders, context=context, dtype=dtype)


def _orders(size, count, seed):
    """The natural order, its reverse, and others at random: different ones."""
    if count < 1:
        raise ValueError(f"tabular needs num_orders >= 1, got {count}.")
    rng, natural = np.random.default_rng(seed), np.arange(size)
    orders = [natural, natural[::-1], *(rng.permutation(size) for _ in range(count))]
    different = {tuple(order.tolist()): None for order in orders}
    return np.array(list(different)[:count])
