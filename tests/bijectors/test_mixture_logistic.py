"""Mixtures: the formula as NumPy has it, implicit gradients, parted components."""

import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tfp_flows import flows
from tfp_flows.scalar_maps import Affine, MixtureLogistic


def params_of(mixture, shape, dtype="float64", scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    values = scale * rng.standard_normal((mixture.num_params, *shape))
    return list(tf.constant(values, dtype))


def test_it_is_the_papers_formula():
    mixture = MixtureLogistic(num_components=2, scale_bound=1.5)
    raw = np.array([0.3, -0.2, 1.0, -2.0, 0.5, -0.4, 0.7, 0.6])
    y = np.linspace(-4, 4, 9)
    # Gains 0.75 and 1.25, first weights 1.25 and 0.75, |log s| <= 3; halves add up.
    weights = np.exp(raw[:2]) * [1.25, 0.75]
    means, log_s = raw[2:4] * [0.75, 1.25], 3 * np.tanh(raw[4:6] / 2 / 3)
    cdf = 1 / (1 + np.exp(-(y[:, None] - means) / np.exp(log_s)))
    cdf = (cdf * weights).sum(1) / weights.sum()
    z = np.log(cdf) - np.log1p(-cdf)
    expected = z * np.exp(-1.5 * np.tanh(raw[7] / 2)) - raw[6] / 2
    x, _ = mixture.inverse(tf.constant(y), *tf.constant(raw[:, None]))
    np.testing.assert_allclose(x, expected, atol=1e-12)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_it_increases_and_its_slope_is_what_it_says(direction):
    mixture = MixtureLogistic(4)
    params = params_of(mixture, (1,))
    grid = np.linspace(-10.0, 10.0, 20001)
    value, log_slope = getattr(mixture, direction)(tf.constant(grid), *params)
    assert (np.diff(value) > 0).all()
    slope = np.exp(log_slope if direction == "forward" else -log_slope)
    middle = (slope[1:] + slope[:-1]) / 2
    np.testing.assert_allclose(np.diff(value) / np.diff(grid), middle, rtol=1e-3)


def test_the_density_integrates_to_one():
    mixture = MixtureLogistic(4)
    grid = np.linspace(-300.0, 300.0, 600001)
    x, log_slope = mixture.inverse(tf.constant(grid), *params_of(mixture, (1,)))
    density = np.exp(-0.5 * x**2 - log_slope) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(density.sum() * (grid[1] - grid[0]), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "jit_compile", "atol"),
    [("float32", False, 1e-4), ("float32", True, 1e-4), ("float64", False, 1e-12)],
)
def test_it_inverts_many_inputs(dtype, jit_compile, atol):
    mixture = MixtureLogistic(8)
    params = params_of(mixture, (10**5,), dtype)
    value = tf.constant(2 * np.random.default_rng(1).standard_normal(10**5), dtype)
    forward, inverse = (
        tf.function(f, jit_compile=jit_compile)
        for f in (mixture.forward, mixture.inverse)
    )
    for there, back in ((inverse, forward), (forward, inverse)):
        again = back(there(value, *params)[0], *params)[0]
        np.testing.assert_allclose(again, value, atol=atol)


