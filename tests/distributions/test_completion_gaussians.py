"""Completions of Gaussians and mixtures against the textbook's formula in NumPy."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests import laws
from tfp_flows import flows
from tfp_flows.distributions import complete

MASKS = {
    "some": [[True, False, False], [True, True, False]],
    "all but one": [[True, True, True], [True, True, False]],
    "one": [[False, True, False], [False, False, False]],
    "nothing": [[False, False, False], [False, False, False]],
}


def data(count=4000, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(6, 6))
    return rng.normal(size=6) * 10 + rng.normal(size=(count, 6)) @ mixing.T


def gaussian(dtype="float64", scale=1.0, offset=0.0):
    model = flows.gaussian((2, 3), dtype=dtype)
    model.adapt((data() * scale + offset).reshape(-1, 2, 3))
    return model


def conditional(x, mask, mean, covariance):
    """Mean and covariance of the unknown units."""
    k, u = mask, ~mask
    gain = covariance[np.ix_(u, k)] @ np.linalg.pinv(covariance[np.ix_(k, k)])
    rest = covariance[np.ix_(u, u)] - gain @ covariance[np.ix_(k, u)]
    return mean[u] + gain @ (x[k] - mean[k]), rest


def assert_normal(drawn, mean, covariance):
    """Whitened by the wanted moments, each unit is a standard normal one."""
    white = np.linalg.solve(np.linalg.cholesky(covariance), (drawn - mean).T)
    for unit in white:
        assert stats.kstest(unit, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(white) - np.eye(len(white))).max() < 0.06


@pytest.mark.parametrize("name", MASKS)
def test_a_gaussian_draws_from_the_conditional_one(name):
    rows, mask = data(), np.array(MASKS[name])
    drawn = complete(gaussian(), rows[0].reshape(2, 3), mask, 4000, seed=1)
    drawn, mask = drawn.numpy().reshape(-1, 6), mask.ravel()
    np.testing.assert_array_equal(drawn[:, mask], np.tile(rows[0, mask], (4000, 1)))
    mean, covariance = rows.mean(axis=0), np.cov(rows.T, bias=True)
    wanted = conditional(rows[0], mask, mean, covariance)
    assert_normal(drawn[:, ~mask], *wanted)


def test_events_with_masks_of_their_own_are_not_mixed_up():
    rows = data()[:3].reshape(3, 2, 3)
    masks = np.stack([MASKS["some"], MASKS["one"], MASKS["some"]])
    drawn = complete(gaussian(), rows, masks, 3000, seed=2).numpy()
    mean, covariance = data().mean(axis=0), np.cov(data().T, bias=True)
    for i, mask in enumerate(masks.reshape(3, 6)):
        wanted = conditional(rows[i].ravel(), mask, mean, covariance)
        assert_normal(drawn[:, i].reshape(-1, 6)[:, ~mask], *wanted)


def test_the_unit_of_the_data_does_not_matter():
    mask = np.array(MASKS["some"])
    x = data()[0].reshape(2, 3)
    one = complete(gaussian(), x, mask, 50, seed=1).numpy()
    two = complete(gaussian(scale=1e-9), x * 1e-9, mask, 50, seed=1).numpy()
    np.testing.assert_allclose(two * 1e9, one, rtol=1e-6)
    far = complete(gaussian(offset=1e9), x + 1e9, mask, 50, seed=1).numpy()
    np.testing.assert_allclose(far - 1e9, one, atol=1e-4)


def test_a_mixture_weighs_its_components_by_what_is_known():
    rng = np.random.default_rng(0)
    parts = [
        rng.normal(size=(600, 2)) - 1.5,
        rng.normal(size=(300, 2)) @ [[1, 1], [0, 0.5]] + 1,
    ]
    model = flows.gaussian_mixture((2,), 2, dtype="float64")
    model.adapt(np.concatenate(parts))
    grid = np.linspace(-12.0, 12.0, 4001)
    for known in (-1.0, 0.3):
        drawn = complete(model, [known, 7.0], [True, False], 4000, seed=3).numpy()
        # Of one unknown unit the density itself is the conditional one, up to a factor.
        density = model.prob(np.stack([np.full(4001, known), grid], axis=1)).numpy()
        cdf = np.cumsum(density) / density.sum()
        test = stats.kstest(drawn[:, 1], lambda v, c=cdf: np.interp(v, grid, c))
        assert test.pvalue > 1e-3


def test_temperature_zero_is_the_conditional_mean_and_a_mask_of_all_is_x():
    rows, mask = data(), np.array(MASKS["some"])
    x = rows[0].reshape(2, 3)
    cold = complete(gaussian(), x, mask, 2, seed=1, temperature=0.0).numpy()
    moments = rows.mean(axis=0), np.cov(rows.T, bias=True)
    wanted, _ = conditional(rows[0], mask.ravel(), *moments)
    np.testing.assert_allclose(cold[0][~mask], wanted, rtol=1e-6)
    np.testing.assert_array_equal(cold[0], cold[1])
    same = complete(gaussian(), x, True, 3)
    np.testing.assert_array_equal(same, np.tile(x, (3, 1, 1)))


def test_a_seed_draws_the_same_in_a_function():
    model, mask = gaussian(), np.array(MASKS["some"])
    x = tf.constant(data()[:4].reshape(4, 2, 3))
    function = tf.function(lambda x: complete(model, x, mask, 5, seed=4))
    np.testing.assert_allclose(function(x), complete(model, x, mask, 5, seed=4))


@pytest.mark.parametrize("name", ["gaussian", "gaussian_mixture"])
def test_behind_a_support_conditionals_are_those_of_the_line(name):
    support = ["positive", (0, 1), "real", (None, 3.0)]
    rng = np.random.default_rng(0)
    line = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4))
    plain = flows.build(name, event_shape=(4,), dtype="float64")
    model = flows.build(name, event_shape=(4,), support=support, dtype="float64")
    x = model.support.forward(line).numpy()
    model.adapt(x)
    plain.adapt(line)
    laws.randomize(model, scale=0.2)
    laws.randomize(plain, scale=0.2)
    mask = np.array([True, False, True, False])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of chains that have not met
        found = complete(model, x[:3], mask, n=400, seed=1, temperature=0.5).numpy()
    wanted = complete(plain, line[:3], mask, n=400, seed=1, temperature=0.5)
    np.testing.assert_allclose(
        found, model.support.forward(wanted), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_array_equal(found[..., mask], np.tile(x[:3, mask], (400, 1, 1)))
    assert not model.support.beyond(found.reshape(-1, 4)).any()


def test_what_is_unknown_may_be_beyond_the_support():
    model = flows.gaussian((2,), support="positive")
    x = np.float32([[2.0, -5.0], [np.nan, 3.0]])
    mask = np.array([[True, False], [False, True]])
    drawn = complete(model, x, mask, n=2000, seed=1).numpy()
    assert (drawn > 0).all() and (drawn[:, 0, 0] == 2).all()
    # Units are independent log-normal ones.
    assert abs(np.log(drawn[:, 1, 0]).mean()) < 0.1
    assert abs(np.log(drawn[:, 1, 0]).std() - 1) < 0.1
