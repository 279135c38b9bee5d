"""Simulation-based calibration: is a posterior right for what a simulator makes?"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.diagnostics.bands import UniformBand
from tfp_flows.diagnostics.events import rows_of
from tfp_flows.diagnostics.finding import Finding, shown
from tfp_flows.diagnostics.ranks import Coverage

_CHUNK = 200  # observations at once


@dataclasses.dataclass(frozen=True)
class Calibration(Finding):
    """Ranks of true parameters among draws of the posterior, and expected coverage.

    Args:
      ranks: of each parameter, in (0, 1), `[N, D]`; uniform if the posterior is right.
        Piled up at both ends: it is too narrow; in the middle: too wide; at one end:
        shifted.
      coverage: how much of the true parameters its regions of high density hold.

    Examples:
      >>> from tfp_flows import flows
      >>> posterior = flows.maf((1,), 1, (4,), context_shape=(2,))
      >>> theta = posterior.sample(50, context=np.zeros(2), seed=1)
      >>> found = sbc(posterior, theta, np.zeros([50, 2], "float32"))
      >>> found.ranks.shape, found.coverage.content.shape
      ((50, 1), (50,))
    """

    ranks: np.ndarray
    coverage: Coverage

    @property
    def band(self) -> UniformBand:
        """Of the distribution function of each parameter's ranks."""
        return self.coverage.band

    @property
    def p_values(self) -> np.ndarray:
        """Of "the ranks are uniform", for each parameter, not corrected, `[D]`."""
        return np.array([self.band.p_value(column) for column in self.ranks.T])

    @property
    def p_value(self) -> float:
        """The smallest, of ranks and coverage, times their number (Bonferroni)."""
        found = [*self.p_values, self.coverage.p_value]
        return min(1.0, len(found) * min(found))

    def __str__(self):
        worst = int(np.argmin(self.p_values))
        return (
            f"ranks of {len(self.ranks)} true parameters, unit {worst} of "
            f"{self.ranks.shape[1]} the least uniform; {self.coverage}; all together "
            f"{shown(self.p_value)}"
        )


def sbc(
    posterior: Any, theta: Any, x: Any, *, num_samples: int = 100, seed: int = 0
) -> Calibration:
    """Simulation-based calibration [1] and expected coverage of a posterior.

    Parameters drawn from the prior are as likely to have any rank among draws of the
    posterior given what was simulated from them. It is an average over the prior: a
    posterior that is the prior itself passes, but for the coverage of its densest
    regions, and one observation may be worse than the average.

    Args:
      posterior: with `given(x)`, batched as x is, which has `sample` and
        `unnormalized_log_prob`: what `tasks.posterior` returns, a conditional model, or
        your own. Draws of chains should be thinned: fewer than their effective number.
      theta: parameters of the prior that it was not trained on, `[N, *theta]`.
      x: what was simulated from them, `[N, *x]`.
      num_samples: of the posterior for each x.
      seed: of the draws, and of places between neighbouring ranks.

    Raises:
      ValueError: if shapes do not fit, there are too few, or not all are finite.

    Examples:
      >>> from tfp_flows import flows
      >>> posterior = flows.maf((1,), 1, (4,), context_shape=(2,))  # knows nothing yet
      >>> theta = np.random.default_rng(0).normal(3.0, 1.0, (50, 1)).astype("float32")
      >>> bool(sbc(posterior, theta, np.zeros([50, 2], "float32")).p_value < 0.01)
      True

    References:
      [1] Talts, Betancourt, Simpson, Vehtari, Gelman. Validating Bayesian inference
          algorithms with simulation-based calibration. 2018. arXiv:1804.06788
    """
    theta, x = rows_of(theta, "parameters"), rows_of(x, "observations")
    if len(theta) != len(x) or num_samples < 1:
        raise ValueError(
            f"sbc needs an observation for each row of parameters, and draws, got "
            f"shapes {theta.shape} and {x.shape} and num_samples={num_samples}."
        )
    less, likelier = [], []
    for start in range(0, len(x), _CHUNK):
        true = theta[start : start + _CHUNK]
        given = posterior.given(x[start : start + _CHUNK])
        drawn = given.sample(num_samples, seed=[seed, start])
        if drawn.shape[1:] != true.shape:
            raise ValueError(
                f"The posterior has draws of shape {drawn.shape[1:]} for parameters "
                f"of shape {true.shape}. Give the parameters that it is about."
            )
        less.append(np.sum(drawn < true, axis=0))
        own = given.unnormalized_log_prob(true)
        drawn = given.unnormalized_log_prob(tf.identity(drawn))
        likelier.append(np.sum(drawn > own, axis=0))
    rng, count = np.random.default_rng(seed), len(x)
    places = lambda below: (below + rng.random(below.shape)) / (num_samples + 1)  # noqa: E731
    ranks = places(np.concatenate(less).reshape(count, -1))
    content = places(np.concatenate(likelier))
    return Calibration(ranks, Coverage(content, UniformBand.of(count), True))