def test_ten_steps_of_newtons_method_are_enough(monkeypatch):
    mixture = MixtureLogistic(8)
    params = params_of(mixture, (10**4,))
    x = tf.constant(2 * np.random.default_rng(1).standard_normal(10**4))
    converged, _ = mixture.forward(x, *params)
    monkeypatch.setattr("tfp_flows.scalar_maps.mixture_logistic._MAX_STEPS", 10)
    np.testing.assert_allclose(mixture.forward(x, *params)[0], converged, atol=1e-11)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_gradients_agree_with_finite_differences(direction):
    mixture = MixtureLogistic(3)
    function = getattr(mixture, direction)
    params = tf.stack(params_of(mixture, (30,)))
    value = tf.random.normal([30], dtype=tf.float64, seed=1)

    def loss(value, params):
        result, log_slope = function(value, *tf.unstack(params))
        return tf.reduce_sum(tf.sin(result) + tf.cos(log_slope))

    with tf.GradientTape() as tape:
        tape.watch([value, params])
        total = loss(value, params)
    by_value, by_params = tape.gradient(total, [value, params])
    rng, step = np.random.default_rng(0), 1e-5
    for _ in range(10):
        dv, dp = rng.standard_normal(value.shape), rng.standard_normal(params.shape)
        ahead, behind = (loss(value + s * dv, params + s * dp) for s in (step, -step))
        expected = (ahead - behind) / (2 * step)
        actual = tf.reduce_sum(by_value * dv) + tf.reduce_sum(by_params * dp)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_finite_and_linear_far_out(dtype, scale):
    mixture = MixtureLogistic(4)
    value = tf.constant([0.0, -1e6, 1e6, -2e6, 2e6], dtype)
    params = [tf.fill([5], p[0]) for p in params_of(mixture, (1,), dtype, scale)]
    for function in (mixture.forward, mixture.inverse):
        with tf.GradientTape() as tape:
            tape.watch([value, params])
            result, log_slope = function(value, *params)
            total = tf.reduce_sum(result) + tf.reduce_sum(log_slope)
        gradients = tape.gradient(total, [value, *params])
        for tensor in (result, log_slope, *gradients):
            assert np.isfinite(tensor).all()
        np.testing.assert_allclose(result[3:] / result[1:3], 2.0, rtol=1e-2)
        np.testing.assert_allclose(log_slope[3:], log_slope[1:3], atol=1e-2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scalar_map", [MixtureLogistic(4), Affine()])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_finite_values_and_gradients_anywhere(scalar_map, dtype, scale):
    value = tf.constant([0.0, -1e6, 1e6, -1e30, 1e30], dtype)
    params = params_of(scalar_map, value.shape, dtype, scale)
    for function in (scalar_map.forward, scalar_map.inverse):
        with tf.GradientTape() as tape:
            tape.watch([value, params])
            result, log_slope = function(value, *params)
            total = tf.reduce_sum(result) + tf.reduce_sum(log_slope)
        for tensor in (result, log_slope, *tape.gradient(total, [value, *params])):
            assert np.isfinite(tensor).all()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_nan_ends_and_stays_with_its_unit(direction, jit_compile):
    mixture = MixtureLogistic(4)
    params = params_of(mixture, (4,))
    function = tf.function(getattr(mixture, direction), jit_compile=jit_compile)
    value, _ = function(tf.constant([0.5, np.nan, 1.0, 9.0], tf.float64), *params)
    clean, _ = function(tf.constant([0.5, 0.0, 1.0, 9.0], tf.float64), *params)
    assert np.isnan(value[1])
    keep = [0, 2, 3]
    np.testing.assert_allclose(value.numpy()[keep], clean.numpy()[keep], atol=1e-12)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
    st.integers(1, 9),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([(), (1,), (2, 3), (0, 4), (2, 1, 2)]),
)
def test_any_number_of_components_shape_and_dtype(count, dtype, shape):
    mixture = MixtureLogistic(count)
    units = (*shape, 4)
    params = params_of(mixture, units, dtype, 0.7)
    y = tf.constant(np.random.default_rng(1).normal(size=units), dtype)
    x, log_slope = mixture.inverse(y, *params)
    again, same = mixture.forward(x, *params)
    assert x.dtype == log_slope.dtype == y.dtype and x.shape == y.shape
    tolerance = {"float32": 1e-4, "float64": 1e-10}[dtype]
    np.testing.assert_allclose(again, y, atol=tolerance)
    np.testing.assert_allclose(same, log_slope, atol=tolerance)
    zeros = [tf.zeros_like(p) for p in params]
    np.testing.assert_allclose(mixture.inverse(y, *zeros)[0], y, atol=1e-5)
    np.testing.assert_allclose(mixture.forward(y, *zeros)[0], y, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_components_part_although_the_head_begins_at_zero(optimizer):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 2))
    x[:, 1] = 0.5 * x[:, 1] + 2.0 * rng.choice([-1, 1], 500)  # two modes
    flow = flows.flow_pp((2,), 1, 4, (16,), act_norm=False, dtype="float64")
    optimizer = keras.optimizers.get(optimizer)
    optimizer.learning_rate = 0.02
    optimizer.build(flow.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            nll = -tf.reduce_mean(flow.log_prob(x))
        gradients = tape.gradient(nll, flow.trainable_variables)
        optimizer.apply(gradients, flow.trainable_variables)
        return nll

    first = step()
    for _ in range(150):
        last = step()
    assert last < first
    # The layer's columns are blocks of weights, means and log-scales, one unit each.
    head = flow.trainable_variables[-1].numpy()
    means = head[4:8] * (0.5 + (np.arange(4) + 0.5) / 4)
    assert np.abs(np.diff(np.sort(means))).min() > 1e-4


def test_no_component_is_refused():
    with pytest.raises(ValueError, match="num_components >= 1"):
        MixtureLogistic(0)
