"""What each element promises of one position, judged by sums and by frequencies."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions.elements import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Element,
    NormalMixture,
)

tfd = tfp.distributions

DISCRETE = {
    "categorical": (Categorical(5), 1),
    "categorical one-hot": (Categorical(5, one_hot=True), 1),
    "bernoulli": (Bernoulli(), 1),
    "mixture": (DiscretizedLogisticMixture(5, 3), 1),
    "mixture of 2 values": (DiscretizedLogisticMixture(2, 2), 1),
    "mixture of 2 channels": (DiscretizedLogisticMixture(4, 3, num_channels=2), 2),
    "mixture of 3 channels": (DiscretizedLogisticMixture(3, 2, num_channels=3), 3),
}


def params_for(element, units, seed=0, scale=1.5, rows=1):
    rng = np.random.default_rng(seed)
    return tf.constant(scale * rng.normal(size=(rows, units, element.num_params)))


def all_states(element, units):
    return np.array(list(itertools.product(range(element.num_values), repeat=units)))


def masses(element, params, states):
    """Probabilities of all states under one set of params."""
    many = tf.repeat(params, len(states), axis=0)
    return np.exp(element.log_prob(many, tf.constant(states, tf.int32)))


@pytest.mark.parametrize("element,units", DISCRETE.values(), ids=DISCRETE)
@pytest.mark.parametrize("scale", [0.0, 1.5, 50.0])
def test_discrete_masses_sum_to_one(element, units, scale):
    params = params_for(element, units, scale=scale)
    p = masses(element, params, all_states(element, units))
    np.testing.assert_allclose(p.sum(), 1.0, atol=1e-9)


@pytest.mark.parametrize("element,units", DISCRETE.values(), ids=DISCRETE)
def test_distribution_functions_are_sums_of_masses(element, units):
    params = tf.repeat(params_for(element, units), 4, axis=0)
    if element.block_size is not None:
        with pytest.raises(NotImplementedError, match="no cdf of one unit"):
            element.cdf(params, tf.zeros([4, units], tf.int32))
        return
    p = masses(element, params[:1], all_states(element, 1))
    for value in range(element.num_values):
        less, at_most = element.cdf(params, tf.fill([4, 1], value))
        np.testing.assert_allclose(less[:, 0], np.full(4, p[:value].sum()), atol=1e-9)
        np.testing.assert_allclose(at_most - less, np.full((4, 1), p[value]), atol=1e-9)


def test_the_distribution_function_of_a_normal_mixture_is_an_integral():
    element = NormalMixture(3)
    params = params_for(element, 1)
    x = np.linspace(-60.0, 1.3, 200_001)[:, None]
    density = np.exp(element.log_prob(tf.repeat(params, len(x), axis=0), x))
    less, at_most = element.cdf(params, tf.constant([[1.3]], tf.float64))
    np.testing.assert_allclose(at_most[0, 0], np.trapezoid(density, x[:, 0]), atol=1e-6)
    np.testing.assert_array_equal(less, at_most)


@pytest.mark.parametrize("element,units", DISCRETE.values(), ids=DISCRETE)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_have_the_masses_of_log_prob(element, units, temperature):
    params = params_for(element, units)
    rng = np.random.default_rng(1)
    u = rng.uniform(size=(20000, units, element.num_uniforms))
    many = tf.repeat(params, len(u), axis=0)
    x = element.from_uniform(many, tf.constant(u), temperature)
    assert x.dtype == tf.int32 and x.shape == (20000, units)
    states = all_states(element, units)
    counts = (x.numpy()[:, None] == states).all(-1).sum(0)
    assert counts.sum() == len(u)
    if temperature == 1.0:
        expected = masses(element, params, states) * len(u)
        chi2 = ((counts - expected) ** 2 / np.maximum(expected, 1e-9)).sum()
        # Beyond mean + 4 standard deviations of chi-square.
        freedom = max(len(states) - 1, 1)
        assert chi2 < freedom + 4 * np.sqrt(2 * freedom) + 4
    else:
        warm = element.from_uniform(many, tf.constant(u))
        entropy = lambda c: -(c / c.sum() * np.log(c / c.sum() + 1e-12)).sum()  # noqa: E731
        hot = (warm.numpy()[:, None] == states).all(-1).sum(0)
        assert entropy(counts) < entropy(hot)


@pytest.mark.parametrize(
    "element,units",
    [*DISCRETE.values(), (NormalMixture(3), 2)],
    ids=[*DISCRETE, "normal mixture"],
)
def test_temperatures_of_rows_and_one_for_all_agree(element, units):
    params = params_for(element, units, rows=6)
    u = np.random.default_rng(2).uniform(size=(6, units, element.num_uniforms))
    one = element.from_uniform(params, tf.constant(u), 0.7)
    each = element.from_uniform(
        params, tf.constant(u), tf.constant(np.full([6, 1], 0.7))
    )
    np.testing.assert_array_equal(one, each)


def logistic_masses(values, log_weights, means, scales):
    """Differences of the CDF in float64, edges open: another way to the same number."""
    t = 2.0 * np.arange(values) / (values - 1) - 1.0
    h = 1.0 / (values - 1)
    cdf = lambda a: 1.0 / (1.0 + np.exp(-(a[:, None] - means) / scales))  # noqa: E731
    upper, lower = cdf(t + h), cdf(t - h)
    upper[-1], lower[0] = 1.0, 0.0
    return ((upper - lower) * np.exp(log_weights)).sum(axis=1)


def test_a_mixture_of_logistics_is_the_difference_of_its_cdf():
    element = DiscretizedLogisticMixture(6, 3)
    params = params_for(element, 1, scale=0.4)
    logits, means, raw = np.split(params.numpy()[0, 0], 3)
    means = means + np.array([-2 / 3, 0.0, 2 / 3])
    scales = np.exp(7 * np.tanh(raw / 7)) / (1.8 * 3)
    log_weights = logits - np.log(np.exp(logits).sum())
    expected = logistic_masses(6, log_weights, means, scales)
    got = masses(element, params, all_states(element, 1))
    np.testing.assert_allclose(got, expected, rtol=1e-11)


def test_the_channels_of_a_pixel_depend_on_each_other():
    element = DiscretizedLogisticMixture(4, 1, num_channels=3)
    p = masses(element, params_for(element, 3, scale=0.5), all_states(element, 3))
    p = p.reshape(4, 4, 4)
    for axis in range(3):
        pair = p.sum(axis=axis)
        independent = np.outer(pair.sum(1), pair.sum(0))
        assert np.abs(pair - independent).max() > 1e-3


def test_the_parameters_of_a_pixel_are_ten_a_component_for_three_channels():
    # Salimans et al.: 10 numbers a component for RGB; 3 channels share 100 of them.
    assert DiscretizedLogisticMixture(256, 10, num_channels=3).num_params == 34
    assert DiscretizedLogisticMixture(256, 10).num_params == 30


@pytest.mark.parametrize("channels", [1, 3])
def test_mixtures_are_finite_with_finite_gradients_far_out(channels):
    element = DiscretizedLogisticMixture(256, 4, num_channels=channels)
    values = [0, 1, 128, 254, 255]
    x = tf.constant([[v] * channels for v in values])
    for size in (0.0, 1.0, 30.0, 1e4):
        for seed in range(3):
            params = tf.cast(
                params_for(element, channels, seed, size, len(values)), tf.float32
            )
            with tf.GradientTape() as tape:
                tape.watch(params)
                log_prob = element.log_prob(params, x)
            assert np.isfinite(log_prob).all()
            assert np.isfinite(tape.gradient(log_prob, params)).all()


@pytest.mark.parametrize(
    "element", [DiscretizedLogisticMixture(9, 4), NormalMixture(4)], ids=type
)
def test_mixtures_do_not_start_symmetric(element):
    params = tf.zeros([2, 1, element.num_params], tf.float64)
    x = tf.constant([[0], [1]], tf.int32 if element.num_values else tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(params)
        log_prob = element.log_prob(params, x)
    gradient = tape.gradient(log_prob, params).numpy()[:, 0].reshape(2, 3, 4)
    distance = np.abs(gradient[..., :, None] - gradient[..., None, :])
    # Of each two components some gradient differs, at some x.
    assert (distance.max(axis=(0, 1))[~np.eye(4, dtype=bool)] > 1e-3).all()


def test_a_normal_mixture_is_that_of_tfp():
    element = NormalMixture(3)
    params = params_for(element, 2, rows=4)
    logits, means, raw = np.split(params.numpy(), 3, axis=-1)
    expected = tfd.MixtureSameFamily(
        tfd.Categorical(logits=logits),
        tfd.Normal(
            means + np.array([-4 / 3, 0, 4 / 3]), np.exp(7 * np.tanh(raw / 7)) * 2 / 3
        ),
    )
    x = np.random.default_rng(4).normal(size=(4, 2))
    np.testing.assert_allclose(
        element.log_prob(params, x), expected.log_prob(x).numpy().sum(-1), rtol=1e-9
    )
    u = np.random.default_rng(5).uniform(size=(30000, 1, 2))
    draws = element.from_uniform(tf.repeat(params[:1, :1], 30000, 0), tf.constant(u))
    cdf = np.sort(expected[0, 0].cdf(draws.numpy()[:, 0]))
    steps = np.arange(30000) / 30000
    assert np.abs(cdf - steps).max() < 1.95 / np.sqrt(30000)  # Kolmogorov, Smirnov


def test_a_normal_mixture_is_finite_with_finite_gradients_far_out():
    element = NormalMixture(4)
    x = tf.constant([[0.0], [1.0], [-1.0], [1e6], [-1e6]])
    for scale in (0.0, 1.0, 30.0):
        params = tf.cast(params_for(element, 1, 0, scale, len(x)), tf.float32)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([params, x])
            log_prob = element.log_prob(params, x)
        for value in (log_prob, *tape.gradient(log_prob, [params, x])):
            assert np.isfinite(value).all()


def test_what_is_no_value_is_told_from_what_is():
    x = tf.constant([[0.0, 4.0, 5.0, -1.0, 0.5, np.nan]])
    values, fits = Categorical(5).supported(x, tf.float32)
    np.testing.assert_array_equal(values, [[0, 4, 0, 0, 0, 0]])
    np.testing.assert_array_equal(fits, [[True, True] + 4 * [False]])
    assert values.dtype == tf.int32
    values, fits = NormalMixture(2).supported(x, tf.float64)
    assert values.dtype == tf.float64 and fits is None


def test_features_are_between_minus_one_and_one_or_indicators():
    x = tf.constant([[0, 4, 2]])
    scaled = Categorical(5).features(x, tf.float32)
    np.testing.assert_array_equal(scaled, [[-1.0, 1.0, 0.0]])
    one_hot = Categorical(5, one_hot=True).features(x, tf.float64)
    assert one_hot.dtype == tf.float64
    np.testing.assert_array_equal(one_hot, np.eye(5)[[0, 4, 2]].reshape(1, 15))
    np.testing.assert_array_equal(
        Bernoulli().features(tf.constant([[0, 1]]), "float32"), [[-1.0, 1.0]]
    )
    y = tf.constant([[0.3, -7.0]])
    np.testing.assert_array_equal(NormalMixture(2).features(y, tf.float32), y)


def test_senseless_numbers_are_refused():
    for make, match in [
        (lambda: Categorical(1), "num_values >= 2, got 1"),
        (lambda: Categorical(None), "num_values >= 2, got None"),
        (lambda: DiscretizedLogisticMixture(4, 0), "num_components >= 1"),
        (lambda: DiscretizedLogisticMixture(4, 2, num_channels=0), "got 2 and 0"),
        (lambda: NormalMixture(0), "num_components >= 1, got 0"),
    ]:
        with pytest.raises(ValueError, match=match):
            make()
    with pytest.raises(NotImplementedError, match="Element has no log_prob"):
        Element().log_prob(tf.zeros([1, 1]), tf.zeros([1]))
    with pytest.raises(NotImplementedError, match="Element has no from_uniform"):
        Element().from_uniform(tf.zeros([1, 1]), tf.zeros([1, 1]))
