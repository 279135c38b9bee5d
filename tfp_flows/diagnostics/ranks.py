"""Ranks of held-out events among samples: coverage of highest-density regions."""

import dataclasses
from typing import Any

import numpy as np

from tfp_flows.diagnostics.bands import UniformBand
from tfp_flows.diagnostics.events import Events
from tfp_flows.diagnostics.finding import Finding, shown
from tfp_flows.distributions import Model


@dataclasses.dataclass(frozen=True)
class Coverage(Finding):
    """How much of held-out data the model's highest-density regions hold.

    Args:
      content: for each held-out event the share of samples that are likelier, `[N]`:
        the content of the smallest region of high density that the event is in.
        Uniform if the model is right; small where data are likelier than samples.
      band: of the distribution function of the content.
      is_exact: False if log-densities are bounds from drawn noise.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.gaussian((1,))
      >>> found = coverage(flow, flow.sample(400, seed=1), flow.sample(400, seed=2))
      >>> 0.8 < found.at(0.9) < 1.0
      True
    """

    content: np.ndarray
    band: UniformBand
    is_exact: bool

    @property
    def p_value(self) -> float:
        """Of "the contents are uniform"."""
        return self.band.p_value(self.content)

    def at(self, level: float) -> float:
        """Returns the share of held-out events in the region of a given content.

        Args:
          level: content of the region, such as 0.9.
        """
        return float(np.mean(self.content <= level))

    def __str__(self):
        shares = ", ".join(f"{self.at(a):.2f} of {a:g}" for a in (0.5, 0.9, 0.99))
        return f"coverage {shares}; {shown(self.p_value)}"


def coverage(
    model: Model,
    held_out: Any,
    samples: Any,
    *,
    context: Any = None,
    seed: int = 0,
) -> Coverage:
    """Compares log p of held-out events with log p of samples.

    The region {log p > t} that holds 90 % of samples should hold 90 % of new data.
    It sees a model that is too wide or too narrow as a whole, and misses errors that
    leave the distribution of log p as it is.

    Args:
      model: any.
      held_out: events that it was not trained on, `[N, *event_shape]`.
      samples: of the model, `[M, *event_shape]`; of a conditional one each drawn under
        the held-out event's own context.
      context: `[N, *context_shape]` for a conditional model. Sharing contexts makes
        the test a little conservative.
      seed: of noise, and of ties: events as likely as each other.

    Raises:
      ValueError: if shapes do not fit, there are too few, or not all are finite.

    Examples:
      >>> from tfp_flows import flows
      >>> narrow, wide = flows.gaussian((1,)), 2.0 * np.random.normal(size=(400, 1))
      >>> found = coverage(narrow, wide, narrow.sample(400, seed=1))
      >>> found.at(0.9) < 0.8, found.p_value < 0.01
      (True, True)
    """
    data = Events.of(model, held_out, context)
    drawn = Events.of(model, samples, context, "samples")
    rank = among(data.log_prob((seed, 1)), drawn.log_prob((seed, 2)), seed)
    band = UniformBand.of(len(data.x), len(drawn.x))
    return Coverage(1.0 - rank, band, model.is_exact)


def among(values: np.ndarray, samples: np.ndarray, seed: int) -> np.ndarray:
    """Returns the share of samples below each value, ties broken at random.

    Args:
      values: `[N]`; -inf is below all, NaN too.
      samples: `[M]`.
      seed: of the ties.
    """
    values, samples = (np.nan_to_num(v, nan=-np.inf) for v in (values, samples))
    samples = np.sort(samples)
    less = np.searchsorted(samples, values, side="left")
    at_most = np.searchsorted(samples, values, side="right")
    chosen = np.random.default_rng(seed).integers(less, at_most, endpoint=True)
    return chosen / len(samples)
