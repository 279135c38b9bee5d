"""Codes of right models are normal at the stated rate; of wrong ones they are not."""

import itertools

import numpy as np
import pytest
import tensorflow_probability as tfp
from scipy import stats

from tests import laws
from tfp_flows import diagnostics, flows
from tfp_flows.bijectors import ActNorm
from tfp_flows.distributions import Flow

tfd = tfp.distributions

RUNS = 150
COVARIANCE = np.array([[2.0, 1.2, 0.0], [1.2, 1.0, 0.3], [0.0, 0.3, 4.0]])


def drawn(count, seed):
    rng = np.random.default_rng(seed)
    mean = [5.0, -1.0, 0.0]
    return rng.multivariate_normal(mean, COVARIANCE, count).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    """A Gaussian fitted to data of one: right up to the error of many events."""
    model = flows.gaussian((3,))
    model.adapt(drawn(100_000, 0))
    return model


def test_a_right_model_is_doubted_as_rarely_as_asked(fitted):
    found = [
        diagnostics.latent_normality(fitted, drawn(100, seed), seed=seed)
        for seed in range(1, RUNS + 1)
    ]
    error = np.sqrt(0.1 * 0.9 / RUNS)
    for name in ("unit_p_value", "radius_p_value", "correlation_p_value"):
        rate = np.mean([getattr(one, name) <= 0.1 for one in found])
        assert abs(rate - 0.1) < 4 * error, name
    assert np.mean([one.p_value <= 0.1 for one in found]) < 0.1 + 4 * error


@pytest.mark.parametrize(
    ("change", "caught_by"),
    [
        (lambda x: 1.3 * (x - x.mean(axis=0)) + x.mean(axis=0), "radius_p_value"),
        (lambda x: x + [0.6, 0.0, 0.0], "unit_p_value"),
        # As likely in every column, and without the correlations that the model has.
        (lambda x: np.random.default_rng(0).permuted(x, axis=0), "correlation_p_value"),
    ],
    ids=["scale", "shift", "correlation"],
)
def test_a_wrong_model_is_caught(fitted, change, caught_by):
    found = diagnostics.latent_normality(fitted, change(drawn(500, 1)))
    assert getattr(found, caught_by) < 0.001 and found.p_value < 0.003


def test_correlations_are_held_against_what_independent_columns_have():
    model = flows.gaussian((40,))  # more pairs than events
    rng = np.random.default_rng(0)
    p_values = [
        diagnostics.latent_normality(
            model, rng.normal(size=(60, 40))
        ).correlation_p_value
        for _ in range(RUNS)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_integers_of_a_right_model_pass_and_of_a_wrong_one_do_not():
    model = flows.pixel_cnn((2, 3, 1), 1, 8, num_values=3)
    laws.randomize(model)
    x = model.sample(600, seed=1).numpy()
    assert diagnostics.latent_normality(model, x).p_value > 0.01
    wrong = diagnostics.latent_normality(model, 2 - x)
    assert wrong.p_value < 0.001


def test_pit_of_integers_is_between_sums_of_the_joint_probability():
    model = flows.pixel_cnn((2, 2, 1), 1, 8, num_values=2, order="reversed")
    laws.randomize(model)
    states = np.array(list(itertools.product([0, 1], repeat=4)))
    p = model.prob(states.reshape(-1, 2, 2, 1)).numpy()
    x = model.sample(50, seed=1).numpy()
    u = diagnostics.pit(model, x).reshape(50, 4)
    for event, values in zip(x.reshape(50, 4), u, strict=True):
        for unit in range(4):
            # Reversed: the units after this one are known.
            same = (states[:, unit + 1 :] == event[unit + 1 :]).all(axis=1)
            zero = p[same & (states[:, unit] == 0)].sum() / p[same].sum()
            low, high = ((0.0, zero), (zero, 1.0))[event[unit]]
            assert low - 1e-5 <= values[unit] <= high + 1e-5


def test_pit_of_a_flow_is_the_chain_of_conditional_distribution_functions(fitted):
    x = drawn(40, 3)
    u = diagnostics.pit(fitted, x)
    np.testing.assert_allclose(
        u[:, 0], stats.norm.cdf(x[:, 0], 5.0, np.sqrt(2.0)), atol=0.02
    )
    slope, rest = 1.2 / 2.0, np.sqrt(1.0 - 1.2**2 / 2.0)
    mean = -1.0 + slope * (x[:, 0] - 5.0)
    np.testing.assert_allclose(u[:, 1], stats.norm.cdf(x[:, 1], mean, rest), atol=0.02)


def test_logistic_bases_and_real_units_have_codes_too():
    nice = flows.nice((3,), 2, (8,))
    waves = flows.wavenet((4, 1), 2, 4)
    for model in (nice, waves):
        laws.randomize(model)
        x = model.sample(400, seed=1).numpy()
        assert diagnostics.latent_normality(model, x).p_value > 0.01
        assert diagnostics.latent_normality(model, 3.0 * x).p_value < 0.001


def test_pit_of_a_mixture_is_what_integrals_of_its_density_say():
    model = flows.gaussian_mixture((2,), 3)
    model.adapt(np.random.default_rng(0).standard_normal((60, 2)) @ [[1, 2], [0, 0.5]])
    laws.randomize(model)
    x = model.sample(25, seed=1).numpy()
    u = diagnostics.pit(model, x)
    scale = np.abs(x).max()
    grid = np.linspace(-6 * scale, 6 * scale, 4001)
    first, second = np.meshgrid(grid, grid[::20], indexing="ij")
    density = model.prob(np.stack([first, second], -1).astype("float32")).numpy()
    marginal = density.sum(axis=1) / density.sum()
    below = np.interp(x[:, 0], grid + grid[1] / 2 - grid[0] / 2, np.cumsum(marginal))
    np.testing.assert_allclose(u[:, 0], below, atol=0.01)
    for event, found in zip(x, u[:, 1], strict=True):
        line = np.stack([np.full_like(grid, event[0]), grid], -1)
        density = model.prob(line.astype("float32")).numpy()
        below = density[grid <= event[1]].sum() / density.sum()
        assert abs(found - below) < 0.01


def test_a_right_mixture_has_uniform_codes_and_a_wrong_one_has_not():
    model = flows.gaussian_mixture((3,), 4)
    laws.randomize(model)
    x = model.sample(400, seed=2).numpy()
    assert diagnostics.latent_normality(model, x).p_value > 0.01
    assert diagnostics.latent_normality(model, 1.5 * x).p_value < 0.001


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: Flow(
                ActNorm((2,)), tfd.Independent(tfd.Laplace([0.0, 0.0], 1.0), 1)
            ),
            "neither independent",
        ),
        (lambda: flows.any_order((2, 2, 1), filters=4, num_values=2), "no flow inside"),
        (
            lambda: flows.pixel_cnn((2, 2, 3), 1, 8, num_values=4, element="mixture"),
            "channels of a pixel",
        ),
    ],
    ids=["of another base", "any order", "joint channels"],
)
def test_models_without_such_codes_are_refused(model, message):
    model = model()
    with pytest.raises(diagnostics.DoesNotFit, match=message):
        diagnostics.latent_normality(model, model.sample(30, seed=1))
