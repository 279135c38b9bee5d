"""Optima against closed forms and enumeration, and what is refused."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests import laws
from tfp_flows import flows, tasks
from tfp_flows.distributions import Autoregressive, elements
from tfp_flows.networks import MADE

COST = np.array([1.0, 0.5, -0.2])
NORMAL = np.array([0.3, 1.0, 0.1])  # of a plane


def along(direction):
    weights = tf.constant(direction, tf.float32)
    return lambda x: tf.linalg.matvec(x, weights)


class Ellipsoid:
    """The region where a Gaussian's log-density is above a quantile of the data's."""

    def __init__(self, plausible):
        rng = np.random.default_rng(0)
        factor = rng.normal(size=(3, 3)) * np.array([[1.0], [3.0], [10.0]])
        data = [1.0, -2.0, 30.0] + rng.normal(size=(2000, 3)) @ factor.T
        self.data = data.astype(np.float32)
        rows = self.data.astype(np.float64)
        self.mean = rows.mean(axis=0)
        self.covariance = np.cov(rows.T, bias=True)
        density = scipy.stats.multivariate_normal(self.mean, self.covariance)
        bound = np.quantile(density.logpdf(rows), plausible)
        self.radius = np.sqrt(2.0 * (density.logpdf(self.mean) - bound))
        self.flow = flows.gaussian((3,))
        self.flow.adapt(self.data)

    def best(self, cost):
        """max c x = c mean + r |c|, with |c|^2 = c Sigma c."""
        return cost @ self.mean + self.radius * np.sqrt(cost @ self.covariance @ cost)

    def best_under(self, cost, normal, level):
        """The same under normal x = level: the ellipsoid's slice is an ellipsoid."""
        spread = normal @ self.covariance @ normal
        gap = level - normal @ self.mean
        gain = self.covariance @ normal / spread
        left = self.covariance - spread * np.outer(gain, gain)
        radius = np.sqrt(self.radius**2 - gap**2 / spread)
        centre = cost @ (self.mean + gain * gap)
        return centre + radius * np.sqrt(cost @ left @ cost)


@pytest.fixture(scope="module")
def ellipsoid():
    return Ellipsoid(plausible=0.1)


@pytest.fixture(scope="module")
def grid():
    """A model of 2 x 4 pixels of 3 values, all its events and their log-probability."""
    model = flows.pixel_cnn((2, 4, 1), 1, 8, num_values=3)
    laws.randomize(model)
    events = np.array(list(itertools.product(range(3), repeat=8)), np.int32)
    events = events.reshape(-1, 2, 4, 1)
    return model, events, model.log_prob(events).numpy()


def test_a_linear_objective_on_a_gaussian(ellipsoid):
    found = tasks.optimize(
        ellipsoid.flow, along(COST), plausible=0.1, n=4, reference=ellipsoid.data
    )
    unit = np.sqrt(COST @ ellipsoid.covariance @ COST)
    assert found.feasible.all()
    best = ellipsoid.best(COST)
    np.testing.assert_allclose(found.objective / unit, best / unit, atol=2e-3)
    np.testing.assert_allclose(found.x @ COST, found.objective, rtol=1e-4)
    np.testing.assert_allclose(found.quantile, 0.1, atol=2e-3)
    assert (np.diff(found.objective) <= 0).all()


def test_a_linear_constraint_that_binds(ellipsoid):
    level = NORMAL @ ellipsoid.mean - 1.5 * np.sqrt(
        NORMAL @ ellipsoid.covariance @ NORMAL
    )
    best = ellipsoid.best_under(COST, NORMAL, level)
    unit = np.sqrt(COST @ ellipsoid.covariance @ COST)
    assert best < ellipsoid.best(COST) - 0.05 * unit  # it does bind
    found = tasks.optimize(
        ellipsoid.flow,
        along(COST),
        [lambda x: along(NORMAL)(x) - level],
        plausible=0.1,
        n=4,
        reference=ellipsoid.data,
    )
    np.testing.assert_allclose(found.objective / unit, best / unit, atol=5e-3)
    assert found.feasible.all() and (found.x @ NORMAL <= level + 1e-4).all()
    assert not found.violation.any()


