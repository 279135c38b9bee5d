"""Sums and means over the replicas of a `tf.distribute` strategy."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfp_flows.bijectors import BatchNorm
from tfp_flows.distributions import Model


def spans_workers(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether some of the strategy's replicas are in other processes."""
    return isinstance(
        strategy, tf.distribute.MultiWorkerMirroredStrategy
    ) and strategy.num_replicas_in_sync > len(strategy.extended.worker_devices)


def shares(size: tf.Tensor, *others: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Tells a replica its place in the batch; only in a replica's step.

    Args:
      size: integer scalar, number of this replica's examples.
      *others: scalars to be summed over all replicas in the same message.

    Returns:
      How many examples the replicas before this one have, how many all have, and the
      sums of the others; float64 scalars, which hold counts exactly.
    """
    values = [tf.cast(v, tf.float64) for v in (size, *others)]
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tf.zeros([], tf.float64), *values
    count = context.num_replicas_in_sync
    # Not a plain Python integer: under TPU strategies this is a tensor.
    here = tf.one_hot(context.replica_id_in_sync_group, count, dtype=tf.float64)
    sums = total(tf.concat([here * values[0], tf.stack(values)], axis=0))
    before = tf.reduce_sum(tf.cumsum(sums[:count], exclusive=True) * here)
    return before, *tf.unstack(sums[count:])


def total(value: tf.Tensor) -> tf.Tensor:
    """Returns the sum of a value over all replicas; only in a replica's step."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def averaged(states: list[tf.Tensor | None]) -> list[tf.Tensor | None]:
    """Returns the means over all replicas; only in a replica's step.

    Of running statistics, which each replica moves by its own part of the batch: the
    copies of a weight stay equal. Integers and truth values are left alone.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return states
    places = [i for i, s in enumerate(states) if s is not None and s.dtype.is_floating]
    if not places:
        return states
    mean = tf.distribute.ReduceOp.MEAN
    means = context.all_reduce(mean, [states[i] for i in places])
    found = dict(zip(places, means, strict=True))
    return [found.get(i, s) for i, s in enumerate(states)]


def clipped(
    optimizer: keras.optimizers.Optimizer, gradients: list[tf.Tensor | None]
) -> list[tf.Tensor | None]:
    """Clips the whole batch's gradient where Keras would clip each replica's own.

    Keras clips, then sums over replicas. So the sum is taken and clipped here, and
    each replica hands on an equal share, which the optimizer's own clipping leaves
    alone. Without clipping, or with one replica, there is nothing to do. Gradients of a
    scaled loss are clipped at limits of their scale, and handed on summed also without
    clipping: the loss scaler asks one replica alone whether they are finite.

    Args:
      optimizer: with `clipnorm`, `global_clipnorm` or `clipvalue`, or a loss scaler
        around one.
      gradients: this replica's, one for each trainable variable.

    Returns:
      Gradients whose sum over replicas is clipped as one replica's would be.
    """
    context = tf.distribute.get_replica_context()
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    limits = (inner.clipnorm, inner.global_clipnorm, inner.clipvalue)
    is_alone = context is None or context.num_replicas_in_sync == 1
    if is_alone or (inner is optimizer and not any(limits)):
        return gradients
    present = [g for g in gradients if g is not None]
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, present)
    limit = optimizer.scale_loss(tf.constant(next(filter(None, limits), 0.0)))
    if inner.clipnorm:
        summed = [tf.clip_by_norm(g, tf.cast(limit, g.dtype)) for g in summed]
    elif inner.global_clipnorm:
        summed, _ = tf.clip_by_global_norm(summed, limit)
    elif inner.clipvalue:
        summed = [_within(g, tf.cast(limit, g.dtype)) for g in summed]
    parts = iter([g / context.num_replicas_in_sync for g in summed])
    return [g if g is None else next(parts) for g in gradients]


def _within(gradient, limit):
    clipped = tf.clip_by_value(gradient, -limit, limit)
    return tf.where(tf.math.is_finite(gradient), clipped, gradient)


def talk_within_steps(model: keras.Model, flow: Model) -> bool:
    """Returns whether a replica's computation itself talks to the others.

    So it is where layers take the statistics of a batch, which XLA on CPUs cannot hold.

    Args:
      model: compiled; tracks the flow's Keras layers.
      flow: what it trains.

    Raises:
      ValueError: if there are replicas and a layer or the optimizer would see one
        replica's own part of a batch only, or for what Keras' optimizers cannot do with
        mirrored variables.
    """
    _check_branches(model)
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return False
    kind = keras.layers.BatchNormalization
    norms = [v for v in model._flatten_layers() if isinstance(v, kind)]
    alone = [v.name for v in norms if not v.synchronized]
    if alone:
        raise ValueError(
            f"The batch normalisation {alone} would see only a replica's part of each "
            "batch, so training would depend on the number of replicas. Build "
            "keras.layers.BatchNormalization(synchronized=True)."
        )
    return bool(norms) or any(isinstance(v, BatchNorm) for v in flow.submodules)


def _check_branches(model):
    """Refuses what Keras does in a branch, where mirrored variables cannot change."""
    strategy = model.distribute_strategy
    mirroring = (
        tf.distribute.MirroredStrategy,
        tf.distribute.MultiWorkerMirroredStrategy,
    )
    if strategy.num_replicas_in_sync == 1 and not isinstance(strategy, mirroring):
        return
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if inner.gradient_accumulation_steps:
        raise ValueError(
            "gradient_accumulation_steps works on one device only, without a mirrored "
            "strategy: Keras gathers each replica's own gradients. Take a larger "
            "batch, which the replicas share."
        )
    if inner.use_ema and inner.ema_overwrite_frequency:
        raise ValueError(
            f"ema_overwrite_frequency={inner.ema_overwrite_frequency} works on one "
            "device only, without a mirrored strategy: Keras cannot put averages in "
            "the place of mirrored weights between steps. Leave it out, as fit does so "
            "at its end, or use keras.callbacks.SwapEMAWeights."
        )


def send_from_first(
    strategy: tf.distribute.Strategy, variables: Sequence[tf.Variable]
) -> None:
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
