"""What float32 costs: errors of inverses, log-dets and densities."""

import dataclasses
import json
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows import flows
from tfp_flows.diagnostics.events import Events
from tfp_flows.diagnostics.finding import DoesNotFit, Finding
from tfp_flows.distributions import Model

# Larger errors would be seen: in samples, and in a third digit of log p.
_WORST_X = 0.01  # standard deviations of the unit that varies most
_WORST_NATS = 0.1


@dataclasses.dataclass(frozen=True)
class Invertibility(Finding):
    """How well a flow's two directions agree; NaN counts as infinitely wrong.

    Args:
      x: largest error of each event after encode and decode, `[N]`, in standard
        deviations of the unit of the events that varies most.
      log_det: difference of the two directions' log-dets there, `[N]`, in nats.
      z: largest error of codes from the base after decode and encode, `[N]`.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.real_nvp((2,), 2, (8,))
      >>> bool(invertibility(flow, flow.sample(100, seed=1)).x.max() < 1e-4)
      True
    """

    x: np.ndarray
    log_det: np.ndarray
    z: np.ndarray

    @property
    def is_sound(self) -> bool:
        """Whether 99 % of events come back within 0.01 deviations and 0.1 nats."""
        far, nats = (
            np.quantile(v, 0.99, method="higher") for v in (self.x, self.log_det)
        )
        return bool(far < _WORST_X and nats < _WORST_NATS)

    def __str__(self):
        return (
            f"x comes back within {np.median(self.x):.1g} standard deviations (worst "
            f"{np.max(self.x):.1g}), z within {np.median(self.z):.1g} (worst "
            f"{np.max(self.z):.1g}); log-dets differ by "
            f"{np.median(self.log_det):.1g} nats (worst {np.max(self.log_det):.1g})"
        )


@dataclasses.dataclass(frozen=True)
class Precision(Finding):
    """What log p(x) loses by its dtype.

    Args:
      nats: difference of log p(x) from that in float64, `[N]`; infinite if it is not
        a number.
      dtype: of the model.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.real_nvp((2,), 2, (8,))
      >>> "float64" in str(precision(flow, flow.sample(100, seed=1)))
      True
    """

    nats: np.ndarray
    dtype: str

    @property
    def is_sound(self) -> bool:
        """Whether 99 % of events are right to 0.1 nats."""
        return bool(np.quantile(self.nats, 0.99, method="higher") < _WORST_NATS)

    def __str__(self):
        return (
            f"log p in {self.dtype} is off by {np.median(self.nats):.1g} nats (worst "
            f"{np.max(self.nats):.1g}) from float64"
        )


def invertibility(
    model: Model, held_out: Any, *, context: Any = None, seed: int = 0
) -> Invertibility:
    """Encodes and decodes events, and codes, and compares both log-dets.

    A density is one only as far as decode inverts encode, and the log-det of one is
    minus that of the other. Integers are taken at the middles of their cells.

    Args:
      model: with a flow inside.
      held_out: events, `[N, *event_shape]`.
      context: `[N, *context_shape]` for a conditional model.
      seed: of the codes.

    Raises:
      ValueError: if there is no flow inside, or the events do not fit.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.real_nvp((2,), 2, (8,))
      >>> invertibility(flow, flow.sample(100, seed=1)).is_sound
      True
    """
    events = Events.of(model, held_out, context).real(None)
    flow = events.model

    def there_and_back(x, given, start):
        z, log_det = flow.encode_and_log_det(x, **given)
        back, other = flow.decode_and_log_det(z, **given)
        return _largest(back - x), tf.abs(log_det + other)

    def back_and_there(x, given, start):
        z = flow.distribution.sample(len(x), seed=(seed, start))
        again = flow.encode(flow.decode(z, **given), **given)
        return _largest(again - z)

    apart, log_det = events.each(there_and_back)
    spread = float(np.max(events.x.std(axis=0))) or 1.0
    apart, log_det, z = (
        np.nan_to_num(v.astype(np.float64), nan=np.inf)
        for v in (apart / spread, log_det, events.each(back_and_there))
    )
    return Invertibility(apart, log_det, z)


def precision(
    model: Model, held_out: Any, *, context: Any = None, seed: int = 0
) -> Precision:
    """Compares log p(x) with that of the same weights in float64.

    Args:
      model: from a recipe that JSON can hold (`model.recipe`), in float32.
      held_out: events, `[N, *event_shape]`.
      context: `[N, *context_shape]` for a conditional model.
      seed: of the noise of integers, the same for both.

    Raises:
      ValueError: if the model cannot be built again in float64.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.real_nvp((2,), 2, (8,))
      >>> precision(flow, flow.sample(100, seed=1)).is_sound
      True
    """
    events = Events.of(model, held_out, context)
    if model.flow is None and not model.is_exact:
        raise DoesNotFit(
            f"{model.name} draws what its bound needs, other numbers in float64."
        )
    exact = in_float64(model)
    if model.flow is None:
        both = [Events.of(m, events.x, context).log_prob(0) for m in (model, exact)]
    else:
        real = events.real((seed, 0))
        both = [
            Events.of(m, real.x, context).log_prob(0) for m in (real.model, exact.flow)
        ]
    with np.errstate(invalid="ignore"):
        away = np.abs(both[0] - both[1])
    away[both[0] == both[1]] = 0.0  # also where both are -inf
    return Precision(np.nan_to_num(away, nan=np.inf), model.real_dtype.name)


def in_float64(model: Model) -> Model:
    """Returns a copy of a model that computes in float64.

    Args:
      model: from a recipe.

    Raises:
      ValueError: if there is no recipe, or it has no float64.
    """
    if model.recipe is None or model.real_dtype == tf.float64:
        raise DoesNotFit(
            f"{model.name} in {model.real_dtype.name} has no float64 to be held "
            "against. precision needs a float32 model from a recipe, built with "
            "options that JSON can hold."
        )
    options = json.loads(json.dumps(model.recipe.options))
    options.pop("network_dtype", None)
    copy = flows.build(model.recipe.name, **{**options, "dtype": "float64"})
    for mine, theirs in zip(copy.raw_variables, model.raw_variables, strict=True):
        mine.assign(tf.cast(theirs, mine.dtype))
    return copy


def _largest(errors):
    return tf.reduce_max(tf.abs(errors), axis=list(range(1, errors.shape.rank)))
