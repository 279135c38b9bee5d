"""Callbacks of training: stop with a reason when something is not finite."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.training import diagnosis
from tfp_flows.training.guard import Reason

Passes = Callable[[], Iterator[Any]] | None

_WHAT = {
    Reason.LOSS: "The loss is",
    Reason.GRADIENT: "The loss is finite, but its gradient is",
    Reason.UPDATE: "Loss and gradient are finite, but the weights or the optimizer's "
    "slots after the update are",
}


class NonFiniteLossError(ValueError):
    """Training met a step, or `fit` a validation loss, that is NaN or infinite.

    Its first argument is the message: what came, which rows, and what to do.

    Attributes:
      bijector: name of the first bijector, from data to latent, whose output is not
        finite; "base" for the base distribution; None if it was not found.
      rows: the examples at fault, by their places in the data; empty if not found.
      reason: "loss", "gradient", "update", or "val_loss".

    Examples:
      >>> error = NonFiniteLossError("The loss is NaN.", rows=(7,), reason="loss")
      >>> error.rows, error.reason
      ((7,), 'loss')
    """

    def __init__(
        self,
        message: str,
        bijector: str | None = None,
        rows: tuple[int, ...] = (),
        reason: str = "loss",
    ):
        super().__init__(message)
        self.bijector, self.rows, self.reason = bijector, rows, reason


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises `NonFiniteLossError` that names the rows and where finiteness ends.

    `FlowModel.fit` always adds one. It looks at the logs Keras has already brought to
    the host for its own callbacks, so it costs nothing while all is well. When a step
    has stopped training, it reads the data again with the current weights, which are
    those of before that step, and follows the first bad example through the flow.

    Args:
      passes: starts a new pass over the training data, as from `batches.iterate`, or
        None if they cannot be read again.
      validation: the same of the validation data.

    Raises:
      NonFiniteLossError: from `fit`, at the end of the step or of the validation.

    Examples:
      >>> import numpy as np
      >>> from tfp_flows import FlowModel, flows
      >>> model = FlowModel(flows.real_nvp((2,), 1, (8,)))
      >>> model.compile("sgd")
      >>> bad = np.array([[0.0, 1.0], [1.0, 0.0], [np.nan, 0.0]], "float32")
      >>> model.flow.adapt(bad[:2])
      >>> try:
      ...     model.fit(bad, shuffle=False, verbose=0)
      ... except NonFiniteLossError as error:
      ...     print(error.rows)
      (2,)
    """

    def __init__(self, passes: Passes = None, validation: Passes = None):
        super().__init__()
        self._passes, self._validation = passes, validation
        self._epoch = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None):
        """Lets steps count again."""
        self.model.guard.reset()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None):
        """Remembers the epoch for the message."""
        self._epoch = epoch
        self.model.guard.begin_epoch()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None):
        """Adds the number of steps left out so far to the history."""
        if logs is not None and self.model.on_nonfinite == "skip":
            logs["skipped"] = self.model.skipped_steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None):
        """Raises if the model has stopped, which it says by NaN as the loss."""
        if math.isfinite((logs or {}).get("loss", 0.0)):
            return
        # A last execution of several steps may be cut short, so `batch` is no limit.
        steps = self.model.guard.record.steps
        limit = self.params.get("steps") or steps
        where = f"step {steps - 1} of epoch {self._epoch}"
        raise step_error(self.model, self._passes, limit, where)

    def on_test_end(self, logs: dict[str, Any] | None = None):
        """Raises if the loss of the validation data is not finite."""
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            return
        found = diagnosis.explain(
            self.model, self._validation, "validation", None, Reason.LOSS
        )
        raise NonFiniteLossError(
            f"val_loss is {loss} after epoch {self._epoch}. {found.sentence} "
            f"{found.cure}",
            found.bijector,
            found.rows,
            "val_loss",
        )


def step_error(
    model: keras.Model, passes: Passes, limit: int | None, where: str
) -> NonFiniteLossError:
    """Returns the error for a model that has stopped.

    Args:
      model: a `FlowModel`.
      passes: starts a pass over the training data, or None.
      limit: how many batches to look at, None for all.
      where: which step it was.
    """
    record = model.guard.record
    reason = Reason(record.reason)
    found = diagnosis.explain(model, passes, "training", limit, reason)
    also = (
        f" It is the last of {record.in_a_row} steps in a row that were left out."
        if record.in_a_row > 1
        else ""
    )
    return NonFiniteLossError(
        f"{_WHAT[reason]} not finite at {where}.{also} {found.sentence} {found.cure} "
        "Weights, slots and averages are those of before the step.",
        found.bijector,
        found.rows,
        reason.name.lower(),
    )


def with_guard(given: Any, passes: Passes, validation: Passes) -> Any:
    """Returns the callbacks of a `fit` with `StopOnNonFiniteLoss` as the first."""
    guard = StopOnNonFiniteLoss(passes, validation)
    if not isinstance(given, keras.callbacks.CallbackList):
        return [guard, *tf.nest.flatten(given or [])]
    guard.set_model(given.model)
    guard.set_params(given.params)
    # First, so that no other callback saves or reports a step that went wrong.
    given.callbacks.insert(0, guard)
    return given
