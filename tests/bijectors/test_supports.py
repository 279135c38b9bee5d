"""Intervals, simplexes and circles against TFP's bijectors and other judges."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

from tests import laws
from tfp_flows.bijectors import ActNorm, Intervals, OnUnits, Simplex
from tfp_flows.scalar_maps import CircularSpline

tfb, tfd = tfp.bijectors, tfp.distributions
_FAR = [0.0, 1.0, -1.0, 17.0, -17.0, 90.0, -90.0, 1e6, -1e6]


def two():
    return tf.constant(2.0, tf.float64)


@pytest.mark.parametrize(
    ("support", "judge"),
    [
        ((-2.0, 2.0), lambda: tfb.Sigmoid(-two(), two())),
        ("positive", tfb.Exp),
        ((2.0, None), lambda: tfb.Chain([tfb.Shift(two()), tfb.Exp()])),
        (
            (None, 2.0),
            lambda: tfb.Chain(
                [tfb.Shift(two()), tfb.Scale(-two() / 2), tfb.Exp()]
                + [tfb.Scale(-two() / 2)]
            ),
        ),
        (
            ("periodic", 0.0, 4.0),
            lambda: tfb.Chain([tfb.Shift(two()), tfb.Scale(two() / np.pi)]),
        ),
        ("real", tfb.Identity),
    ],
)
def test_it_is_the_map_that_tfp_has(support, judge):
    ours, judge = Intervals((1,), support, dtype="float64"), judge()
    x = tf.constant(np.linspace(-3, 3, 11)[:, None])
    y = ours.forward(x)
    np.testing.assert_allclose(y, judge.forward(x), atol=1e-12)
    found = ours.inverse_log_det_jacobian(tf.identity(y), 1)
    wanted = judge.inverse_log_det_jacobian(tf.identity(y), 1)
    np.testing.assert_allclose(found, np.broadcast_to(wanted, [11]), atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "support",
    [(0, 1), "positive", (None, 0), (1e4, 1e4 + 1), (1e-6, None), (-1e30, 1e30)]
    + [(None, -1e5), ("periodic", -np.pi, np.pi), ("periodic", 1e4, 1e4 + 1)],
)
def test_forward_stays_inside_and_inverse_is_finite_there(support, dtype):
    bijector = Intervals((1,), support, dtype=dtype)
    y = bijector.forward(np.array(_FAR)[:, None])
    assert not bijector.beyond(y).any()
    x, log_det = bijector.inverse_and_log_det(tf.identity(y))
    assert np.isfinite(x).all() and np.isfinite(log_det).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_of_any_magnitude_are_told_apart(dtype):
    bijector = Intervals((1,), "positive", dtype=dtype)
    y = np.logspace(-35, 35, 71, dtype=dtype)[:, None]
    x = bijector.inverse(tf.constant(y))
    np.testing.assert_allclose(np.diff(x[:, 0]), np.log(10.0), rtol=1e-4)
    np.testing.assert_allclose(bijector.forward(tf.identity(x)), y, rtol=1e-5)
    # As far from the upper end as from the lower one.
    bijector = Intervals((1,), (-1.0, 1.0), dtype=dtype)
    near = 2.0 ** -np.arange(1, 22, dtype=dtype)[:, None]
    low, high = bijector.inverse(near - 1), bijector.inverse(1 - near)
    np.testing.assert_allclose(low, -high, rtol=1e-6)
    np.testing.assert_allclose(bijector.forward(tf.identity(high)), 1 - near, rtol=1e-6)


def test_the_ends_of_a_circle_are_one_point_and_beyond_them_is_nothing():
    bijector = Intervals((1,), ("periodic", 0, 360), dtype="float64")
    x, log_det = bijector.inverse_and_log_det(
        tf.constant([[0.0], [360.0], [-1e-9], [361.0], [np.nan]], tf.float64)
    )
    np.testing.assert_allclose(np.cos(x[:2]), -1.0)
    np.testing.assert_array_equal(np.isneginf(log_det), [0, 0, 1, 1, 0])
    assert np.isnan(x[4])
    whole_turns = 2 * np.pi * np.array([[0.0], [1.0], [-3.0]])
    np.testing.assert_allclose(
        bijector.forward(1.0 + whole_turns)[:, 0], 180 / np.pi + 180
    )


def test_the_simplex_has_the_density_of_tfps_dirichlet():
    """Of the first entries' volume: the map of one Dirichlet's rows to another's."""
    simplex = Simplex((3,), dtype="float64")
    gammas = tfd.Gamma(np.array([2.0, 1.0, 3.0]), np.float64(1.0)).sample(5, seed=1)
    y = gammas / tf.reduce_sum(gammas, axis=-1, keepdims=True)
    x = simplex.inverse(y)
    log_det = laws.autodiff_log_det(lambda v: simplex.forward(v)[:, :2], x)
    np.testing.assert_allclose(simplex.inverse_log_det_jacobian(y, 1), -log_det)
    np.testing.assert_allclose(simplex.forward_log_det_jacobian(x, 1), log_det)
    np.testing.assert_allclose(simplex.forward(tf.identity(x)), y)
    logits = np.concatenate([x, np.zeros([5, 1])], axis=1)
    np.testing.assert_allclose(special.softmax(logits, axis=1), y)
    # Uniform rows have logits of which the density is known: 2 prod(y).
    grid = np.linspace(-15, 15, 301)
    x = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    density = 2.0 * np.exp(simplex.forward_log_det_jacobian(x, 1))
    assert abs(density.sum() * 0.1**2 - 1) < 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_simplex_never_reaches_its_border(dtype):
    simplex = Simplex((3,), dtype=dtype)
    far = np.array(_FAR, dtype)
    x = np.stack([far, far[::-1]], axis=1)
    y = simplex.forward(x)
    assert not simplex.beyond(y).any()
    assert np.isfinite(simplex.inverse_log_det_jacobian(tf.identity(y), 1)).all()
    gone = np.array([[0.5, 0.5, 0], [0.5, 0.6, 0.1], [1.5, -0.5, 0], [np.nan, 0, 1]])
    log_det = simplex.inverse_log_det_jacobian(gone.astype(dtype), 1)
    np.testing.assert_array_equal(np.isneginf(log_det[:3]), True)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_gradients_of_what_is_no_share_are_nothing_and_no_nan(jit_compile):
    wrong = [[0.0, 0.0, 0.0], [np.inf, 0.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.9]]
    y = tf.constant([*wrong, [0.2, 0.3, 0.5]])

    @tf.function(jit_compile=jit_compile)
    def gradient_of_the_last(y):
        with tf.GradientTape() as tape:
            tape.watch(y)
            x, log_det = Simplex((3,)).inverse_and_log_det(y)
            last = log_det[4] + x[4, 0]
        return log_det, tape.gradient(last, y)

    log_det, gradient = gradient_of_the_last(y)
    np.testing.assert_array_equal(log_det[:4], -np.inf)
    np.testing.assert_array_equal(gradient[:4], 0.0)
    # -sum log(y/s) + log(y[0]/s) - log(y[2]/s), s = sum y = 1
    wanted = 3.0 - 1 / np.float32([0.2, 0.3, 0.5]) + np.float32([1 / 0.2, 0, -1 / 0.5])
    np.testing.assert_allclose(gradient[4], wanted, rtol=1e-5)


