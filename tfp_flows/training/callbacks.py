"""Callbacks of training: stop with a reason when the loss is not finite."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.training import batches


class NonFiniteLossError(ValueError):
    """Training met a loss that is NaN or infinite.

    Attributes:
      bijector: name of the first bijector, from data to latent, whose output is not
        finite; "base" for the base distribution; None if it was not found.
    """

    def __init__(self, message: str, bijector: str | None = None):
        super().__init__(message)
        self.bijector = bijector


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises `NonFiniteLossError` that names the bijector where finiteness ends.

    `FlowModel.fit` always adds one. It looks at the loss Keras has already brought to
    the host for its own callbacks, so it costs nothing while all is well. When the
    loss is not finite, it reads the training data again with the current weights (the
    step with the bad loss has not changed them) and follows the first bad example
    through the flow.

    Args:
      passes: starts a new pass over the training data, as from `batches.iterate`, or
        None if they cannot be read again.

    Raises:
      NonFiniteLossError: from `fit`, at the end of the step.
    """

    def __init__(self, passes: Callable[[], Iterator[Any]] | None = None):
        super().__init__()
        self._passes = passes
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Remembers the epoch for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Raises if the running mean of the loss is not finite."""
        loss = (logs or {}).get("loss", 0.0)
        if math.isfinite(loss):
            return
        flow = self.model.flow
        bijector, reason = self._explain(flow, batch)
        raise NonFiniteLossError(
            f"The loss is {loss} at step {batch} of epoch {self._epoch}. {reason} "
            "Usual cures: a smaller learning rate, clipnorm= of the optimizer, data "
            "that are scaled and inside the flow's range. The weights are those of "
            "before the bad step.",
            bijector,
        )

    def _explain(self, flow, batch):
        broken = [
            v.path
            for v in self.model.weights
            if v.dtype.startswith("float") and not np.isfinite(v.numpy()).all()
        ]
        because = (
            f" The weights {broken} are not finite: a gradient was not."
            if broken
            else ""
        )
        if self._passes is None:
            return None, (
                f"The data cannot be read again to look for the bijector.{because}"
            )
        limit = self.params.get("steps") or batch + 1
        with tf.distribute.get_strategy().scope():
            found = first_non_finite(flow, self._passes, limit)
        if found is None:
            return None, (
                "No example of the training data has a non-finite log_prob with the "
                "current weights in inference mode, so noise of the step, such as "
                f"dropout, took part in it.{because}"
            )
        return found[0], found[1] + because


def first_non_finite(
    flow: Any, passes: Callable[[], Iterator[Any]], num_batches: int
) -> tuple[str | None, str] | None:
    """Looks for the first example without a finite log_prob, and for the reason.

    Args:
      flow: a distribution with `trace`.
      passes: starts a pass over the data, as from `batches.iterate`.
      num_batches: how many batches to look at, for data without end.

    Returns:
      The name of the first bijector whose output is not finite and a sentence that
      says so, or None if all is finite.
    """
    log_prob = tf.function(flow.log_prob, reduce_retracing=True)
    for index, data in zip(range(num_batches), passes(), strict=False):
        x, context = batches.split(flow, data)
        given = {} if context is None else {"context": context}
        bad = np.flatnonzero(~np.isfinite(log_prob(x, **given).numpy()))
        if bad.size:
            row = slice(bad[0], bad[0] + 1)
            given = {name: value[row] for name, value in given.items()}
            return _blame(flow, x[row], given, f"example {bad[0]} of batch {index}")
    return None


def _blame(flow, x, given, where):
    because = ""
    if not all(_is_finite(value) for value in (x, *given.values())):
        because = " The data themselves are not finite there."
    for name, value, log_det in flow.trace(x, **given):
        if not (_is_finite(value) and _is_finite(log_det)):
            return name, (
                f"The first output that is not finite is of {name!r}, for {where} "
                f"(counted from 0).{because}"
            )
    return None, (
        f"The log_prob of {where} is not finite, but each bijector's output is."
    )


def _is_finite(value):
    return all(np.isfinite(np.asarray(part)).all() for part in tf.nest.flatten(value))
