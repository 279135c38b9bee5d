"""A problem: what to maximise, under what constraints, and how likely at least."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import noise
from tfp_flows.tasks.codes import Conditioned
from tfp_flows.tasks.densities import Densities


class Judged(NamedTuple):
    """What events are worth.

    `excess` holds each constraint's value, then what log p(x) and, for a flow, log p(z)
    lack to their bounds; every column in units of its standard deviation among the
    model's samples, satisfied at <= 0.
    `violation` is the sum of what is above 0.
    """

    objective: tf.Tensor  # [N], in units of its standard deviation
    excess: tf.Tensor  # [N, constraints + 1 or 2]
    violation: tf.Tensor  # [N]


class Problem:
    """An objective and constraints over the plausible events of a model.

    Args:
      asked: the model and its context.
      objective: `[N, *event_shape]` -> `[N]`.
      constraints: functions of the same shapes; satisfied at values <= 0.
      plausible: the quantile of log-densities that bounds an event's from below, and
        for a flow that of its code, too.
      reference: events whose log-densities these are; the model's samples if None.
      num_samples: drawn from the model.
      seed: of samples and noise.

    Raises:
      ValueError: if the bound is not finite, or the reference has another shape.
    """

    def __init__(
        self,
        asked: Conditioned,
        objective: Callable,
        constraints: Sequence[Callable],
        plausible: float,
        reference: Any,
        num_samples: int,
        seed: int,
    ):
        self.asked = asked
        self.dtype = asked.model.real_dtype
        self.functions = [objective, *constraints]
        self.in_numpy = False  # whether functions are black boxes
        self.seed = noise.salted(seed, "optimize")
        self.densities = Densities(asked, self.seed)
        drawn = asked.model.sample(num_samples, seed=self.seed, **asked.kwargs)
        self.samples = tf.identity(tf.cast(drawn, self.dtype))
        densities = self.densities.of_many(self.samples)
        self._density_scales = [*map(_scale, densities.T)]
        if reference is not None:
            reference = asked.checked(reference, "reference events")
            densities = self.densities.of_many(reference)
        self.reference = np.sort(densities[:, 0])
        with np.errstate(invalid="ignore"):  # of infinities; refused below
            self.bounds = np.quantile(densities, plausible, axis=0)
        if not np.isfinite(self.bounds).all():
            raise ValueError(
                f"The {plausible} quantile of the log-densities of {len(densities)} "
                f"events is {self.bounds[0]}: {asked.model.name} gives many of them no "
                "probability. Give a larger plausible, or a reference inside of its "
                "support."
            )

    def measure(self) -> None:
        """Evaluates the functions at the samples: their shapes, and their units.

        Raises:
          ValueError: if one gives another shape than `[N]`, or not finite numbers.
        """
        values = []
        for function, title in zip(self.functions, self.titles, strict=True):
            value = self._call(function, self.samples)
            _check_value(value, len(self.samples), title)
            values.append(value.numpy())
        self.scales = np.array([*map(_scale, values), *self._density_scales])

    @property
    def titles(self) -> list[str]:
        """What messages call the objective and the constraints."""
        names = [getattr(f, "__name__", type(f).__name__) for f in self.functions]
        places = ["the objective", *(f"constraint {i}" for i in range(len(names)))]
        return [f"{p} ({n})" for p, n in zip(places, names, strict=False)]

    def judge(self, x: tf.Tensor) -> Judged:
        """Returns what events are worth, also in a graph.

        Args:
          x: `[N, *event_shape]`.
        """
        short = tf.constant(self.bounds, self.dtype) - self.densities(x)
        objective, *values = (self._call(f, x) for f in self.functions)
        scales = tf.constant(self.scales, self.dtype)
        excess = tf.stack([*values, *tf.unstack(short, axis=-1)], axis=-1) / scales[1:]
        violation = tf.reduce_sum(tf.maximum(excess, 0.0), axis=-1)
        return Judged(objective / scales[0], excess, violation)

    def values(self, x: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Returns the objective `[N]` and the constraints `[N, constraints]`.

        Args:
          x: `[N, *event_shape]`.
        """
        objective, *values = (self._call(f, x).numpy() for f in self.functions)
        return objective, np.reshape(values, [len(values), len(x)]).T

    def _call(self, function, x):
        if not self.in_numpy:
            return tf.cast(tf.convert_to_tensor(function(x)), self.dtype)
        kind = self.dtype.as_numpy_dtype

        def called(x):
            return np.asarray(function(x), kind)

        if tf.executing_eagerly():  # errors are then the function's own
            return tf.constant(called(x.numpy()))
        value = tf.numpy_function(called, [x], self.dtype)
        return tf.ensure_shape(value, [x.shape[0]])


def _scale(values):
    """The standard deviation of what is finite; 1 for what does not vary."""
    values = np.asarray(values, np.float64)
    deviation = np.std(values[np.isfinite(values)])
    return deviation if deviation > 0 else 1.0


def _check_value(value, count, title):
    if value.shape != [count]:
        raise ValueError(
            f"For {count} events {title} gives shape {tuple(value.shape)}. It must "
            f"give one number for each, ({count},): reduce it over the event's axes."
        )
    bad = np.flatnonzero(~np.isfinite(value))
    if len(bad):
        raise ValueError(
            f"{title[0].upper()}{title[1:]} is {value[bad[0]]} at {len(bad)} of {count}"
            " samples of the model. It has to be finite wherever the model has "
            "probability; state what is not allowed as a constraint."
        )