def test_rows_of_shares_may_be_rounded():
    simplex, y = Simplex((3,), dtype="float64"), np.array([[0.1, 0.3, 0.6]])
    rounded = simplex.inverse_and_log_det(y * 1.0008)
    laws.assert_close(rounded, simplex.inverse_and_log_det(y), 1e-12)
    assert np.isneginf(simplex.inverse_and_log_det(y * 1.0012)[1])


def test_a_circular_spline_is_one_to_one_and_smooth_across_the_seam():
    spline, rng = CircularSpline(5), np.random.default_rng(0)
    params = [tf.constant(rng.normal(size=4)) for _ in range(spline.num_params)]
    turns = np.linspace(0, 2 * np.pi, 2001)[:-1, None] - np.pi + np.zeros(4)
    y, log_slope = spline.forward(tf.constant(turns), *params)
    assert np.abs(y).max() <= np.pi + 1e-12
    steps = np.diff(np.concatenate([y, y[:1]]), axis=0)
    assert ((steps < 0).sum(axis=0) == 1).all()  # one turn, always onwards
    np.testing.assert_allclose(steps.sum(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(np.exp(log_slope).mean(axis=0), 1.0, atol=1e-4)
    seam = np.array([[-np.pi], [np.pi], [1e-9 - np.pi], [np.pi - 1e-9]]) + np.zeros(4)
    codes, log_slopes = spline.inverse(tf.constant(seam), *params)
    circle = np.exp(1j * codes.numpy())
    np.testing.assert_allclose(circle, circle[:1] + np.zeros([4, 1]), atol=1e-7)
    np.testing.assert_allclose(log_slopes, log_slopes[:1] + np.zeros([4, 1]), atol=1e-7)
    assert np.abs(log_slopes[0]).min() > 1e-3  # not that of the tails
    x, back = spline.inverse(tf.identity(y), *params)
    np.testing.assert_allclose(np.exp(1j * x.numpy()), np.exp(1j * turns), atol=1e-9)
    np.testing.assert_allclose(back, log_slope, atol=1e-8)


@pytest.mark.parametrize("bins", [2, 7])
def test_every_param_of_a_circular_spline_gets_autodiffs_gradient(bins):
    """Against finite differences: the gradient is written out."""
    spline, rng = CircularSpline(bins), np.random.default_rng(1)
    values = rng.normal(size=[spline.num_params, 1])
    y = tf.constant(rng.uniform(-np.pi, np.pi, 200))

    def total(values):
        x, log_slope = spline.inverse(y, *tf.unstack(tf.tile(values, [1, 200])))
        return tf.reduce_sum(tf.sin(x) + log_slope)

    values = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(values)
        found = total(values)
    gradient = tape.gradient(found, values).numpy()
    step = rng.normal(size=values.shape)
    both = [float(total(values + sign * 1e-6 * step)) for sign in (1, -1)]
    np.testing.assert_allclose(
        (gradient * step).sum(), (both[0] - both[1]) / 2e-6, 1e-5
    )
    assert (np.abs(gradient).sum(axis=1) > 0).all()


def test_on_units_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"events of shape \(2,\), got 'act_norm'"):
        OnUnits(ActNorm((3,)), [True, True, False])


def test_on_units_adapts_to_its_units_alone():
    part = OnUnits(ActNorm((1,)), [False, True])
    assert not part.is_adapted
    y = np.random.default_rng(0).normal(5.0, 3.0, [100, 2]).astype(np.float32)
    part.adapt(tf.constant(y))
    x = part.inverse(y).numpy()
    np.testing.assert_array_equal(x[:, 0], y[:, 0])
    np.testing.assert_allclose([x[:, 1].mean(), x[:, 1].std()], [0, 1], atol=1e-4)
