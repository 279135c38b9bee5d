"""Expectation-maximisation for mixtures of Gaussians, from several beginnings."""

import math
from typing import NamedTuple

import numpy as np

from tfp_flows import progress

_STARTS = 8  # of k-means, which is cheap
_ROUNDS = 50  # of one k-means, at most
_TRIALS = 2  # k-means that EM goes on from
_TRIAL_ITERATIONS = 10  # before the best of these goes on alone
_MAX_ITERATIONS = 200
_TOLERANCE = 1e-4  # nats an event: EM stops when it gains less


class Mixture(NamedTuple):
    """sum_k weight_k N(mean_k, factor_k factor_k^T), K components of D units.

    Attributes:
      weight: `[K]`, sums to 1.
      mean: `[K, D]`.
      factor: `[K, D, D]`, lower triangular.
    """

    weight: np.ndarray
    mean: np.ndarray
    factor: np.ndarray


def fit(
    rows: np.ndarray,
    num_components: int,
    floor: float,
    unit: np.ndarray,
    rng: np.random.Generator,
) -> Mixture:
    """Fits a mixture by expectation-maximisation [1].

    EM climbs to the next maximum, so the beginning decides. Several k-means propose,
    each from well spread rows (k-means++) [2]; half of them measure distances in the
    data's own unit, which dimensions may share or not. From the tightest EM climbs for
    a while, and from the likeliest of these to the end.

    Args:
      rows: `[N, D]`, of about unit variance in each dimension; N >= K.
      num_components: K.
      floor: added to the variances.
      unit: `[D]`, what 1 is in the data's own unit.
      rng: of the beginnings.

    Examples:
      >>> rows, rng = np.array([[-3.0], [-2.0], [2.0], [3.0]]), np.random.default_rng(0)
      >>> print(np.sort(fit(rows, 2, 1e-6, np.ones(1), rng).mean.ravel()))
      [-2.5  2.5]

    References:
      [1] Dempster, Laird, Rubin. Maximum likelihood from incomplete data via the EM
          algorithm. JRSS B 39, 1977.
      [2] Arthur, Vassilvitskii. k-means++: The advantages of careful seeding. SODA
          2007.
    """
    trials = [
        _climb(rows, member, floor, _TRIAL_ITERATIONS)
        for measured in (rows, rows * (unit / unit.max()))
        for member in _clusters(measured, num_components, rng)
    ]
    _, responsibility, _ = max(trials, key=lambda trial: trial[0])
    return _climb(rows, responsibility, floor, _MAX_ITERATIONS)[2]


def _clusters(rows, count, rng):
    """Returns the tightest of several k-means: who belongs where, `[N, K]` each."""
    found = dict(_k_means(rows, count, rng) for _ in range(_STARTS))
    return [found[distortion] for distortion in sorted(found)[:_TRIALS]]


def _spread(rows, count, rng):
    """Draws rows far from those drawn before; of a few tries each the best (greedy)."""
    centres = rows[rng.integers(len(rows), size=1)]
    distance = _squared_distances(rows, centres)[:, 0]
    for _ in range(count - 1):
        total = distance.sum()
        share = distance / total if total > 0 else None  # all rows drawn already
        tries = rows[rng.choice(len(rows), 2 + int(math.log(count)), p=share)]
        left = np.minimum(distance[:, None], _squared_distances(rows, tries))
        best = left.sum(axis=0).argmin()
        distance, centres = left[:, best], np.concatenate([centres, tries[[best]]])
    return centres


def _k_means(rows, count, rng):
    """Returns the mean squared distance to the centres, and who belongs where."""
    centres, before = _spread(rows, count, rng), math.inf
    for _ in range(_ROUNDS):
        distances = _squared_distances(rows, centres)
        distortion = distances.min(axis=1).mean()
        member = np.eye(count)[distances.argmin(axis=1)]
        if before - distortion <= 1e-4 * distortion:
            break
        before, size = distortion, member.sum(axis=0)[:, None]
        centres = np.where(size > 0, member.T @ rows / np.maximum(size, 1), centres)
    # Rounded: two that are as tight are the same one.
    return float(f"{distortion:.6g}"), member


def _squared_distances(rows, centres):
    """`[N, K]`, without an array of N x K x D."""
    squares = (rows**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    return np.maximum(squares - 2.0 * rows @ centres.T, 0.0)


def _climb(rows, responsibility, floor, iterations):
    """Returns the mean log-likelihood, responsibilities `[N, K]` and the mixture."""
    before = -math.inf
    for _ in progress.steps(range(iterations), "fitting a mixture"):
        mixture = _maximise(rows, responsibility, floor)
        log_joint = _log_joint(rows, mixture)
        log_prob = np.logaddexp.reduce(log_joint, axis=1)
        responsibility = np.exp(log_joint - log_prob[:, None])
        if log_prob.mean() - before < _TOLERANCE:
            break
        before = log_prob.mean()
    return log_prob.mean(), responsibility, mixture


def _maximise(rows, responsibility, floor):
    count = responsibility.sum(axis=0) + 1e-12
    mean = responsibility.T @ rows / count[:, None]
    factors = []
    for k in range(len(count)):
        # With its own transpose the product takes half the time.
        centred = np.sqrt(responsibility[:, k, None] / count[k]) * (rows - mean[k])
        covariance = centred.T @ centred + floor * np.eye(rows.shape[1])
        factors.append(np.linalg.cholesky(covariance))
    return Mixture(count / count.sum(), mean, np.stack(factors))


def _log_joint(rows, mixture):
    """log(weight_k N(row; mean_k, factor_k factor_k^T)), `[N, K]`."""
    columns = []
    for weight, mean, factor in zip(*mixture, strict=True):
        # A product takes a quarter of the time of a solve for every row.
        white = (rows - mean) @ np.linalg.inv(factor).T
        log_det = np.log(np.diag(factor)).sum()
        constant = 0.5 * rows.shape[1] * math.log(2 * math.pi) + log_det
        columns.append(np.log(weight) - 0.5 * (white**2).sum(axis=1) - constant)
    return np.stack(columns, axis=1)
