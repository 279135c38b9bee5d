"""Recipes of exact models: calls and steps, modes, contexts, completions, noise."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tests.distributions.test_autoregressive import all_states, assert_frequencies
from tfp_flows import flows
from tfp_flows.distributions import complete

_CNN = {"num_blocks": 1, "filters": 6, "first_kernel_size": 3}
_RNN = {"num_layers": 1, "units": 6, "first_kernel_size": 3}
MODELS = {
    "pixel cnn": lambda **kw: flows.pixel_cnn((2, 2, 1), **_CNN, num_values=3, **kw),
    "pixel cnn, ordered channels": lambda **kw: flows.pixel_cnn(
        (2, 2, 2), **_CNN, num_values=2, gated=False, **kw
    ),
    "pixel cnn, joint channels": lambda **kw: flows.pixel_cnn(
        (2, 2, 2), **_CNN, num_values=2, element="mixture", num_components=2, **kw
    ),
    "pixel cnn by columns": lambda **kw: flows.pixel_cnn(
        (2, 2, 1), **_CNN, num_values=3, order="columns", **kw
    ),
    "row LSTM": lambda **kw: flows.pixel_rnn((2, 2, 1), **_RNN, num_values=3, **kw),
    "diagonal LSTM": lambda **kw: flows.pixel_rnn(
        (2, 2, 1), **_RNN, num_values=2, element="bernoulli", layer="diagonal", **kw
    ),
    "wavenet": lambda **kw: flows.wavenet((2, 2), 2, 4, num_values=3, **kw),
    "recurrent": lambda **kw: flows.recurrent((4, 1), (4,), "gru", num_values=3, **kw),
}
each = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def randomized(make, dtype="float64", **kwargs):
    model = make(dtype=dtype, **kwargs)
    laws.randomize(model, scale=1.0)
    return model


class Counter:
    """Counts how often the Python code of a network's methods runs."""

    def __init__(self, network):
        self.calls = self.steps = 0
        call, step = network.call, network.step
        network.call = lambda *a, **k: self._add(1, 0) or call(*a, **k)
        network.step = lambda *a, **k: self._add(0, 1) or step(*a, **k)

    def _add(self, calls, steps):
        self.calls, self.steps = self.calls + calls, self.steps + steps

    def of(self, function):
        self.calls = self.steps = 0
        function()
        return self.calls, self.steps


@each
def test_a_density_takes_one_call_and_a_sample_one_loop_of_steps(make):
    model = randomized(make)
    x = tf.constant(all_states(model)[:5], tf.int32)
    count = Counter(model.network)
    assert count.of(lambda: model.log_prob(x)) == (1, 0)
    draws = {
        "sample": lambda: model.sample(4, seed=1),
        "completion": lambda: complete(model, x, False, 2, seed=1),
    }
    for draw in draws.values():
        graphs = []
        trace = tf.function(draw, autograph=False).get_concrete_function
        assert count.of(lambda t=trace, g=graphs: g.append(t().graph)) == (0, 1)
        loops = [op for op in graphs[0].get_operations() if "While" in op.type]
        assert len(loops) == 1


@each
def test_the_law_is_one_in_every_mode_and_for_every_batch_size(make):
    model = randomized(make)
    states = tf.constant(all_states(model), tf.int32)
    x = states[::7]
    laws.assert_same_in_every_mode(model.log_prob, x, atol=1e-9)
    spec = tf.TensorSpec([None, *model.event_shape], tf.int32)
    any_batch = tf.function(model.log_prob, input_signature=[spec])
    for count in (1, len(x)):
        wanted = model.log_prob(x[:count])
        np.testing.assert_allclose(any_batch(x[:count]), wanted, atol=1e-9)
    # The same uniform numbers are the same sample, in every mode.
    u = model.uniforms(40, seed=1)
    eager = model.from_uniform(u).numpy()
    xla = tf.function(model.from_uniform, jit_compile=True)
    np.testing.assert_array_equal(xla(u), eager)
    spec = tf.TensorSpec([None, model.num_uniforms], u.dtype)
    any_batch = tf.function(model.from_uniform, input_signature=[spec])
    for count in (1, 40):
        np.testing.assert_array_equal(any_batch(u[:count]), eager[:count])
    assert len(np.unique(eager, axis=0)) > 5


@each
def test_every_weight_is_seen_and_gets_a_gradient(make):
    model = randomized(make, context_shape=(2,))
    laws.assert_both_sides_see_the_weights(model, model.keras_layers)
    x = all_states(model)[3:40]
    context = np.random.default_rng(0).normal(size=(len(x), 2))
    laws.assert_every_weight_gets_gradient(
        model, lambda: tf.reduce_mean(model.log_prob(x, context=context) ** 2)
    )


@each
def test_contexts_broadcast_and_are_asked_for(make):
    model = randomized(make, context_shape=(2,))
    states = all_states(model)
    context = np.array([[[0.0, 1.0]], [[2.0, -1.0]]])
    log_prob = model.log_prob(states, context=context)
    np.testing.assert_allclose(np.exp(log_prob).sum(axis=1), 1.0, atol=1e-9)
    assert np.abs(log_prob[0] - log_prob[1]).max() > 0.05
    samples = model.sample(4000, seed=3, context=context[:, 0])
    for i in range(2):
        assert_frequencies(samples[:, i].numpy(), states, np.exp(log_prob[i]))
    with pytest.raises(ValueError, match=f"{model.name} is conditional and got no"):
        model.sample(3)


@each
def test_completions_have_the_conditional_frequencies(make):
    model = randomized(make)
    states = all_states(model)
    units = model.network.order[: model.network.num_positions // 2].ravel()
    mask = np.zeros(model.event_shape, bool)
    mask.flat[units] = True
    given = states[len(states) * 2 // 3]
    drawn = complete(model, given, mask, 3000, seed=2).numpy()
    np.testing.assert_array_equal(drawn[:, mask], np.tile(given[mask], (3000, 1)))
    known = (states == given)[:, mask].all(axis=1)
    conditional = np.where(known, np.exp(model.log_prob(states)), 0.0)
    assert 0.0 < conditional.sum() < 0.9
    assert_frequencies(drawn, states, conditional / conditional.sum())


@each
def test_every_position_of_a_sample_has_noise_of_its_own(make):
    model = make(dtype="float64")  # untrained: positions are independent
    samples = model.sample(4000, seed=5).numpy()
    blocks = samples.reshape(4000, -1)[:, model.network.order]
    for one, two in itertools.combinations(range(blocks.shape[1]), 2):
        for first, second in itertools.product(blocks[:, one].T, blocks[:, two].T):
            joint = np.histogram2d(first, second, model.num_values)[0] / 4000
            apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
            # Five standard errors of a share of a quarter.
            assert np.abs(joint - apart).max() < 5 * np.sqrt(0.25 * 0.75 / 4000)
    states = all_states(model)
    assert_frequencies(samples, states, np.exp(model.log_prob(states)))
