"""Data-dependent initialisation, the same on every replica and worker."""

from typing import Any

import tensorflow as tf

from tfp_flows.training import replicas


def adapt(
    flow: Any, x: tf.Tensor, context: tf.Tensor | None, strategy: tf.distribute.Strategy
) -> None:
    """Adapts a flow from a batch, once for all replicas.

    Runs in cross-replica context: an assignment there reaches every replica of this
    worker. Each worker computes from the data it was given, which may be shuffled
    differently, so afterwards the first worker's values are sent to all.

    Args:
      flow: a distribution with `adapt` and `raw_variables`.
      x: `[N, *event_shape]`.
      context: `[N, *context_shape]` for a conditional flow.
      strategy: the strategy the flow's variables were created under.
    """
    given = {} if context is None else {"context": context}
    with strategy.scope():
        flow.adapt(x, **given)
        if replicas.spans_workers(strategy):
            _send_from_first(strategy, flow.raw_variables)


def _send_from_first(strategy, variables):
    """Sets all variables everywhere to their values on the first replica."""

    @tf.function
    def first_values():
        def of_replica():
            context = tf.distribute.get_replica_context()
            is_first = tf.equal(context.replica_id_in_sync_group, 0)
            # One type for all, as a collective wants; float64 holds them exactly.
            values = [tf.cast(v, tf.float64) for v in variables]
            shares = [tf.where(is_first, v, tf.zeros_like(v)) for v in values]
            return context.all_reduce(tf.distribute.ReduceOp.SUM, shares)

        shares = strategy.run(of_replica)
        return [strategy.experimental_local_results(s)[0] for s in shares]

    for variable, value in zip(variables, first_values(), strict=True):
        variable.assign(tf.cast(value, variable.dtype))
