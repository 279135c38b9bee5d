"""Autoregressive models: exact masses, samples, contexts, modes, files and errors."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tests.replicas import mirrored
from tests.tiny_autoregressive import Tiny
from tfp_flows import FlowModel
from tfp_flows.distributions import Autoregressive
from tfp_flows.distributions.elements import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    NormalMixture,
)

SHAPE = (2, 2)
REVERSED = np.arange(4)[::-1][:, None]
PIXELS = np.arange(4).reshape(2, 2)  # two positions of two channels
ODD_PIXELS = np.array([[3, 1], [0, 2]])
ELEMENTS = {
    "categorical": (Categorical(3), None),
    "categorical one-hot": (Categorical(3, one_hot=True), None),
    "categorical reversed": (Categorical(3), REVERSED),
    "categorical blocks": (Categorical(3), ODD_PIXELS),
    "bernoulli": (Bernoulli(), None),
    "mixture": (DiscretizedLogisticMixture(3, 2), None),
    "mixture joint": (DiscretizedLogisticMixture(3, 2, num_channels=2), PIXELS),
    "mixture joint, odd order": (
        DiscretizedLogisticMixture(3, 2, num_channels=2),
        ODD_PIXELS,
    ),
}


def model_of(element, order=None, context_shape=None, dtype="float64", shape=SHAPE):
    network = Tiny(shape, element.num_params, element.num_features, order, dtype=dtype)
    model = Autoregressive(network, element, context_shape=context_shape, dtype=dtype)
    laws.randomize(model, scale=1.0)
    return model


def all_states(model):
    size = model.event_shape.num_elements()
    states = itertools.product(range(model.num_values), repeat=size)
    return np.array(list(states)).reshape(-1, *model.event_shape)


def assert_frequencies(samples, states, probabilities):
    """Chi-square of drawn states against their probabilities."""
    flat = np.reshape(samples, [len(samples), -1])
    weights = (states.max() + 1) ** np.arange(flat.shape[1])[::-1]
    codes = states.reshape(len(states), -1) @ weights
    counts = np.array([(flat @ weights == code).sum() for code in codes])
    assert counts.sum() == len(samples)
    expected = probabilities * len(samples)
    kept = expected > 5  # the rare ones together: chi-square wants more than 5
    counts = np.append(counts[kept], counts[~kept].sum())
    expected = np.append(expected[kept], max(expected[~kept].sum(), 1e-9))
    if expected[-1] < 5:
        counts, expected = counts[:-1], expected[:-1]
    freedom = len(counts) - 1
    if freedom < 1:  # one state has all the mass
        assert counts.sum() == len(samples)
        return
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < freedom + 4 * np.sqrt(2 * freedom)


@pytest.fixture(params=ELEMENTS)
def model(request):
    return model_of(*ELEMENTS[request.param])


def test_log_prob_sums_to_one_over_all_states(model):
    log_prob = model.log_prob(all_states(model))
    assert log_prob.dtype == tf.float64
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, atol=1e-10)
    assert np.std(log_prob) > 0.1  # and not the uniform one


def test_samples_have_the_frequencies_of_log_prob(model):
    states = all_states(model)
    samples = model.sample(20000, seed=3)
    assert samples.dtype == tf.int32 and samples.shape == (20000, *SHAPE)
    assert_frequencies(samples.numpy(), states, np.exp(model.log_prob(states)))


def test_eager_graph_and_xla_agree(model):
    x = all_states(model)[::7]
    laws.assert_same_in_every_mode(model.log_prob, tf.constant(x), atol=1e-9)
    u = model.uniforms(50, seed=1)
    eager = model.from_uniform(u)
    for jit in (False, True):
        other = tf.function(model.from_uniform, jit_compile=jit)(u)
        np.testing.assert_array_equal(eager, other)


def test_a_continuous_element_gives_a_density_and_its_samples():
    model = model_of(NormalMixture(2), shape=(2,))
    # The second number is spread up to e^3 times as wide as the first one.
    axes = np.linspace(-15.0, 15.0, 401), np.linspace(-70.0, 70.0, 1401)
    grid = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
    density = np.exp(model.log_prob(grid))
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    np.testing.assert_allclose(density.sum() * cell, 1.0, atol=1e-3)
    samples = model.sample(20000, seed=1)
    assert samples.dtype == model.dtype == tf.float64
    mean = (density[:, None] * grid).sum(0) * cell
    error = np.std(samples, axis=0) / np.sqrt(20000)
    assert (np.abs(np.mean(samples, axis=0) - mean) < 4 * error).all()
    entropy = -np.mean(model.log_prob(samples))
    wanted = -(density * np.log(density + 1e-300)).sum() * cell
    assert abs(entropy - wanted) < 0.05


def test_rows_are_independent_and_depend_on_their_own_numbers_only():
    model = model_of(Categorical(3))
    samples = model.sample(20000, seed=5).numpy().reshape(10000, 2, 4)
    first, second = samples[:, 0, 0], samples[:, 1, 0]
    joint = np.histogram2d(first, second, bins=3)[0] / 10000
    expected = np.outer(joint.sum(1), joint.sum(0))
    assert np.abs(joint - expected).max() < 0.02
    u = model.uniforms(8, seed=2)
    whole = model.from_uniform(u)
    np.testing.assert_array_equal(model.from_uniform(u[3:6]), whole[3:6])
    changed = tf.concat([u[:1] * 0.5, u[1:]], axis=0)
    np.testing.assert_array_equal(model.from_uniform(changed)[1:], whole[1:])


def test_the_same_seed_gives_the_same_sample():
    model = model_of(Categorical(3))
    one, two = model.sample(40, seed=7), model.sample(40, seed=7)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(model.sample(40, seed=(0, 7)), one)
    assert (model.sample(40, seed=8) != one).numpy().any()
    x, log_prob = model.experimental_sample_and_log_prob(40, seed=7)
    np.testing.assert_array_equal(x, one)
    np.testing.assert_allclose(log_prob, model.log_prob(one))
    assert model.sample((2, 3), seed=1).shape == (2, 3, *SHAPE)
    assert model.sample(seed=1).shape == SHAPE


def test_cold_samples_are_the_likely_ones():
    model = model_of(Categorical(3))
    means = [
        np.mean(model.log_prob(model.sample(2000, seed=1, temperature=t)))
        for t in (1.0, 0.6, 0.2)
    ]
    assert means[0] + 0.2 < means[1] < means[2]
    frozen = model.sample(50, seed=1, temperature=1e-6).numpy()
    assert (frozen == frozen[0]).all()  # each the most likely given those before
    each = model.sample(3, seed=4, temperature=[1.0, 0.5, 1e-6])
    np.testing.assert_array_equal(each[2], frozen[0])
    np.testing.assert_array_equal(each[0], model.sample(3, seed=4)[0])


def test_every_weight_gets_a_gradient_and_both_sides_see_it(model):
    laws.assert_both_sides_see_the_weights(model, model.keras_layers, 2)
    assert model.raw_variables == model.trainable_variables
    x = all_states(model)[5:40]
    laws.assert_every_weight_gets_gradient(
        model, lambda: tf.reduce_mean(model.log_prob(x))
    )


def test_one_network_call_a_log_prob():
    model = model_of(Categorical(3))
    calls = []
    call = model.network.call
    model.network.call = lambda *a, **k: calls.append(1) or call(*a, **k)
    model.log_prob(all_states(model))
    assert len(calls) == 1


def test_values_that_are_none_have_probability_zero():
    model = model_of(Categorical(3))
    inside = all_states(model)[7]
    for bad in (-1, 3, 0.5, np.nan, np.inf, 10**9):
        x = np.stack([inside, inside]).astype(np.float64)
        x[0, 0, 0] = bad
        log_prob = model.log_prob(x)
        assert log_prob[0] == -np.inf
        np.testing.assert_allclose(log_prob[1], model.log_prob(inside))
    for dtype in (np.uint8, np.int64, np.float32):
        np.testing.assert_allclose(
            model.log_prob(inside.astype(dtype)), model.log_prob(inside)
        )


def test_a_nan_row_stays_alone():
    model = model_of(NormalMixture(2))
    x = tf.constant(np.random.default_rng(0).normal(size=(4, *SHAPE)))
    laws.assert_nan_stays_in_its_row(model.log_prob, x)


def test_contexts_broadcast_and_change_the_masses():
    model = model_of(Categorical(3), context_shape=(2,))
    states = all_states(model)
    context = np.random.default_rng(0).normal(size=(4, 1, 2))
    log_prob = model.log_prob(states, context=context)
    assert log_prob.shape == (4, 81)
    np.testing.assert_allclose(np.exp(log_prob).sum(1), 1.0, atol=1e-10)
    assert np.abs(np.diff(log_prob, axis=0)).max() > 0.1
    one = model.log_prob(states[3], context=context[2, 0])
    np.testing.assert_allclose(one, log_prob[2, 3])
    given = model.given(context[:, 0])
    np.testing.assert_allclose(given.log_prob(states[3]), log_prob[:, 3])
    samples = given.sample(8000, seed=1)
    assert samples.shape == (8000, 4, *SHAPE)
    for i in range(4):
        assert_frequencies(samples[:, i].numpy(), states, np.exp(log_prob[i]))
    assert model.sample((), seed=1, context=context).shape == (4, 1, *SHAPE)


def test_unknown_batches_and_numbers_of_samples_work_in_graphs():
    model = model_of(Categorical(3), dtype="float32")
    states = all_states(model)
    spec = tf.TensorSpec([None, *SHAPE], tf.int32)
    log_prob = tf.function(model.log_prob, input_signature=[spec])
    np.testing.assert_allclose(
        log_prob(tf.constant(states, tf.int32)), model.log_prob(states), rtol=1e-5
    )
    sample = tf.function(
        lambda n: model.sample(n, seed=3), input_signature=[tf.TensorSpec([], tf.int32)]
    )
    np.testing.assert_array_equal(sample(tf.constant(5)), model.sample(5, seed=3))


def test_copies_share_weights_and_checkpoints_restore(tmp_path):
    model = model_of(Bernoulli())
    states = all_states(model)
    before = model.log_prob(states).numpy()
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "model"))
    copy = model.copy(name="again")
    laws.randomize(copy, seed=9)
    assert np.abs(model.log_prob(states) - before).max() > 0.01
    tf.train.Checkpoint(model=model).restore(path).assert_consumed()
    np.testing.assert_array_equal(copy.log_prob(states), before)


def test_bits_per_dim_and_trace():
    model = model_of(Categorical(3), context_shape=(2,))
    x, context = all_states(model)[:3], np.ones([3, 2])
    expected = -model.log_prob(x, context=context) / (4 * np.log(2.0))
    np.testing.assert_allclose(model.bits_per_dim(x, context), expected)
    (name, params, zero), (element, log_prob, _) = model.trace(x, context)
    assert (name, element) == (model.network.name, "Categorical")
    assert params.shape == (3, *SHAPE, 3) and zero == 0.0
    np.testing.assert_allclose(log_prob, model.log_prob(x, context=context))


def test_a_half_precision_network_leaves_the_arithmetic_in_full():
    element = Categorical(3)
    network = Tiny(SHAPE, 3, dtype="mixed_bfloat16")
    model = Autoregressive(network, element)
    laws.randomize(model, scale=1.0)
    log_prob = model.log_prob(all_states(model))
    assert log_prob.dtype == tf.float32
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, atol=0.02)
    assert model.sample(4, seed=1).shape == (4, *SHAPE)


def test_parts_that_do_not_fit_are_refused():
    element = Categorical(3)
    conditional = model_of(element, context_shape=(2,))
    model = model_of(element)
    states = all_states(model)
    joint = DiscretizedLogisticMixture(3, 2, num_channels=2)
    for make, match in [
        (
            lambda: Autoregressive(keras.layers.Dense(3), element),
            "needs an AutoregressiveNetwork, got Dense",
        ),
        (
            lambda: Autoregressive(Tiny(SHAPE, 4), element),
            "num_params=3, as its Categorical asks for, got 4",
        ),
        (
            lambda: Autoregressive(Tiny(SHAPE, 3, 2), element),
            "num_features=1, as its Categorical asks for, got 2",
        ),
        (
            lambda: Autoregressive(Tiny(SHAPE, joint.num_params), joint),
            "2 units at once and a network with positions of 1",
        ),
        (lambda: model.log_prob(np.zeros([5, 3])), r"events of shape \[..., 2, 2\]"),
        (lambda: model.log_prob(states, context=[0.0]), "takes no context"),
        (lambda: model.sample(context=[0.0]), "takes no context"),
        (lambda: model.given([0.0]), "not conditional"),
        (lambda: conditional.log_prob(states), "conditional and got no context"),
        (lambda: conditional.sample(3), "conditional and got no context"),
        (
            lambda: conditional.log_prob(states, context=np.zeros([3])),
            r"context of shape \[..., 2\], got \(3,\)",
        ),
    ]:
        with pytest.raises(ValueError, match=match):
            make()


@pytest.mark.slow
def test_a_keras_model_fits_evaluates_and_saves_it(tmp_path):
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.integers(0, 2, (512, *SHAPE)), axis=-1) % 3  # dependent units
    flow = model_of(Categorical(3), dtype="float32")
    model = FlowModel(flow)
    model.compile(keras.optimizers.Adam(3e-2), jit_compile=False)
    before = model.evaluate(x, verbose=0, return_dict=True)["nll"]
    model.fit(x, epochs=4, batch_size=64, verbose=0)
    after = model.evaluate(x, verbose=0, return_dict=True)
    assert after["nll"] < before - 0.5
    np.testing.assert_allclose(after["nll"], -np.mean(flow.log_prob(x)), rtol=1e-5)
    np.testing.assert_allclose(
        after["bits_per_dim"], np.mean(flow.bits_per_dim(x)), rtol=1e-5
    )
    np.testing.assert_allclose(
        model.predict(x, verbose=0), flow.log_prob(x), rtol=1e-4, atol=1e-5
    )
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    again = FlowModel(model_of(Categorical(3), dtype="float32"))
    again.load_weights(path)
    np.testing.assert_allclose(again.flow.log_prob(x), flow.log_prob(x), rtol=1e-6)


@pytest.mark.slow
def test_two_replicas_train_as_one():
    x = np.random.default_rng(0).integers(0, 3, (64, *SHAPE))
    weights = []
    for strategy in (tf.distribute.get_strategy(), mirrored()):
        with strategy.scope():
            model = FlowModel(model_of(Categorical(3), dtype="float32"))
        model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
        model.fit(x, epochs=2, batch_size=16, shuffle=False, verbose=0)
        weights.append([v.numpy() for v in model.flow.trainable_variables])
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
