"""Posteriors beside closed forms; and what cannot be learnt from."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import diagnostics, tasks

tfd = tfp.distributions

MAP = np.array([[1.0, 0.5], [0.0, 1.0], [0.5, -0.5]])
NOISE = 0.5
SMALL = {"num_steps": 2, "hidden_units": (32,)}
PRIOR = tfd.MultivariateNormalDiag([0.0, 1.0], [1.0, 0.5])


def linear(rng):
    """Observations MAP theta + noise, three numbers of two parameters."""
    return lambda theta: theta @ MAP.T + NOISE * rng.normal(size=(len(theta), 3))


class Exact:
    """The Gaussian posterior of the linear model, by textbook formulas."""

    def __init__(self, width=1.0):
        precision = np.diag(1.0 / PRIOR.stddev().numpy() ** 2)
        self.covariance = np.linalg.inv(precision + MAP.T @ MAP / NOISE**2)
        self.prior_part = precision @ PRIOR.mean().numpy()
        self.width = width

    def mean(self, x):
        return (self.prior_part + np.asarray(x) @ MAP / NOISE**2) @ self.covariance

    def given(self, x):
        triangle = np.linalg.cholesky(self.covariance) * self.width
        return tfd.MultivariateNormalTriL(
            self.mean(x).astype("float32"), triangle.astype("float32")
        )


@pytest.fixture(scope="module", params=["posterior", "likelihood"])
def learnt(request):
    keras.utils.set_random_seed(0)
    return tasks.posterior(
        linear(np.random.default_rng(0)),
        PRIOR,
        2000,
        method=request.param,
        recipe="maf",
        options=SMALL,
        epochs=40,
        learning_rate=3e-3,
    )


def test_the_posterior_of_a_linear_model_is_that_of_the_closed_form(learnt):
    x = np.array([[0.5, 1.0, -0.5], [-0.5, 1.5, -1.0]])
    drawn = learnt.given(x).sample(2000, seed=1).numpy()
    assert drawn.shape == (2000, 2, 2)
    exact = Exact()
    deviation = np.sqrt(np.diag(exact.covariance))
    apart = (drawn.mean(axis=0) - exact.mean(x)) / deviation
    assert np.abs(apart).max() < 0.3
    for row in range(2):
        found = np.cov(drawn[:, row].T) / np.outer(deviation, deviation)
        wanted = exact.covariance / np.outer(deviation, deviation)
        np.testing.assert_allclose(found, wanted, atol=0.3)


def test_the_learnt_density_has_the_ratios_of_the_closed_form(learnt):
    x = np.array([0.5, 1.0, -0.5], "float32")
    theta = Exact().given(x).sample(200, seed=1)
    found = learnt.given(x).unnormalized_log_prob(theta)
    apart = found - Exact().given(x).log_prob(theta)
    assert np.std(apart) < 0.3


def test_ranks_are_uniform_for_the_exact_posterior_only():
    pairs = tasks.simulate(linear(np.random.default_rng(1)), PRIOR, 500, seed=1)
    right, narrow = (
        diagnostics.sbc(Exact(width), pairs.theta, pairs.x) for width in (1.0, 0.5)
    )
    assert right.p_value > 0.01
    assert abs(right.coverage.at(0.9) - 0.9) < 0.06
    assert narrow.p_value < 0.01 and np.all(narrow.p_values < 0.01)
    assert narrow.coverage.at(0.9) < 0.7
    assert "coverage" in str(narrow)


def test_calibration_refuses_what_does_not_fit():
    theta, x = np.zeros([30, 2], "float32"), np.zeros([30, 3], "float32")
    with pytest.raises(ValueError, match="observation for each row"):
        diagnostics.sbc(Exact(), theta, x[:25])
    with pytest.raises(ValueError, match=r"draws of shape \(30, 2\)"):
        diagnostics.sbc(Exact(), theta[:, :1], x)


def test_no_mass_leaks_out_of_the_prior_through_an_embedding_of_sets():
    keras.utils.set_random_seed(0)
    prior = tfd.Independent(tfd.Uniform([-1.0, 0.0], [1.0, 3.0]), 1)
    rng = np.random.default_rng(0)

    def five_points(theta):
        return tf.constant(theta)[:, None] + 0.2 * rng.normal(size=(len(theta), 5, 2))

    def mean_of_points():
        layers = [keras.layers.Dense(8, "relu"), keras.layers.GlobalAveragePooling1D()]
        return keras.Sequential(layers)

    found = tasks.posterior(
        five_points,
        prior,
        300,
        recipe="maf",
        options={"num_steps": 1, "hidden_units": (8,)},
        embedding=mean_of_points,
        epochs=3,
    )
    x = five_points(np.array([[0.9, 2.9]], "float32"))[0]
    given = found.given(x)
    drawn = given.sample(2000, seed=1)
    assert np.isfinite(prior.log_prob(drawn)).all()
    outside = given.log_prob([[1.1, 1.0], [0.0, -0.1], [0.0, 1.0]])
    assert np.isneginf(outside[:2]).all() and np.isfinite(outside[2])
    # The density over the support integrates to 1, and a set has no order.
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 61), np.linspace(0, 3, 61)), -1)
    inside = (grid[1:, 1:] + grid[:-1, :-1]).reshape(-1, 2).astype("float32") / 2
    mass = np.mean(given.prob(inside)) * 6.0
    assert abs(mass - 1.0) < 0.05
    np.testing.assert_allclose(
        found.given(np.asarray(x)[::-1]).log_prob(drawn), given.log_prob(drawn), 1e-3
    )
    names = {v.path for v in found.model.own_layers[0].trainable_variables}
    assert len(names) == 2  # which are trained:
    assert found.model.keras_layers[0] is found.model.own_layers[0]


def broken(theta):
    x = np.array(theta)
    x[::4] = np.nan
    return x


def test_simulations_that_are_not_finite_are_counted_or_dropped():
    with pytest.raises(ValueError, match="25 of 100 simulations hold NaN"):
        tasks.posterior(broken, PRIOR, 100)
    pairs = tasks.simulate(broken, PRIOR, 100, drop_invalid=True)
    assert len(pairs.x) == len(pairs.theta) == 75 and pairs.num_dropped == 25
    np.testing.assert_array_equal(pairs.x, pairs.theta)
    nothing = lambda theta: np.full_like(theta, np.inf)  # noqa: E731
    with pytest.raises(ValueError, match="100 of 100 simulations hold"):
        tasks.simulate(nothing, PRIOR, 100, drop_invalid=True)
    with pytest.raises(ValueError, match="45 of 60 simulations are valid"):
        tasks.posterior(broken, PRIOR, 60, drop_invalid=True)


@pytest.mark.parametrize(
    ("simulator", "prior", "options", "message"),
    [
        (lambda t: t[0], PRIOR, {}, r"returned shape \(2,\)"),
        (lambda t: t[:, 0], PRIOR, {}, r"single numbers as \[N, 1\]"),
        (lambda t: t[:10], PRIOR, {}, "a row for each row"),
        (lambda t: [["a"]] * len(t), PRIOR, {}, "must return numbers"),
        (lambda t: t, tfd.Sample(tfd.Normal(0.0, np.inf), 2), {}, "improper"),
        (lambda t: t, tfd.Uniform([0.0], [np.inf]), {}, "batch shape"),
        (lambda t: t, tfd.Sample(tfd.Uniform(0.0, np.inf), 1), {}, "improper"),
        (lambda t: t, tfd.Normal(0.0, 1.0), {}, "single number"),
        (lambda t: t, tfd.Sample(tfd.Poisson(3.0), 2), {}, "are integers"),
        (lambda t: t, "normal", {}, "tfd.Distribution, got str"),
        (lambda t: t, PRIOR, {"method": "ratio"}, "got 'ratio'"),
        (lambda t: t, PRIOR, {"num_simulations": 20}, "at least 50"),
        (
            lambda t: t,
            PRIOR,
            {"method": "likelihood", "drop_invalid": True},
            "probability of being valid",
        ),
        (lambda t: t, PRIOR, {"recipe": "snpe"}, "Unknown flow"),
        (lambda t: t, PRIOR, {"options": {"num_values": 9}}, "flow of real events"),
        (lambda t: t, PRIOR, {"options": {"context_shape": (3,)}}, "Leave them out"),
        (
            lambda t: t,
            PRIOR,
            {"method": "likelihood", "options": {"num_values": 9}},
            "a bound in place",
        ),
        (
            lambda t: t,
            PRIOR,
            {"method": "likelihood", "embedding": keras.layers.Flatten},
            "conditioned on parameters",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(simulator, prior, options, message):
    with pytest.raises(ValueError, match=message):
        tasks.posterior(simulator, prior, **{"num_simulations": 100, **options})


def test_observations_have_the_shape_of_simulations(learnt):
    with pytest.raises(ValueError, match=r"simulations are of shape \(3,\)"):
        learnt.given(np.zeros([2]))
    with pytest.raises(ValueError, match="1 numbers that are not finite"):
        learnt.given([0.0, np.nan, 0.0])


def test_a_simulator_may_compute_in_place():
    def in_place(theta):
        theta *= 2.0
        return theta

    prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    found = tasks.simulate(in_place, prior, 5, seed=1)
    wanted = tasks.simulate(lambda theta: 2.0 * theta, prior, 5, seed=1)
    np.testing.assert_array_equal(found.theta, wanted.theta)
    np.testing.assert_array_equal(found.x, wanted.x)


def test_shares_with_a_dirichlet_prior_stay_shares_and_are_those_of_the_closed_form():
    prior = tfd.Dirichlet([1.0, 1.0, 1.0])

    rng = np.random.default_rng(0)

    def counts(theta):
        return rng.multinomial(20, theta / theta.sum(axis=1, keepdims=True))

    found = tasks.posterior(
        counts, prior, 2000, recipe="maf", options=SMALL, epochs=30, learning_rate=3e-3
    )
    seen = np.array([12.0, 6.0, 2.0], np.float32)
    drawn = found.given(seen).sample(4000, seed=2).numpy()
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0, atol=1e-5)
    exact = tfd.Dirichlet(1.0 + seen)
    np.testing.assert_allclose(drawn.mean(axis=0), exact.mean(), atol=0.04)
    np.testing.assert_allclose(drawn.std(axis=0), exact.stddev(), rtol=0.35)
