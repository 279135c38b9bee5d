"""What a Keras model of a flow tells, of itself and of steps that are not finite."""

import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Model
from tfp_flows.training import arguments, batches, callbacks, weighting

_OWNER = "tfp_flows"  # of a weights file: its recipe and the shapes of its weights


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

    def save(self, filepath: Any, *args, **kwargs) -> None:
        """Saves the model, as Keras does; refuses before a file is begun."""
        self.get_config()
        super().save(filepath, *args, **kwargs)

    def save_own_variables(self, store: Any) -> None:
        """Saves beside the weights what says whose they are; Keras calls it."""
        super().save_own_variables(store)
        recipe = self.flow.recipe.name if self.flow.recipe else self.flow.name
        text = json.dumps([recipe, _shapes(self)])
        store[_OWNER] = np.frombuffer(text.encode(), np.uint8)

    def load_own_variables(self, store: Any) -> None:
        """Refuses weights of another architecture; Keras calls it.

        Raises:
          ValueError: if the file's flow had other weights.
        """
        own = {name: store[name] for name in store.keys() if name != _OWNER}
        super().load_own_variables(own)
        if _OWNER not in store.keys():  # a file of an older version
            return
        recipe, saved = json.loads(np.asarray(store[_OWNER]).tobytes())
        shapes = _shapes(self)
        if saved != shapes:
            differ = (a != b for a, b in zip(saved, shapes, strict=False))
            first = next((i for i, d in enumerate(differ) if d), len(shapes))
            raise ValueError(
                f"The file holds {len(saved)} arrays of a {recipe!r}, this flow has "
                f"{len(shapes)}; the first that differs is number {first}: "
                f"{saved[first : first + 1]} in the file, {shapes[first : first + 1]} "
                "here. Build the flow with the options it was trained with."
            )

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: None = None,
        return_dict: bool = False,
    ) -> Any:
        """Does one step, as Keras does.

        Raises:
          NonFiniteLossError: if it is not finite, or one too many in a row is not.
        """
        weighting.refuse_classes({"class_weight": class_weight})
        x, y = batches.packed(x, y, sample_weight)
        if self.guard.has_stopped:
            self.guard.reset()
        logs = super().train_on_batch(x, y, return_dict=return_dict)
        if self.guard.has_stopped:
            passes = batches.iterate(x, y, len(tf.nest.flatten(x)[0]))
            raise callbacks.step_error(self, passes, None, "this step")
        return logs

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Evaluates one batch, as Keras does."""
        x, y = batches.packed(x, y, sample_weight)
        return super().test_on_batch(x, y, return_dict=return_dict)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        *args,
        return_dict: bool = False,
        **kwargs,
    ) -> Any:
        """Returns the metrics, as Keras does; warns if the loss is not finite."""
        steps = args[0] if args else kwargs.get("steps")
        arguments.check_sizes(batch_size=batch_size, steps=steps)
        x, y = batches.packed(x, y, sample_weight)
        batches.check_shape(self.flow, x, y)
        values = super().evaluate(
            *(x, y, batch_size, verbose, None, *args), return_dict=return_dict, **kwargs
        )
        loss = float(values["loss"] if return_dict else values[0])
        if not math.isfinite(loss):
            warnings.warn(
                f"The loss of the evaluated data is {loss}: some of them have no "
                "finite log_prob, or no weight. flow.log_prob(x) says which, and "
                "flow.trace(x) where it begins.",
                stacklevel=2,
            )
        return values

    def predict(self, x: Any, batch_size: int | None = None, *args, **kwargs) -> Any:
        """Returns log_prob of each example, as Keras does; weights have no part."""
        arguments.check_sizes(batch_size=batch_size, steps=kwargs.get("steps"))
        x, _ = batches.packed(x)
        batches.check_shape(self.flow, x)
        return super().predict(x, batch_size, *args, **kwargs)


def _shapes(model):
    return [list(v.shape) for v in model.weights]
