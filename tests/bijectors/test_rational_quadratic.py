"""Splines: TFP's agrees, float32 inverts, tails meet, gradients are right."""

import functools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import strategies as st

from tfp_flows.bijectors import SplineCoupling
from tfp_flows.networks import MLP, masks
from tfp_flows.scalar_maps import RationalQuadratic


def params_of(spline, shape, dtype="float64", scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    values = scale * rng.standard_normal((spline.num_params, *shape))
    return list(tf.constant(values, dtype))


def edges(low, high, dtype):
    """0, +-bound and its neighbours on both sides, and far out."""
    low, high = np.array([low, high], dtype)
    ends = [np.nextafter(b, b + s, dtype=dtype) for b in (low, high) for s in (-1, 1)]
    return np.array([0.0, low, high, *ends, -1e6, 1e6], dtype)


def tfps_spline(params, num_bins, bound, min_bin, min_derivative):
    """The same knots and slopes, by the formulas of the docstring, in TFP's class."""
    raw = np.moveaxis(np.array(params), 0, -1)

    def sizes(raw):
        share = np.exp(raw) / np.exp(raw).sum(-1, keepdims=True)
        even = 2 * bound / num_bins
        return even * min_bin + 2 * bound * (1 - min_bin) * share

    limit = -np.log(min_derivative)
    return tfp.bijectors.RationalQuadraticSpline(
        sizes(raw[..., :num_bins]),
        sizes(raw[..., num_bins : 2 * num_bins]),
        np.exp(limit * np.tanh(raw[..., 2 * num_bins :] / limit)),
        range_min=-bound,
    )


@pytest.mark.parametrize("num_bins", [2, 3, 8])
def test_tfps_spline_with_the_same_knots_agrees(num_bins):
    spline = RationalQuadratic(num_bins, 3.0, min_bin=0.2, min_derivative=0.05)
    params = params_of(spline, (200,))
    judge = tfps_spline(params, num_bins, 3.0, 0.2, 0.05)
    y = tf.random.uniform([200], -4.0, 4.0, dtype=tf.float64)
    x, log_slope = spline.inverse(y, *params)
    np.testing.assert_allclose(x, judge.forward(y), atol=1e-10)
    np.testing.assert_allclose(
        -log_slope, judge.forward_log_det_jacobian(y, 0), atol=1e-8
    )
    back, log_slope = spline.forward(y, *params)
    np.testing.assert_allclose(back, judge.inverse(y), atol=1e-9)
    np.testing.assert_allclose(
        log_slope, judge.inverse_log_det_jacobian(y, 0), atol=1e-7
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_float32_inverts_a_million_inputs(jit_compile):
    spline = RationalQuadratic()
    params = params_of(spline, (10**6,), "float32")
    value = tf.random.uniform([10**6], -4.2, 4.2)
    forward, inverse = (
        tf.function(f, jit_compile=jit_compile)
        for f in (spline.forward, spline.inverse)
    )
    for there, back in ((inverse, forward), (forward, inverse)):
        again = back(there(value, *params)[0], *params)[0]
        assert np.abs(again - value).max() < 1e-4


def round_trip_errors(spline, value, params):
    """|y -> x -> y| and |x -> y -> x| of each unit."""
    ways = ((spline.inverse, spline.forward), (spline.forward, spline.inverse))
    return [
        np.abs(back(there(value, *params)[0], *params)[0] - value)
        for there, back in ways
    ]


@pytest.mark.parametrize("scale", [1.0, 3.0, 1e3])
def test_float32_inverts_whatever_the_network_says(scale):
    spline = RationalQuadratic()
    params = params_of(spline, (10**5,), "float32", scale)
    value = tf.random.uniform([10**5], -4.2, 4.2)
    by_data, by_latent = round_trip_errors(spline, value, params)
    assert by_data.max() < (1e-4 if scale == 1.0 else 2e-3)
    assert by_latent.max() < 2e-5
    for function in (spline.inverse, spline.forward):
        _, log_slope = function(value, *params)
        assert -np.log(50) < log_slope.numpy().min()
        assert log_slope.numpy().max() < -np.log(2.7e-4)


@pytest.mark.parametrize("direction", [0, 1], ids=["data", "latent"])
def test_no_params_are_found_that_float32_inverts_worse(direction):
    """A search that goes on from the worst it has found."""
    spline, size, rng = RationalQuadratic(), 20000, np.random.default_rng(0)
    columns = 100.0 * rng.standard_normal((spline.num_params, size))
    value = rng.uniform(-4, 4, size)

    def errors(columns, value):
        params = list(tf.constant(columns, tf.float32))
        return round_trip_errors(spline, tf.constant(value, tf.float32), params)

    for _ in range(10):
        found = errors(columns, value)[direction]
        worst = np.repeat(np.argsort(-found)[: size // 20], 20)
        step = rng.choice([0.0, 0.01, 0.1, 1.0, 10.0], columns.shape)
        columns = columns[:, worst] + step * rng.standard_normal(columns.shape)
        value = value[worst] + rng.choice([0.0, 1e-6, 1e-3], size)
    assert found.max() < (2e-3, 2e-5)[direction]


def test_the_slopes_stay_within_the_bounds_that_are_stated():
    """The formula of the paper on a grid of all that a bin can be, in NumPy."""
    narrow, wide = 0.25 / 8, 0.75 + 0.25 / 8
    s = np.geomspace(narrow / wide, wide / narrow, 61)[:, None, None, None]
    d0 = np.geomspace(0.1, 10.0, 31)[:, None, None]
    d1, t = np.geomspace(0.1, 10.0, 31)[:, None], np.linspace(0, 1, 201)
    q = s + (d0 + d1 - 2 * s) * t * (1 - t)
    slope = s**2 * (d1 * t**2 + 2 * s * t * (1 - t) + d0 * (1 - t) ** 2) / q**2
    assert 2.7e-4 < slope.min() < 2.9e-4
    assert 49 < slope.max() < 50


OPTIONS = {
    "defaults": (8, 4.0, 0.25, 0.1),
    "small bins": (8, 4.0, 8e-3, 1e-3),
    "flat": (8, 4.0, 0.25, 1e-3),
    "extreme": (8, 4.0, 1e-6, 1e-6),
    "two": (2, 1e-3, 1e-6, 1e-6),
    "many": (64, 1e3, 1e-6, 1e-6),
    "even": (16, 1e-6, 0.999, 0.999),
    "wide": (3, 1e6, 1e-6, 0.9),
}


def around_knots(spline, params, direction, dtype):
    """An inner knot of each unit, and the numbers just below and above it."""
    first = 0 if direction == "inverse" else spline._num_bins
    raw = np.array(params, np.float64)[first : first + spline._num_bins]
    exps = np.exp(np.clip(raw, -20, 20))
    sizes = spline._smallest + spline._shared * exps / exps.sum(0)
    knots = (np.cumsum(sizes, axis=0) - spline._bound).astype(dtype)
    size = raw.shape[1]
    knot = knots[np.arange(size) % (spline._num_bins - 1), np.arange(size)]
    ends = [np.array(s * np.inf, dtype) for s in (-1, 1)]
    below, above = (np.nextafter(knot, end) for end in ends)
    return [below, knot, above, np.nextafter(above, ends[1])]


@pytest.mark.parametrize(
    ("name", "dtype", "jit_compile"),
    [
        *((name, dtype, False) for name in OPTIONS for dtype in ("float32", "float64")),
        ("small bins", "float32", True),
    ],
)
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_finite_values_and_gradients_around_every_knot(
    name, direction, dtype, jit_compile
):
    spline = RationalQuadratic(*OPTIONS[name])

    def run(value, params):
        with tf.GradientTape() as tape:
            tape.watch([value, params])
            result, log_slope = getattr(spline, direction)(value, *params)
            total = tf.reduce_sum(result) + tf.reduce_sum(log_slope)
        return result, log_slope, *tape.gradient(total, [value, params])

    run = tf.function(run, jit_compile=True) if jit_compile else run
    size = 20000 if spline.num_params < 60 else 1000
    for scale in (3.0, 1e4):
        params = params_of(spline, (size,), dtype, scale)
        for value in around_knots(spline, params, direction, dtype):
            result, *others = run(tf.constant(value), params)
            assert np.abs(result).max() <= spline._bound * (1 + 1e-6)
            for tensor in tf.nest.flatten(others):
                assert np.isfinite(tensor).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_finite_values_and_gradients_at_the_edges_and_far_out(dtype, scale):
    spline = RationalQuadratic(bound=4.0)
    value = tf.constant(edges(-4.0, 4.0, dtype))
    assert len(set(value.numpy())) == 9
    params = params_of(spline, value.shape, dtype, scale)
    for function in (spline.forward, spline.inverse):
        with tf.GradientTape() as tape:
            tape.watch([value, params])
            result, log_slope = function(value, *params)
            total = tf.reduce_sum(result) + tf.reduce_sum(log_slope)
        gradients = tape.gradient(total, [value, *params])
        for tensor in (result, log_slope, *gradients):
            assert np.isfinite(tensor).all()
        np.testing.assert_allclose(result[-2:], [-1e6, 1e6])
        np.testing.assert_allclose(result[1:7], value[1:7], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_tails_are_the_identity_and_join_on(direction, dtype):
    """Beyond the bounds slope 1 and no gradient of the params; up to there no jump."""
    spline = RationalQuadratic(bound=4.0)
    function = getattr(spline, direction)
    outside = np.array([4.0, np.nextafter(4.0, 5.0, dtype=dtype), 5.0, 1e6], dtype)
    value = tf.constant(np.concatenate([outside, -outside]))
    params = params_of(spline, value.shape, dtype, 2.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([value, params])
        result, log_slope = function(value, *params)
    np.testing.assert_array_equal(result, value)
    np.testing.assert_array_equal(log_slope, 0.0)
    np.testing.assert_array_equal(tape.gradient(result, value), 1.0)
    for target in (result, log_slope):
        beyond = np.abs(value) > 4.0
        for gradient in tape.gradient(target, params):
            np.testing.assert_array_equal(np.asarray(gradient)[beyond], 0.0)
    just = np.nextafter(outside[:1], 0.0, dtype=dtype)
    inside = tf.constant(np.concatenate([just, -just]))
    some = params_of(spline, inside.shape, dtype, 2.0)
    close, log_slope = function(inside, *some)
    bound = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(close, inside, atol=100 * bound)
    assert (np.abs(close) <= 4.0).all()
    # The slopes at the ends are learned too; what is inside goes over into them.
    deeper, slope = function(inside * tf.constant(0.9999, dtype), *some)
    np.testing.assert_allclose(slope, log_slope, atol=0.2)


def test_at_knots_values_and_slopes_of_both_bins_agree():
    spline = RationalQuadratic(num_bins=4)
    params = [tf.ones([1], tf.float64) * p for p in np.linspace(-1, 1, 11)]
    share = np.exp(np.linspace(-1, 1, 11)[:4])
    knots = -4 + np.cumsum(0.5 + 6.0 * share / share.sum())[:3]
    below, above = (
        spline.inverse(tf.constant(knots + s * 1e-9), *params) for s in (-1, 1)
    )
    for a, b in zip(below, above, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_written_gradients_agree_with_finite_differences(direction):
    spline = RationalQuadratic(num_bins=5)
    function = getattr(spline, direction)
    params = tf.stack(params_of(spline, (40,)))
    value = tf.random.uniform([40], -4.2, 4.2, dtype=tf.float64, seed=1)

    def loss(value, params):
        result, log_slope = function(value, *tf.unstack(params))
        return tf.reduce_sum(tf.sin(3 * result) + tf.cos(log_slope))

    with tf.GradientTape() as tape:
        tape.watch([value, params])
        total = loss(value, params)
    by_value, by_params = tape.gradient(total, [value, params])
    rng, step = np.random.default_rng(0), 1e-6
    for _ in range(10):
        dv, dp = rng.standard_normal(value.shape), rng.standard_normal(params.shape)
        ahead, behind = (loss(value + s * dv, params + s * dp) for s in (step, -step))
        expected = (ahead - behind) / (2 * step)
        actual = tf.reduce_sum(by_value * dv) + tf.reduce_sum(by_params * dp)
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("graph", [False, True])
def test_second_derivatives_agree_with_finite_differences(graph):
    spline = RationalQuadratic(num_bins=4)
    params = tf.stack(params_of(spline, (6,)))
    y = tf.random.uniform([6], -3.9, 3.9, dtype=tf.float64, seed=2)

    def gradients(params):
        with tf.GradientTape() as tape:
            tape.watch(params)
            x, log_slope = spline.inverse(y, *tf.unstack(params))
            total = tf.reduce_sum(tf.sin(x) + log_slope)
        return tape.gradient(total, params)

    def second(params, direction):
        with tf.GradientTape() as tape:
            tape.watch(params)
            total = tf.reduce_sum(gradients(params) * direction)
        return tape.gradient(total, params)

    direction = tf.random.normal(params.shape, dtype=tf.float64, seed=3)
    ahead, behind = (gradients(params + s * direction) for s in (1e-6, -1e-6))
    actual = (tf.function(second) if graph else second)(params, direction)
    np.testing.assert_allclose(actual, (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-6)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
    st.integers(2, 12),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([(), (1,), (3,), (2, 3), (0, 4), (2, 1, 2)]),
    st.floats(0.5, 10.0),
)
def test_any_number_of_bins_shape_and_dtype(num_bins, dtype, shape, bound):
    spline = RationalQuadratic(num_bins, bound)
    units = (*shape, 4)
    params = params_of(spline, units, dtype)
    y = tf.constant(np.random.default_rng(1).uniform(-12, 12, units), dtype)
    x, log_slope = spline.inverse(y, *params)
    again, same = spline.forward(x, *params)
    assert x.dtype == log_slope.dtype == y.dtype and x.shape == y.shape
    tolerance = {"float32": 1e-3, "float64": 1e-9}[dtype]
    np.testing.assert_allclose(again, y, atol=tolerance)
    np.testing.assert_allclose(same, log_slope, atol=10 * tolerance)
    zeros = [tf.zeros_like(p) for p in params]
    np.testing.assert_allclose(spline.inverse(y, *zeros)[0], y, atol=1e-5)
    np.testing.assert_allclose(spline.inverse(y, *zeros)[1], 0.0, atol=1e-5)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_it_increases_and_its_slope_is_what_it_says(direction):
    spline = RationalQuadratic()
    params = params_of(spline, (1,), scale=2.0)
    grid = np.linspace(-5.0, 5.0, 40001)
    value, log_slope = getattr(spline, direction)(tf.constant(grid), *params)
    assert (np.diff(value) > 0).all()
    slope = np.exp(log_slope if direction == "forward" else -log_slope)
    middle = (slope[1:] + slope[:-1]) / 2
    np.testing.assert_allclose(np.diff(value) / np.diff(grid), middle, rtol=1e-2)


def test_the_density_integrates_to_one():
    spline = RationalQuadratic()
    grid = np.linspace(-12.0, 12.0, 100001)
    x, log_slope = spline.inverse(tf.constant(grid), *params_of(spline, (1,)))
    density = np.exp(-0.5 * x**2 - log_slope) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(density.sum() * (grid[1] - grid[0]), 1.0, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_nan_stays_with_its_unit(direction, jit_compile):
    spline = RationalQuadratic()
    params = params_of(spline, (4,))
    function = tf.function(getattr(spline, direction), jit_compile=jit_compile)
    value, _ = function(tf.constant([0.5, np.nan, 1.0, 9.0], tf.float64), *params)
    np.testing.assert_array_equal(np.isnan(value), [False, True, False, False])
    params[0] = tf.constant([0.0, np.nan, 0.0, 0.0], tf.float64)
    value, _ = function(tf.constant([0.5, 0.6, 1.0, 9.0], tf.float64), *params)
    np.testing.assert_array_equal(np.isnan(value), [False, True, False, False])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_bins": 1}, "num_bins >= 2"),
        ({"bound": 0.0}, "bound > 0"),
        ({"bound": np.inf}, "bound > 0"),
        ({"min_bin": 1.0}, "min_bin"),
        ({"min_bin": 1e-9}, "from 1e-06 to below 1"),
        ({"min_derivative": 0.0}, "min_derivative"),
    ],
)
def test_bad_numbers_are_refused(options, message):
    make = functools.partial(SplineCoupling, (4,), MLP((8,)), masks.half((4,)))
    with pytest.raises(ValueError, match=message):
        make(**options)
