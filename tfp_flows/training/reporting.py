"""Reports of what is not finite where Keras runs steps without callbacks of `fit`."""

import math
import warnings
from typing import Any

import keras

from tfp_flows.training import batches, callbacks


class ReportingModel(keras.Model):
    """A Keras model with a `guard`, whose steps by hand report as those of `fit` do."""

    guard: Any

    @property
    def skipped_steps(self) -> int:
        """How many steps were left out, as not finite, since `fit` last began."""
        return self.guard.record.skipped

    def train_on_batch(self, x: Any, y: Any = None, *args, **kwargs) -> Any:
        """Does one step, as Keras does.

        Raises:
          NonFiniteLossError: if it is not finite, or one too many in a row is not.
        """
        if self.guard.has_stopped:
            self.guard.reset()
        logs = super().train_on_batch(x, y, *args, **kwargs)
        if self.guard.has_stopped:
            passes = batches.iterate(x, y, len(x))
            raise callbacks.step_error(self, passes, None, "this step")
        return logs

    def evaluate(self, *args, return_dict: bool = False, **kwargs) -> Any:
        """Returns the metrics, as Keras does; warns if the loss is not finite."""
        values = super().evaluate(*args, return_dict=return_dict, **kwargs)
        loss = float(values["loss"] if return_dict else values[0])
        if not math.isfinite(loss):
            warnings.warn(
                f"The loss of the evaluated data is {loss}: some of them have no "
                "finite log_prob. flow.log_prob(x) says which, and flow.trace(x) "
                "where it begins.",
                stacklevel=2,
            )
        return values
