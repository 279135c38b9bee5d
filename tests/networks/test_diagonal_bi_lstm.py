"""DiagonalBiLSTM: all of the past, steps that equal the call, Keras' contract."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import autoregressive_laws as laws
from tests.networks import pixel_cases as pixels
from tfp_flows.networks import DiagonalBiLSTM
from tfp_flows.networks.pixels.diagonal_bi_lstm import skew, unskew

CASES = {"grey": ("ordered", 1), "ordered": ("ordered", 3), "joint": ("joint", 2)}
each = pytest.mark.parametrize(("channels", "depth"), CASES.values(), ids=CASES.keys())
# Each case once, with a context or without.
with_context = pytest.mark.parametrize(
    ("channels", "depth", "context_shape"),
    [(*CASES["grey"], None), (*CASES["ordered"], (2,)), (*CASES["joint"], None)],
    ids=CASES.keys(),
)


def make(shape, num_params=2, num_features=1, dtype="float64", **kwargs):
    options = {"units": 4, "num_layers": 2, "first_kernel_size": 3} | kwargs
    return DiagonalBiLSTM(shape, num_params, num_features, dtype=dtype, **options)


@each
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 4), (4, 1)])
def test_one_layer_sees_all_of_the_past(shape, channels, depth):
    network = make((*shape, depth), units=12, num_layers=1, channels=channels)
    laws.assert_sees_exactly(laws.build(network))


@with_context
def test_a_position_sees_all_of_the_past_however_trained(
    channels, depth, context_shape
):
    network = make((3, 4, depth), units=12, channels=channels)
    laws.build(network, context_shape)
    context = laws.contexts(network, context_shape)
    laws.assert_sees_exactly_however_trained(network, context=context)


@with_context
def test_steps_give_the_numbers_of_call(channels, depth, context_shape):
    dtype = "float32" if context_shape is None else "float64"
    network = make((3, 3, depth), units=12, channels=channels, dtype=dtype)
    network = laws.build(network, context_shape)
    context = laws.contexts(network, context_shape)
    laws.assert_steps_give_the_numbers_of_call(network, context)


@each
def test_a_context_matters_everywhere(channels, depth):
    network = make((3, 3, depth), units=12, channels=channels)
    pixels.assert_context_matters(laws.build(network, context_shape=(2,)))


@each
def test_a_sample_costs_about_one_call(channels, depth):
    network = make((4, 4, depth), units=12, channels=channels)
    # Of 3 ordered channels each repeats what is not done for the whole row.
    at_most = 2.5 if network.groups == 3 else 1.0
    laws.assert_a_sample_costs(at_most, laws.build(network))


@settings(max_examples=6, deadline=None)
@given(
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    depth=st.integers(1, 3),
    num_features=st.integers(1, 2),
    channels=st.sampled_from(["ordered", "joint"]),
)
def test_steps_equal_call_for_any_shape(height, width, depth, num_features, channels):
    network = make(
        (height, width, depth),
        num_features=num_features,
        channels=channels,
        num_layers=1,
    )
    x = laws.events(laws.build(network))
    found = tf.function(lambda v: laws.stepped(network, v))(x)
    np.testing.assert_allclose(found, network(x), atol=1e-10)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 5)])
def test_skewed_rows_begin_one_later_each(shape):
    height, width = shape
    x = np.random.default_rng(0).standard_normal((2, *shape, 3))
    skewed = skew(tf.constant(x)).numpy()
    assert skewed.shape == (2, height, height + width - 1, 3)
    for row in range(height):
        np.testing.assert_array_equal(skewed[:, row, row : row + width], x[:, row])
        assert not skewed[:, row, :row].any()
        assert not skewed[:, row, row + width :].any()
    np.testing.assert_array_equal(unskew(tf.constant(skewed), width), x)


@each
def test_it_is_a_keras_layer_like_any_other(channels, depth):
    pixels.assert_keras_contract(
        lambda **kwargs: make((3, 3, depth), channels=channels, **kwargs)
    )


@each
def test_every_weight_learns(channels, depth):
    network = make((4, 4, depth), channels=channels, num_features=2)
    pixels.assert_every_weight_learns(laws.build(network, context_shape=(2,)))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"units": 0}, "at least 1 filters"),
        ({"num_layers": 0}, "num_blocks >= 1"),
        ({"first_kernel_size": 2}, "odd first_kernel_size"),
    ],
)
def test_bad_arguments_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make((4, 4, 1), **kwargs)
