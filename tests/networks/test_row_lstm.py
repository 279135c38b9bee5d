"""RowLSTM: its triangle, steps that equal the call, Keras' contract."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import autoregressive_laws as laws
from tests.networks import pixel_cases as pixels
from tfp_flows.networks import RowLSTM

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
    return RowLSTM(shape, num_params, num_features, dtype=dtype, **options)


def triangle(network):
    """What the network may see, layer by layer, `[H, W, H, W]`."""
    shape, reach = network.event_shape[:2], network.kernel_size // 2
    left = pixels.looks(shape, pixels.rectangle([0], range(-reach, 1)))
    row_above = pixels.rectangle([-1], range(-reach, reach + 1))
    h = pixels.mask_a(shape, network.first_kernel_size)
    for _ in range(network.num_layers):
        state = pixels.after(h, left)
        for _ in range(shape[0]):  # the row above, and through it all others
            state |= pixels.after(state, pixels.looks(shape, row_above))
        h |= state
    return h


@with_context
def test_a_position_sees_its_triangle_and_nothing_else(channels, depth, context_shape):
    network = make((3, 7, depth), units=12, channels=channels)
    may_see = pixels.positions(network, triangle(network))
    earlier = np.tri(network.num_positions, k=-1, dtype=bool)
    assert (earlier & ~may_see).any(), "wide enough to leave something out"
    laws.build(network, context_shape)
    context = laws.contexts(network, context_shape)
    laws.assert_sees_exactly_however_trained(network, may_see, context)


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
    kernel_size=st.sampled_from([3, 5]),
    channels=st.sampled_from(["ordered", "joint"]),
)
def test_steps_equal_call_for_any_shape(
    height, width, depth, num_features, kernel_size, channels
):
    network = make(
        (height, width, depth),
        num_features=num_features,
        kernel_size=kernel_size,
        channels=channels,
        num_layers=1,
    )
    x = laws.events(laws.build(network))
    found = tf.function(lambda v: laws.stepped(network, v))(x)
    np.testing.assert_allclose(found, network(x), atol=1e-10)


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
        ({"kernel_size": 2}, "odd kernel_size"),
    ],
)
def test_bad_arguments_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make((4, 4, 1), **kwargs)
