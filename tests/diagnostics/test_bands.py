"""Bands hold all of a curve as often as they say; p-values are uniform."""

import numpy as np
import pytest

from tfp_flows import diagnostics
from tfp_flows.diagnostics import ranks

RUNS = 1000


def values(count, num_samples, rng):
    if num_samples is None:
        return rng.random(count)
    # Of any distribution: ranks do not know it.
    data, samples = rng.standard_cauchy(count), rng.standard_cauchy(num_samples)
    return ranks.among(data, samples, seed=0)


@pytest.mark.parametrize(
    ("count", "num_samples"), [(7, None), (150, None), (150, 80), (40, 1000)]
)
def test_a_curve_of_right_values_is_outside_as_rarely_as_said(count, num_samples):
    band = diagnostics.UniformBand.of(count, num_samples, level=0.9)
    rng = np.random.default_rng(1)
    outside, small = 0, 0
    for _ in range(RUNS):
        drawn = values(count, num_samples, rng)
        share = np.mean(drawn[:, None] <= band.points, axis=0)
        outside += np.any((share < band.lower - 1e-9) | (share > band.upper + 1e-9))
        small += band.p_value(drawn) <= 0.1
    error = np.sqrt(0.1 * 0.9 / RUNS)
    # With few values the steps are coarse, and bands only narrower than they may be.
    assert outside / RUNS < 0.1 + 4 * error and small / RUNS < 0.1 + 4 * error
    if count > 20:
        assert outside / RUNS > 0.1 - 4 * error - 0.02


def test_ties_are_broken_without_a_preference():
    rng = np.random.default_rng(0)
    data, samples = rng.integers(0, 3, 2000), rng.integers(0, 3, 2000)
    found = ranks.among(data, samples, seed=1)
    assert diagnostics.UniformBand.of(2000, 2000).p_value(found) > 0.01
    untied = np.mean(samples < data[:, None], axis=1)
    assert diagnostics.UniformBand.of(2000, 2000).p_value(untied) < 0.001


@pytest.mark.parametrize(
    "arguments",
    [{"count": 0}, {"count": 5, "level": 1.0}, {"count": 5, "num_samples": 0}],
)
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="A band needs"):
        diagnostics.UniformBand.of(**arguments)
