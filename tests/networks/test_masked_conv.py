"""MaskedConv: what each pixel sees, steps that equal the call, Keras' contract."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import autoregressive_laws as laws
from tests.networks import pixel_cases as pixels
from tfp_flows.networks import MaskedConv

SMALL = {"filters": 6, "num_blocks": 2, "first_kernel_size": 3}
CASES = {
    f"{'gated' if gated else 'plain'} {channels} {depth}": (gated, channels, depth)
    for gated in (True, False)
    for channels, depth in (("ordered", 1), ("ordered", 3), ("joint", 2))
}
each = pytest.mark.parametrize(
    ("gated", "channels", "depth"), CASES.values(), ids=CASES.keys()
)
# Each case with a context or without: 3 with, of both kinds of layers and channels.
CONTEXTS = dict(zip(CASES, [None, (2,), None, (2,), None, (2,)], strict=True))
with_context = pytest.mark.parametrize(
    ("gated", "channels", "depth", "context_shape"),
    [(*case, CONTEXTS[name]) for name, case in CASES.items()],
    ids=CASES.keys(),
)


def make(shape, num_params=2, num_features=1, dtype="float64", **kwargs):
    options = SMALL | kwargs
    return MaskedConv(shape, num_params, num_features, dtype=dtype, **options)


def field(network):
    """What the network may see, layer by layer, `[H, W, H, W]`."""
    shape, reach = network.event_shape[:2], network.kernel_size // 2
    around = range(-reach, reach + 1)
    up = pixels.rectangle(range(-reach, 0), around)
    left = pixels.rectangle([0], range(-reach, 1))
    h = pixels.mask_a(shape, network.first_kernel_size)
    if not network.gated:
        for _ in range(network.num_blocks):
            h = pixels.after(h, pixels.looks(shape, [*up, *left]))
        return h
    first = network.first_kernel_size // 2
    above = pixels.looks(
        shape, pixels.rectangle(range(-first, 0), range(-first, first + 1))
    )
    for _ in range(network.num_blocks):
        above = pixels.after(
            above, pixels.looks(shape, [*up, *pixels.rectangle([0], around)])
        )
        h = pixels.after(h, pixels.looks(shape, left)) | above
    return h


@with_context
def test_a_position_sees_its_field_and_nothing_else(
    gated, channels, depth, context_shape
):
    # Enough units that no group is cut off by its rectifiers.
    network = make((4, 6, depth), filters=36, gated=gated, channels=channels)
    laws.build(network, context_shape)
    may_see = pixels.positions(network, field(network))
    context = laws.contexts(network, context_shape)
    laws.assert_sees_exactly_however_trained(network, may_see, context)


@pytest.mark.parametrize("channels", ["ordered", "joint"])
def test_a_deep_gated_network_sees_all_of_the_past(channels):
    network = make((3, 4, 3), filters=36, channels=channels, num_features=2)
    laws.assert_sees_exactly(laws.build(network))


def test_a_plain_network_has_a_blind_spot():
    shape = (4, 6, 1)
    plain = field(make(shape, gated=False, num_blocks=8))
    gated = field(make(shape, gated=True, num_blocks=8))
    past = np.tri(24, k=-1, dtype=bool).reshape(gated.shape)
    np.testing.assert_array_equal(gated, past)
    assert not plain[3, 0, 2, 5]  # far to the right in the row above
    assert (plain & ~past).sum() == 0


@with_context
def test_steps_give_the_numbers_of_call(gated, channels, depth, context_shape):
    dtype = "float32" if context_shape is None else "float64"
    options = {"gated": gated, "channels": channels, "dtype": dtype}
    network = make((3, 4, depth), filters=24, **options)
    network = laws.build(network, context_shape)
    context = laws.contexts(network, context_shape)
    laws.assert_steps_give_the_numbers_of_call(network, context)


@each
def test_a_context_matters_everywhere(gated, channels, depth):
    network = make((3, 4, depth), filters=24, gated=gated, channels=channels)
    pixels.assert_context_matters(laws.build(network, context_shape=(2,)))


@each
def test_a_sample_costs_about_one_call(gated, channels, depth):
    network = make((4, 4, depth), filters=24, gated=gated, channels=channels)
    # Of 3 ordered channels each repeats what is not done for the whole row.
    at_most = 2.5 if network.groups == 3 else 1.0
    laws.assert_a_sample_costs(at_most, laws.build(network))


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    depth=st.integers(1, 3),
    num_features=st.integers(1, 2),
    kernel_size=st.sampled_from([3, 5]),
    gated=st.booleans(),
    channels=st.sampled_from(["ordered", "joint"]),
)
def test_steps_equal_call_for_any_shape(
    height, width, depth, num_features, kernel_size, gated, channels
):
    network = make(
        (height, width, depth),
        num_features=num_features,
        kernel_size=kernel_size,
        gated=gated,
        channels=channels,
        num_blocks=1,
    )
    x = laws.events(laws.build(network))
    found = tf.function(lambda v: laws.stepped(network, v))(x)
    np.testing.assert_allclose(found, network(x), atol=1e-10)


@each
def test_it_is_a_keras_layer_like_any_other(gated, channels, depth):
    pixels.assert_keras_contract(
        lambda **kwargs: make((3, 3, depth), gated=gated, channels=channels, **kwargs)
    )


@each
def test_every_weight_learns(gated, channels, depth):
    network = make((4, 4, depth), gated=gated, channels=channels, num_features=2)
    pixels.assert_every_weight_learns(laws.build(network, context_shape=(2,)))


def test_dropout_acts_in_training_only():
    network = laws.build(make((3, 3, 1), dropout=0.5))
    x = laws.events(network)
    np.testing.assert_array_equal(network(x), network(x, training=False))
    assert not np.allclose(network(x), network(x, training=True))
    laws.assert_steps_give_the_numbers_of_call(network)


@pytest.mark.parametrize(
    ("shape", "kwargs", "message"),
    [
        ((4, 4), {}, "images"),
        ((4, 4, 0), {}, "positive sizes"),
        ((4, 4, 3), {"filters": 2}, "at least 3 filters"),
        ((4, 4, 3), {"num_blocks": 0}, "num_blocks >= 1"),
        ((4, 4, 1), {"kernel_size": 4}, "odd kernel_size"),
        ((4, 4, 1), {"first_kernel_size": 1}, "odd first_kernel_size"),
        ((4, 4, 1), {"channels": "rgb"}, '"ordered" or "joint"'),
    ],
)
def test_bad_arguments_are_refused(shape, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(shape, **kwargs)


def test_an_image_as_context_is_refused():
    network = make((4, 4, 1))
    with pytest.raises(ValueError, match="vectors"):
        network.build((None, 4, 4, 1), context_shape=(None, 4, 4, 2))
