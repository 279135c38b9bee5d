"""Gaussians and their mixtures where values are missing, in closed form.

With the values k of a row that are there, and component j of mean m and covariance S,

p(x[k]) = sum_j w[j] N(x[k]; m[j, k], S[j, kk])

Nothing is filled in: expectation-maximisation takes the missing values' conditional
means and covariances, so that what climbs is the likelihood of the values that are
there [1].

References:
  [1] Ghahramani, Jordan. Supervised learning from incomplete data via an EM approach.
      NIPS 1994.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tfp_flows.distributions.expectation_maximisation import Mixture
from tfp_flows.distributions.expectation_maximisation import fit as fit_complete

_MAX_ITERATIONS = 500
_TOLERANCE = 1e-6  # nats a row: EM stops when it gains less


def check(rows: np.ndarray, owner: str) -> None:
    """Refuses rows of which nothing can be learnt, or some of whose units never are.

    Args:
      rows: `[N, D]`, NaN where missing.
      owner: for the message.

    Raises:
      ValueError: for infinite values, or a unit with less than two values.
    """
    few = np.flatnonzero((~np.isnan(rows)).sum(axis=0) < 2).tolist()
    if few or np.isinf(rows).any():
        raise ValueError(
            f"{owner} needs finite values, NaN where one is missing, and at least 2 of "
            f"each unit, got {int(np.isinf(rows).sum())} infinite ones, and fewer of "
            f"the units {few}. Drop those units, or mend the rows."
        )


def fit(
    rows: np.ndarray,
    num_components: int,
    floor: float,
    unit: np.ndarray,
    rng: np.random.Generator,
) -> Mixture:
    """Fits a mixture to the values that are there, as `expectation_maximisation.fit`.

    It begins from the mixture of rows whose missing values are at the mean.

    Args:
      rows: `[N, D]`, each unit of about mean 0 and variance 1, NaN where missing.
      num_components: K.
      floor: added to the variances.
      unit: `[D]`, what 1 is in the data's own unit.
      rng: of the beginnings.

    Examples:
      >>> rows = np.array([[1.2, 1.2], [-1.2, -1.2], [0.4, np.nan], [-0.4, np.nan]])
      >>> found = fit(rows, 1, 1e-3, np.ones(2), np.random.default_rng(0))
      >>> print((found.factor[0] @ found.factor[0].T).round(1))
      [[0.8 0.8]
       [0.8 0.8]]
    """
    rows = rows[~np.isnan(rows).all(axis=1)]
    begun = fit_complete(np.nan_to_num(rows), num_components, floor + 1e-3, unit, rng)
    mixture, before = begun, -math.inf
    for _ in range(_MAX_ITERATIONS):
        sums = _sums(rows, mixture)
        mixture = _maximised(sums, floor)
        if sums.log_prob - before < _TOLERANCE:
            break
        before = sums.log_prob
    return mixture


class _Sums(NamedTuple):
    log_prob: float  # mean over the rows
    weight: np.ndarray  # [K]
    first: np.ndarray  # [K, D], weighted sum of rows
    second: np.ndarray  # [K, D, D], of their products


def _sums(rows, mixture):
    """Expected sums over all rows, missing values and components."""
    count, size = mixture.mean.shape
    covariance = mixture.factor @ mixture.factor.transpose(0, 2, 1)
    weight, first = np.zeros(count), np.zeros((count, size))
    second, log_prob = np.zeros((count, size, size)), 0.0
    for places, there in _patterns(rows):
        x = np.where(there, rows[places], 0.0)
        log_joint = np.empty((len(x), count))
        filled = []
        for k in range(count):
            log_density, expected, left = _one(x, there, mixture.mean[k], covariance[k])
            log_joint[:, k] = np.log(mixture.weight[k]) + log_density
            filled.append((expected, left))
        total = np.logaddexp.reduce(log_joint, axis=1)
        log_prob += total.sum()
        share = np.exp(log_joint - total[:, None])
        for k, (expected, left) in enumerate(filled):
            mine = share[:, k, None]
            weight[k] += mine.sum()
            first[k] += (mine * expected).sum(axis=0)
            second[k] += (mine * expected).T @ expected + mine.sum() * left
    return _Sums(log_prob / len(rows), weight, first, second)


def _patterns(rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the places of rows with the same values missing, and which are there."""
    kinds, kind_of_row = np.unique(~np.isnan(rows), axis=0, return_inverse=True)
    for i, there in enumerate(kinds):
        yield np.flatnonzero(kind_of_row.ravel() == i), there


def _one(x, there, mean, covariance):
    """Log density of what is there, the expected rows, and the covariance left."""
    inner = covariance[np.ix_(there, there)]
    centred = x[:, there] - mean[there]
    factor = np.linalg.cholesky(inner)
    white = np.linalg.solve(factor, centred.T)
    log_det = np.log(np.diag(factor)).sum()
    log_density = -0.5 * (white**2).sum(axis=0) - log_det
    log_density -= 0.5 * there.sum() * math.log(2 * math.pi)
    expected, left = x.copy(), np.zeros_like(covariance)
    gone = ~there
    if gone.any():
        slope = np.linalg.solve(factor, covariance[np.ix_(there, gone)])
        expected[:, gone] = mean[gone] + white.T @ slope
        left[np.ix_(gone, gone)] = covariance[np.ix_(gone, gone)] - slope.T @ slope
    return log_density, expected, left


def _maximised(sums, floor):
    weight = sums.weight + 1e-12
    mean = sums.first / weight[:, None]
    covariance = sums.second / weight[:, None, None]
    covariance = covariance - mean[:, :, None] * mean[:, None]
    covariance = covariance + floor * np.eye(mean.shape[1])
    return Mixture(weight / weight.sum(), mean, np.linalg.cholesky(covariance))


def log_prob(rows: np.ndarray, mixture: Mixture) -> np.ndarray:
    """Returns log p of the values that are there, `[N]`; 0 of a row with none.

    Args:
      rows: `[N, D]`, NaN where missing.
      mixture: of Gaussians, in the unit of the rows.

    Examples:
      >>> mixture = Mixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
      >>> print(log_prob(np.array([[0.0, np.nan], [np.nan, np.nan]]), mixture).round(3))
      [-0.919  0.   ]
    """
    covariance = mixture.factor @ mixture.factor.transpose(0, 2, 1)
    found = np.empty(len(rows))
    for places, there in _patterns(rows):
        x = np.where(there, rows[places], 0.0)
        each = [
            np.log(weight) + _one(x, there, mean, inner)[0]
            for weight, mean, inner in zip(
                mixture.weight, mixture.mean, covariance, strict=True
            )
        ]
        found[places] = np.logaddexp.reduce(each, axis=0)
    return found
