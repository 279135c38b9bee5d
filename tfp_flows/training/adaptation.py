"""Data-dependent initialisation, the same on every replica and worker."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows.training import batches, replicas, sampling


def adapt_to_sample(
    model: keras.Model, x: Any, y: Any, steps_per_epoch: int | None
) -> None:
    """Adapts a model's flow to a random sample of its training data, for all replicas.

    Runs in cross-replica context: an assignment there reaches every replica of this
    worker. Each worker computes from the data it was given, which may be shuffled
    differently, so afterwards the first worker's values are sent to all.

    Args:
      model: a `FlowModel`, which says how many examples and by which seed.
      x: what `fit` was given to train on.
      y: targets, when `x` is arrays of contexts.
      steps_per_epoch: how many batches of a data set are an epoch; None for all.

    Raises:
      ValueError: if the data are empty, cannot be read twice, have no end, or hold
        values that are not finite.
    """
    # Arrays in slices of any size, a data set in its own batches.
    passes = batches.iterate(x, y, model.adapt_examples, steps_per_epoch)
    if passes is None:
        raise ValueError(
            "The flow is not adapted to data yet, and the training data can be read "
            "only once or are distributed already. Call flow.adapt(x) with some "
            "examples before fit, or give fit a tf.data.Dataset."
        )
    if steps_per_epoch is None and batches.is_endless(x):
        raise ValueError(
            "The training data have no end. Pass steps_per_epoch= to fit, or drop "
            "repeat() from the data set."
        )
    flow, strategy = model.flow, model.distribute_strategy
    sample = sampling.uniform(flow, passes(), model.adapt_examples, model.seed)
    sample = sampling.finite(sample, drop=model.on_nonfinite == "skip")
    given = {} if sample.context is None else {"context": sample.context}
    with strategy.scope():
        flow.adapt(sample.x, **given)
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
