"""RecurrentNetwork: the laws of autoregressive networks; equal to cells in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import autoregressive_laws as laws
from tfp_flows.networks import RecurrentNetwork

each = pytest.mark.parametrize("cell", ["lstm", "gru"])


def make(shape, cell, num_features=1, context_shape=None, dtype="float64", units=(5,)):
    options = {"units": units, "cell": cell, "dtype": dtype}
    network = RecurrentNetwork(shape, 2, num_features, **options)
    return laws.build(network, context_shape)


@pytest.mark.parametrize(
    ("cell", "context_shape"),
    [("lstm", None), ("gru", (3,)), ("lstm", (6, 3)), ("gru", (6, 3))],
)
def test_a_step_sees_all_of_the_past_and_nothing_else(cell, context_shape):
    network = make((6, 2), cell, 1, context_shape, units=(5, 4))
    context = laws.contexts(network, context_shape)
    laws.assert_sees_exactly_however_trained(network, context=context)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_give_the_numbers_of_call(cell, dtype):
    network = make((6, 2), cell, dtype=dtype, units=(5, 4))
    laws.assert_steps_give_the_numbers_of_call(network)


@each
@pytest.mark.parametrize("context_shape", [(3,), (6, 3)])
def test_steps_give_the_numbers_of_call_with_features_and_context(cell, context_shape):
    network = make((6, 1), cell, 3, context_shape)
    context = laws.contexts(network, context_shape)
    laws.assert_steps_give_the_numbers_of_call(network, context)


@each
def test_a_sample_costs_one_call(cell):
    network = make((6, 1), cell, context_shape=(3,), units=(5, 4))
    laws.assert_a_sample_costs(1.0, network, laws.contexts(network, (3,)))


@each
def test_a_sequence_as_context_is_seen_from_its_time_on(cell):
    network = make((6, 1), cell, 1, (6, 3))
    x, context = laws.events(network), laws.contexts(network, (6, 3)).numpy()
    before = network(x, context=context).numpy()
    context[:, 4] += 1.0
    changed = (network(x, context=context).numpy() != before).any(axis=(0, 2, 3))
    np.testing.assert_array_equal(changed, np.arange(6) >= 4)


def test_equals_an_lstm_in_numpy():
    network = make((4, 1), "lstm")
    x = laws.events(network).numpy()
    kernel, recurrent, bias, last, last_bias = (
        v.numpy() for v in network.trainable_variables
    )
    sigmoid = lambda v: 1.0 / (1.0 + np.exp(-v))  # noqa: E731
    h, memory, params = np.zeros((3, 5)), np.zeros((3, 5)), []
    for t in range(4):
        shown = x[:, t - 1] if t else np.zeros((3, 1))
        gates = shown @ kernel + h @ recurrent + bias
        i, f, new, o = np.split(gates, 4, axis=-1)
        memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(new)
        h = sigmoid(o) * np.tanh(memory)
        params.append((h @ last + last_bias).reshape(3, 1, 2))
    np.testing.assert_allclose(network(x), np.stack(params, axis=1), atol=1e-12)


@settings(max_examples=6, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 2)),
    cell=st.sampled_from(["lstm", "gru"]),
    num_features=st.integers(1, 2),
    units=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_steps_give_the_numbers_of_call_whatever_the_sizes(
    shape, cell, num_features, units, dtype
):
    network = make(shape, cell, num_features, dtype=dtype, units=units)
    x = laws.events(network)
    atol = {"float64": 1e-10, "float32": 1e-5}[dtype]
    np.testing.assert_allclose(laws.stepped(network, x), network(x), atol=atol)


@each
def test_begins_at_zero_and_gives_every_weight_a_gradient(cell):
    network = RecurrentNetwork((5, 1), 2, units=(4, 3), cell=cell)
    x = tf.random.normal([3, 5, 1], seed=0)
    assert not np.any(network(x))
    laws.randomize(network)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(x) ** 2)
    variables = [v.value for v in network.trainable_variables]
    assert all(np.any(g) for g in tape.gradient(loss, variables))


@each
def test_config_round_trip_and_reduced_precision(cell):
    network = make((5, 1), cell)
    config = network.get_config() | {"dtype": "mixed_bfloat16"}
    again = RecurrentNetwork.from_config(config)
    again.build((None, 5, 1))
    assert [v.shape for v in again.weights] == [v.shape for v in network.weights]
    params = again(np.zeros((2, 5, 1), np.float32))
    assert keras.backend.standardize_dtype(params.dtype) == "bfloat16"
    laws.stepped(again, tf.zeros([2, 5, 1], tf.bfloat16))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((9,), {}, "time steps, channels"),
        ((9, 1), {"units": ()}, "positive width"),
        ((9, 1), {"cell": "rnn"}, "gru"),
    ],
)
def test_mistakes_are_named(shape, options, message):
    with pytest.raises(ValueError, match=message):
        RecurrentNetwork(shape, 2, **options)