def test_a_black_box_on_a_gaussian_by_evolution(ellipsoid):
    seen = []

    def black_box(x):
        seen.append(type(x))
        return [float(row @ COST) for row in x]

    found = tasks.optimize(
        *(ellipsoid.flow, black_box, (), 0.1, 3),
        num_steps=150,
        reference=ellipsoid.data,
    )
    unit = np.sqrt(COST @ ellipsoid.covariance @ COST)
    best = ellipsoid.best(COST)
    np.testing.assert_allclose(found.objective / unit, best / unit, atol=1e-2)
    assert np.ndarray in seen


def test_integers_against_enumeration(grid):
    model, events, log_prob = grid
    worth = np.random.default_rng(3).normal(size=8).astype(np.float32)

    def objective(x):
        return x.reshape(len(x), -1) @ worth

    def short(x):
        return x.reshape(len(x), -1).sum(axis=1) - 5

    found = tasks.optimize(model, objective, [short], plausible=0.6, n=3, num_steps=200)
    bound = np.quantile(
        model.log_prob(model.sample(20000, seed=9)), [0.57, 0.63]
    )  # of other samples: the bound lies between these
    values = objective(events.astype(np.float32))
    best = [values[(short(events) <= 0) & (log_prob >= b)].max() for b in bound]
    assert found.x.dtype == np.int32 and found.feasible.all()
    assert best[1] - 1e-5 <= found.objective[0] <= best[0] + 1e-5
    assert short(found.x)[0] <= 0
    assert best[0] < values.max() - 0.1  # without bounds there are better ones


def test_integers_of_a_flow_by_gradient_and_without():
    model = flows.gaussian((2,), num_values=9)
    rng = np.random.default_rng(0)
    data = np.clip(np.rint(rng.normal(4.0, 1.2, size=(500, 2))), 0, 8)
    model.adapt(data.astype(np.int32))
    objective = along([1.0, 0.9])
    found = [
        tasks.optimize(
            model, objective, plausible=0.2, n=4, gradient=gradient, num_steps=150
        )
        for gradient in (True, False)
    ]
    # All 81 events, under the mean of many draws of noise.
    events = np.array(list(itertools.product(range(9), repeat=2)), np.int32)
    log_prob = tf.function(lambda x, seed: model.log_prob(x, seed=seed))
    draws = [log_prob(events, tf.constant([s, 0])) for s in range(200)]
    samples = model.sample(1000, seed=5)
    of_samples = np.mean(
        [log_prob(samples, tf.constant([s, 0])) for s in range(50)], axis=0
    )
    likely = np.mean(draws, axis=0) >= np.quantile(of_samples, 0.2)
    best = (events @ [1.0, 0.9])[likely].max()
    for result in found:
        assert result.x.dtype == np.int32
        assert abs(result.objective[0] - best) <= 1.0  # noise moves the bound
    np.testing.assert_allclose(*(result.objective[0] for result in found), atol=0.2)


@pytest.mark.parametrize("gradient", [True, False])
def test_equal_seeds_give_equal_events(ellipsoid, gradient):
    first, again = (
        tasks.optimize(
            *(ellipsoid.flow, along(COST), (), 0.1, 2),
            gradient=gradient,
            num_steps=5,
            seed=1,
        ).x
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)


def test_a_conditional_model_is_asked_under_one_context():
    model = flows.real_nvp((2,), 2, (8,), context_shape=(1,))
    ask = {"objective": along([1.0, 0.0]), "n": 2, "num_steps": 30}
    found = tasks.optimize(model.given([1.0]), **ask)
    log_prob = model.log_prob(found.x, context=[1.0])
    np.testing.assert_allclose(found.log_prob, log_prob, rtol=1e-4)
    with pytest.raises(ValueError, match="conditional and got no context"):
        tasks.optimize(model, **ask)
    with pytest.raises(ValueError, match="under one context: pass it alone"):
        tasks.optimize(model, context=[[1.0], [2.0]], **ask)


