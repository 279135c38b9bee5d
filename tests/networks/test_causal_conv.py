"""CausalConv: the laws of autoregressive networks, its field, its ring buffers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import autoregressive_laws as laws
from tfp_flows.networks import CausalConv

NETWORKS = {
    "whole past": ((9, 2), {"num_layers": 4, "dilation_cycle": 4}),
    "short field": ((9, 1), {"num_layers": 3, "dilation_cycle": 2}),
    "three taps": ((7, 1), {"num_layers": 2, "dilation_cycle": 2, "kernel_size": 3}),
}
CONTEXTS = {
    "none": lambda steps: None,
    "vector": lambda steps: (3,),
    "sequence": lambda steps: (steps, 3),
}
each = pytest.mark.parametrize(
    ("shape", "options"), NETWORKS.values(), ids=NETWORKS.keys()
)


def make(shape, num_features=1, context_shape=None, dtype="float32", **options):
    options = {"filters": 4, "skip_filters": 6} | options
    network = CausalConv(shape, 2, num_features, dtype=dtype, **options)
    return laws.build(network, context_shape)


def field(network):
    time = np.arange(network.num_positions)
    return np.subtract.outer(time, time) <= network.receptive_field


@pytest.mark.parametrize(
    ("shape", "options", "kind"),
    [
        (*NETWORKS["whole past"], "none"),
        (*NETWORKS["short field"], "vector"),
        (*NETWORKS["short field"], "none"),
        (*NETWORKS["three taps"], "sequence"),
    ],
    ids=["whole past", "short field, vector", "short field", "three taps, sequence"],
)
def test_a_step_sees_its_receptive_field_and_nothing_else(shape, options, kind):
    context_shape = CONTEXTS[kind](shape[0])
    network = make(shape, 1, context_shape, **options)
    context = laws.contexts(network, context_shape)
    laws.assert_sees_exactly_however_trained(network, field(network), context)


def test_the_receptive_field_is_the_sum_of_dilations_and_the_delay():
    assert make((9, 1), num_layers=3, dilation_cycle=2).receptive_field == 1 + 1 + 2 + 1
    assert make((9, 1), num_layers=16, dilation_cycle=8).receptive_field == 511


@each
@pytest.mark.parametrize(
    ("dtype", "kind"), [("float64", "none"), ("float32", "vector")]
)
def test_steps_give_the_numbers_of_call(shape, options, dtype, kind):
    context_shape = CONTEXTS[kind](shape[0])
    network = make(shape, 1, context_shape, dtype, **options)
    context = laws.contexts(network, context_shape)
    laws.assert_steps_give_the_numbers_of_call(network, context)


def test_steps_give_the_numbers_of_call_with_features_and_a_sequence():
    network = make((9, 2), 3, (9, 3), "float64", num_layers=3, dilation_cycle=2)
    context = laws.contexts(network, (9, 3))
    laws.assert_sees_exactly(network, field(network), context=context)
    laws.assert_steps_give_the_numbers_of_call(network, context)


@each
def test_a_sample_costs_one_call(shape, options):
    laws.assert_a_sample_costs(1.0, make(shape, **options))


def test_a_sequence_as_context_is_seen_from_its_time_on():
    network = make((9, 1), 1, (9, 3), num_layers=4, dilation_cycle=4)
    x, context = laws.events(network), laws.contexts(network, (9, 3)).numpy()
    before = network(x, context=context).numpy()
    context[:, 4] += 1.0
    changed = (network(x, context=context).numpy() != before).any(axis=(0, 2, 3))
    # It enters at the gated units, so that only dilations above 1 carry it on.
    np.testing.assert_array_equal(changed, np.isin(np.arange(9), [4, 6, 8]))


def test_equals_a_wavenet_in_numpy():
    network = make((6, 1), dtype="float64", num_layers=3, dilation_cycle=2)
    x = laws.events(network).numpy()
    w = iter([v.numpy() for v in network.trainable_variables])
    first, first_bias = next(w), next(w)
    units = [(next(w), next(w)) for _ in range(3)]
    mixes = [(next(w), next(w)) for _ in range(3)]
    hidden, hidden_bias, last, last_bias = w
    late = lambda v, d: np.concatenate([0 * v[:, :d], v[:, :-d]], axis=1)  # noqa: E731
    h, skip = late(x, 1) @ first + first_bias, 0.0
    for dilation, (unit, bias), (mix, mix_bias) in zip(
        (1, 2, 1), units, mixes, strict=True
    ):
        gates = late(h, dilation) @ unit[:4] + h @ unit[4:] + bias
        z = np.tanh(gates[..., :4]) / (1.0 + np.exp(-gates[..., 4:]))
        both = z @ mix + mix_bias
        h = h + both[..., :4]  # the last layer's h is not used any more
        skip = skip + both[..., -6:]
    wanted = np.maximum(np.maximum(skip, 0) @ hidden + hidden_bias, 0) @ last
    wanted = (wanted + last_bias).reshape(3, 6, 1, 2)
    np.testing.assert_allclose(network(x), wanted, atol=1e-12)


def test_the_work_of_a_step_does_not_grow_with_the_field():
    def matrix_products(cycle):
        network = make((2**cycle, 1), num_layers=6, dilation_cycle=cycle)
        function = tf.function(lambda s, x, i: network.step(s, x, i)[0])
        state = network.initial_state(3)
        graph = function.get_concrete_function(state, tf.zeros([3, 1]), 1).graph
        return [
            op.inputs[0].shape.as_list()
            for op in graph.get_operations()
            if op.type == "MatMul"
        ]

    short, long = matrix_products(2), matrix_products(6)
    assert short == long and len(short) == 1 + 2 * 6 + 2


@settings(max_examples=6, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 8), st.integers(1, 2)),
    num_features=st.integers(1, 2),
    num_layers=st.integers(1, 4),
    dilation_cycle=st.integers(1, 4),
    kernel_size=st.integers(2, 3),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_steps_give_the_numbers_of_call_whatever_the_sizes(
    shape, num_features, dtype, **options
):
    network = make(shape, num_features, dtype=dtype, **options)
    x = laws.events(network)
    atol = {"float64": 1e-10, "float32": 1e-5}[dtype]
    np.testing.assert_allclose(laws.stepped(network, x), network(x), atol=atol)


def test_begins_at_zero_and_gives_every_weight_a_gradient():
    network = CausalConv((9, 1), 2, filters=4, num_layers=3, dilation_cycle=3)
    x = tf.random.normal([3, 9, 1], seed=0)
    assert not np.any(network(x))
    laws.randomize(network)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(x) ** 2)
    variables = [v.value for v in network.trainable_variables]
    assert all(np.any(g) for g in tape.gradient(loss, variables))


def test_config_round_trip_and_reduced_precision():
    network = make((9, 1), num_layers=3, dilation_cycle=2)
    config = network.get_config() | {"dtype": "mixed_bfloat16"}
    again = CausalConv.from_config(config)
    again.build((None, 9, 1))
    assert [v.shape for v in again.weights] == [v.shape for v in network.weights]
    params = again(np.zeros((2, 9, 1), np.float32))
    assert keras.backend.standardize_dtype(params.dtype) == "bfloat16"
    laws.stepped(again, tf.zeros([2, 9, 1], tf.bfloat16))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((9,), {}, "time steps, channels"),
        ((9, 1), {"num_layers": 0}, "num_layers"),
        ((9, 1), {"kernel_size": 1}, "kernel_size >= 2"),
    ],
)
def test_mistakes_are_named(shape, options, message):
    with pytest.raises(ValueError, match=message):
        CausalConv(shape, 2, **options)


@pytest.mark.parametrize("context_shape", [(8, 3), (2, 9, 3)])
def test_contexts_that_fit_no_time_steps_are_refused(context_shape):
    with pytest.raises(ValueError, match="vectors .* or sequences"):
        CausalConv((9, 1), 2).build((None, 9, 1), (None, *context_shape))
