"""What a Keras model of a flow tells: its parts, and of steps that are not finite."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import keras

from tfp_flows.distributions import Model
from tfp_flows.training import batches, callbacks


class ReportingModel(keras.Model):
    """A Keras model with a `guard`, whose steps by hand report as those of `fit` do."""

    guard: Any
    flow: Model

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Prints the tree of the flow's parts and how many weights are trained.

        Args:
          print_fn: what takes the text.
        """
        trained = sum(math.prod(v.shape) for v in self.trainable_variables)
        fixed = sum(math.prod(v.shape) for v in self.non_trainable_weights)
        print_fn(f"{type(self).__name__} {self.name!r}")
        self.flow.summary(print_fn)
        print_fn(f"{trained:,} weights are trained, {fixed:,} are not.")

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
