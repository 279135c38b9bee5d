"""Data-dependent initialisation, the same on every replica and worker."""

from collections.abc import Callable
from typing import Any

import keras

from tfp_flows.training import batches, replicas, sampling


def adapt_to_sample(
    model: keras.Model, x: Any, y: Any, steps_per_epoch: int | None
) -> None:
    """Adapts a model's flow to a random sample of the training data of `fit`.

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
    adapt(
        model,
        sampling.uniform(model.flow, passes(), model.adapt_examples, model.seed),
        lambda: batches.is_steady(passes),
    )


def adapt(
    model: keras.Model,
    sample: sampling.Sample,
    is_steady: Callable[[], bool] = lambda: True,
) -> None:
    """Adapts a model's flow to a sample, for all replicas.

    Runs in cross-replica context: an assignment there reaches every replica of this
    worker. Each worker computes from the sample it was given, which may differ, so
    afterwards the first worker's values are sent to all.

    Args:
      model: a `FlowModel`.
      sample: of its training data.
      is_steady: whether another pass over these has the same order.

    Raises:
      ValueError: if the sample holds values that are not finite, or events beyond the
        support of the model.
    """
    flow, strategy = model.flow, model.distribute_strategy
    sample = sampling.usable(
        flow, sample, drop=model.on_nonfinite == "skip", is_steady=is_steady
    )
    given = {} if sample.context is None else {"context": sample.context}
    with strategy.scope():
        flow.adapt(sample.x, **given)
        if replicas.spans_workers(strategy):
            replicas.send_from_first(strategy, flow.raw_variables)
