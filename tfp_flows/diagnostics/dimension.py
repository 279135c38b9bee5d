"""How many numbers events really have: effective dimensions of samples and data."""

import dataclasses
import math
from typing import Any

import numpy as np
from sklearn import neighbors

from tfp_flows.diagnostics.events import flat_pair, unit_of
from tfp_flows.diagnostics.finding import Finding


@dataclasses.dataclass(frozen=True)
class Dimension:
    """Two answers to how many dimensions a cloud of events has.

    Args:
      linear: (sum of variances)^2 / sum of squared variances, along the principal axes:
        how many directions carry the spread.
      local: how fast neighbourhoods fill up, by nearest and second nearest neighbours;
        NaN if there are no two different events.
      standard_error: of `local`.
    """

    linear: float
    local: float
    standard_error: float

    def __str__(self):
        error = f"{self.standard_error:.1f}"
        return f"{self.linear:.1f} linear, {self.local:.1f} (error {error}) local"


@dataclasses.dataclass(frozen=True)
class EffectiveDimension(Finding):
    """Effective dimensions of samples and of data: no test, but they should agree.

    Args:
      samples: of the model.
      held_out: of the data. A local dimension far below the number of units says that
        the data lie near a thin sheet, where densities are large for no good reason.
      num_units: of an event.

    Examples:
      >>> x = np.random.default_rng(0).normal(size=(1000, 6))
      >>> found = effective_dimension(x[:500], x[500:])
      >>> found.num_units, found.held_out.local > 4
      (6, True)
    """

    samples: Dimension
    held_out: Dimension
    num_units: int

    def __str__(self):
        return (
            f"of {self.num_units} units, data have {self.held_out}, samples "
            f"{self.samples}"
        )


def effective_dimension(
    samples: Any, held_out: Any, *, unit: Any = None
) -> EffectiveDimension:
    """Estimates effective dimensions: linear, and local by two neighbours [1].

    In d dimensions the ratio of an event's distances to its second nearest and nearest
    neighbour has the distribution function 1 - ratio^-d, so d = N / sum log ratio.
    Above about 10 dimensions local estimates are too small, the more so the fewer
    events; compare samples with as many data.

    Args:
      samples: of the model, `[M, *event_shape]`.
      held_out: events that it was not trained on, `[N, *event_shape]`.
      unit: what units are divided by, a number or `[*event_shape]`; standard deviations
        of the held-out events if None. Pixels have a unit in common: 1.0.

    Raises:
      ValueError: if shapes do not fit, there are too few, or not all are finite.

    Examples:
      >>> rng = np.random.default_rng(0)
      >>> plane = rng.normal(size=(1000, 2)) @ rng.normal(size=(2, 6))
      >>> found = effective_dimension(rng.normal(size=(1000, 6)), plane)
      >>> round(found.held_out.local), round(found.samples.local)
      (2, 5)

    References:
      [1] Facco, d'Errico, Rodriguez, Laio. Estimating the intrinsic dimension of
          datasets by a minimal neighborhood information. Scientific Reports 2017.
          arXiv:1803.06992
    """
    samples, held_out = flat_pair(samples, held_out)
    unit = unit_of(held_out, unit)
    return EffectiveDimension(
        _dimension(samples / unit), _dimension(held_out / unit), samples.shape[1]
    )


def _dimension(x):
    centred = x - x.mean(axis=0)
    # Traces of the covariance and its square: sums of variances and their squares.
    wide = centred.shape[1] > len(x)
    gram = centred @ centred.T if wide else centred.T @ centred
    squares = np.square(gram).sum()
    linear = np.trace(gram) ** 2 / squares if squares > 0 else 0.0
    apart, _ = neighbors.NearestNeighbors(n_neighbors=3).fit(x).kneighbors(x)
    first, second = apart[:, 1], apart[:, 2]
    distinct = first > 0  # copies have no neighbourhood
    logs = np.log(second[distinct] / first[distinct])
    if not logs.sum() > 0:
        return Dimension(float(linear), math.nan, math.nan)
    local = len(logs) / logs.sum()
    return Dimension(float(linear), float(local), float(local / math.sqrt(len(logs))))
