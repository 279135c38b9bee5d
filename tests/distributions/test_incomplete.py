"""Gaussians and mixtures with missing values, against SciPy's marginals."""

import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from tests import laws
from tfp_flows import flows
from tfp_flows.distributions import complete

NAN = np.nan


def gaps(rows, share, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(rows.shape) < share, NAN, rows)


def marginal(x, weights, means, covariances):
    there = ~np.isnan(x)
    if not there.any():
        return 0.0
    densities = [
        scipy.stats.multivariate_normal.pdf(x[there], m[there], c[np.ix_(there, there)])
        for m, c in zip(means, covariances, strict=True)
    ]
    return np.log(np.dot(weights, densities))


@pytest.mark.parametrize("count", [1, 3])
def test_log_prob_is_the_marginal_of_what_is_there(count):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + [5.0, 0.0, -100.0]
    if count == 1:
        model = flows.gaussian((3,), dtype="float64")
    else:
        model = flows.gaussian_mixture((3,), count, dtype="float64")
    model.adapt(rows)
    laws.randomize(model, scale=0.3)
    if count == 1:
        mean = model.decode(np.zeros((1, 3))).numpy()
        slope = model.decode(np.eye(3)).numpy() - mean
        weights, means, covariances = [1.0], mean, [slope.T @ slope]
    else:
        log_weight, means, factor = (v.numpy() for v in model.distribution.components())
        weights, covariances = np.exp(log_weight), factor @ factor.transpose(0, 2, 1)
    x = gaps(rows[:20], 0.4)
    x[0], x[1] = NAN, rows[1]
    wanted = [marginal(row, weights, means, covariances) for row in x]
    found = model.log_prob(x.reshape(4, 5, 3)).numpy()
    np.testing.assert_allclose(found.ravel(), wanted, atol=1e-9)
    np.testing.assert_allclose(found.ravel()[1], model.log_prob(rows[1]), atol=1e-9)
    drawn = complete(model, x, ~np.isnan(x), 2, seed=1).numpy()
    assert np.isfinite(drawn).all()


def test_a_gaussian_adapts_to_the_most_likely_one():
    rng = np.random.default_rng(2)
    rows = rng.multivariate_normal([1e3, -2.0], [[4.0, 1.5], [1.5, 1.0]], 150)
    x = gaps(rows, 0.3)
    model = flows.gaussian((2,), dtype="float64")
    model.adapt(x)

    def nll(p):
        factor = np.array([[np.exp(p[2]), 0.0], [p[3], np.exp(p[4])]])
        mean, covariance = p[:2] + [1e3, 0.0], factor @ factor.T
        return -np.mean([marginal(r, [1.0], [mean], [covariance]) for r in x])

    best = scipy.optimize.minimize(nll, [0.0, -2.0, 0.5, 0.5, 0.0]).fun
    assert abs(-np.mean(model.log_prob(x)) - best) < 1e-4
    single = model.rebuild()
    single.adapt(rows)  # complete rows: as ever
    np.testing.assert_allclose(
        np.mean(single.log_prob(rows)),
        scipy.stats.multivariate_normal(rows.mean(0), np.cov(rows.T, bias=True))
        .logpdf(rows)
        .mean(),
        rtol=1e-9,
    )


def test_a_mixture_finds_its_clusters_from_rows_with_gaps():
    rng = np.random.default_rng(3)
    group = rng.integers(0, 2, 400)
    centers = np.array([[0.0, 0.0, 0.0], [6.0, -6.0, 6.0]])
    rows = centers[group] + rng.normal(size=(400, 3))
    model = flows.gaussian_mixture((3,), 2, dtype="float64")
    model.adapt(gaps(rows, 0.3))
    truth = [marginal(r, [0.5, 0.5], centers, [np.eye(3)] * 2) for r in rows]
    assert np.mean(model.log_prob(rows)) > np.mean(truth) - 0.05
    means = np.sort(model.distribution.components()[1].numpy(), axis=0)
    np.testing.assert_allclose(means, np.sort(centers, axis=0), atol=0.3)


@pytest.mark.parametrize(
    "make", [flows.gaussian, lambda shape: flows.gaussian_mixture(shape, 2)]
)
def test_a_unit_that_is_never_there_is_refused(make):
    x = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
    x[:, 1] = NAN
    with pytest.raises(ValueError, match=r"at least 2 of each unit.*the units \[1\]"):
        make((3,)).adapt(x)


@pytest.mark.parametrize("dependent", [False, True])
def test_values_without_a_density_are_refused_though_some_are_missing(dependent):
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    x[:, 1] = 2 * x[:, 0] if dependent else 2.0
    x[0, 1] = x[1, 0] = NAN
    told = warnings.catch_warnings() if dependent else pytest.warns(match="never vary")
    with told, pytest.raises(ValueError, match="full rank.*follow from others"):
        flows.gaussian((3,)).adapt(x)


def test_infinite_values_have_no_density_beside_missing_ones():
    model = flows.gaussian((2,))
    x = np.array([[np.inf, NAN], [NAN, -np.inf], [1e30, NAN]], "float32")
    np.testing.assert_array_equal(model.log_prob(x), np.full(3, -np.inf))


def test_what_is_known_to_complete_from_is_there():
    model = flows.gaussian((3,))
    x = np.array([[0.0, 1.0, 2.0], [NAN, 1.0, NAN]], "float32")
    with pytest.raises(ValueError, match=r"NaN for 1 known units, of the rows \[1\]"):
        complete(model, x, np.array([True, True, False]), seed=1)
    mask = np.array([True, True, False]) & ~np.isnan(x)
    assert np.isfinite(complete(model, x, mask, seed=1)).all()