def test_real_numbers_without_a_latent_space():
    element = elements.NormalMixture(2)
    network = MADE((2,), element.num_params, hidden_units=(4,))
    model = Autoregressive(network, element)
    # At first independent units of one density: the best x[0] + x[1] is where both
    # are equal, by symmetry, and half the bound each.
    found = tasks.optimize(model, sum_of, plausible=0.3, n=4, num_steps=300)
    line = np.linspace(0.0, 5.0, 5001).astype(np.float32)
    pairs = model.log_prob(np.stack([line, line], axis=-1)).numpy()
    best = 2.0 * line[pairs >= found.log_prob.min()].max()
    assert model.flow is None and found.feasible.all()
    np.testing.assert_allclose(found.objective[0], best, atol=0.02)


def test_a_bound_that_depends_on_noise():
    model = flows.reversible((2,), 1, (4,))
    found = tasks.optimize(model, sum_of, plausible=0.3, n=2, num_steps=60)
    assert not model.is_exact and model.flow is None
    assert found.feasible.any() and np.isfinite(found.log_prob).all()


def sum_of(x):
    return tf.reduce_sum(x, axis=-1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 0}, "n of at least 1, got 0"),
        ({"num_steps": 0}, "num_steps of at least 1"),
        ({"n": 2.5}, "n of at least 1, got 2.5. Give an integer"),
        ({"rate": 0.0}, "rate above 0"),
        ({"rate": "fast"}, "rate above 0, got 'fast'"),
        ({"plausible": None}, r"quantile in \[0, 1\), got None"),
        ({"objective": 3}, "needs functions of events .*, got 3"),
        ({"constraints": [None]}, "needs functions of events .*, got None"),
        ({"model": object()}, "needs a model of this library, got object"),
        ({"plausible": 1.0}, r"quantile in \[0, 1\), got 1.0"),
        ({"plausible": -0.1}, r"quantile in \[0, 1\)"),
        ({"plausible": np.nan}, r"quantile in \[0, 1\)"),
        ({"context": [1.0]}, "takes no context"),
        ({"reference": np.zeros([5, 2])}, "wants reference events of shape"),
        ({"objective": lambda x: x}, r"gives shape \(1000, 3\)"),
        ({"objective": lambda x: sum_of(x)[:, None]}, "one number for each"),
        ({"objective": lambda x: tf.math.log(sum_of(x) * 0 - 1)}, "is nan at 1000"),
        ({"constraints": [sum_of, lambda x: x]}, r"constraint 1 \(<lambda>\) gives"),
        (
            {"objective": lambda x: np.sum(x, -1), "gradient": True},
            "the objective .* is no TensorFlow function",
        ),
        (
            {"objective": lambda x: tf.round(sum_of(x)), "gradient": True},
            "the objective .* has none",
        ),
        (
            {"constraints": [lambda x: 0 * sum_of(x) + 0.25]},
            r"No start ends feasible: the nearest violates constraint 0 .* by 0.25",
        ),
        (
            {"constraints": [lambda x: 1e5 - sum_of(x), lambda x: 0.0 * sum_of(x)]},
            r"violates (constraint 0|the bound on the density of the (event|code))",
        ),
    ],
)
def test_what_is_refused(ellipsoid, change, message):
    with pytest.raises(ValueError, match=message):
        given = {"model": ellipsoid.flow, "objective": sum_of, "num_steps": 30, "n": 2}
        tasks.optimize(**{**given, **change})


def test_integers_without_a_code_have_no_gradient(grid):
    with pytest.raises(ValueError, match="has integers without a code"):
        tasks.optimize(grid[0], lambda x: tf.reduce_sum(x, [1, 2, 3]), gradient=True)


def test_starts_that_fail_are_told(ellipsoid):
    # One start in two is beyond what a single short round can mend.
    level = np.quantile(ellipsoid.data @ COST, 0.999)
    found = tasks.optimize(
        *(ellipsoid.flow, along(-COST), [lambda x: level - along(COST)(x)]),
        *(0.0, 16),
        num_steps=1,
        rate=1e-6,
    )
    assert found.feasible.any() and not found.feasible.all()
    assert (found.violation[~found.feasible] > 0).all()
    assert (np.diff(found.feasible.astype(int)) <= 0).all()
