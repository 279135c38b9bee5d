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


@each
def test_a_position_sees_its_field_and_nothing_else(gated, channels, depth):
    # Enough units that no group is cut off by its rectifiers.
    network = make((4, 6, depth), filters=36, gated=gated, channels=channels)
    laws.build(network)
    laws.assert_sees_exactly(network, pixels.positions(network, field(network)))


@pytest.mark.parametrize("channels", ["ordered", "joint"])
def test_a_deep_gated_network_sees_all_of_the_past(channels):
    network = make((3, 4, 2), filters=36, channels=channels, num_features=2)
    laws.assert_sees_exactly(laws.build(network))


def test_a_plain_network_has_a_blind_spot():
    shape = (4, 6, 1)
    plain = field(make(shape, gated=False, num_blocks=8))
    gated = field(make(shape, gated=True, num_blocks=8))
    past = np.tri(24, k=-1, dtype=bool).reshape(gated.shape)
    np.testing.assert_array_equal(gated, past)
    assert not plain[3, 0, 2, 5]  # far to the right in the row above
    assert (plain & ~past).sum() == 0


@pytest.mark.slow
@each
def test_masks_survive_training(gated, channels, depth):
    network = laws.build(make((3, 3, depth), gated=gated, channels=channels))
    laws.assert_masks_survive_training(network)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_give_the_numbers_of_call(gated, channels, depth, dtype):
    options = {"gated": gated, "channels": channels, "dtype": dtype}
    network = make((3, 4, depth), filters=24, **options)
    network = laws.build(network, context_shape=(2,))
    context = pixels.context_of(network)
    laws.assert_steps_give_the_numbers_of_call(network, context)
    pixels.assert_context_matters(network)


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


def test_one_traced_function_serves_every_batch_size():
    network = laws.build(make((3, 3, 1), dtype="float32"))
    signature = [tf.TensorSpec([None, 3, 3, 1], tf.float32)]
    stepped = tf.function(lambda v: _dynamic(network, v), input_signature=signature)
    for batch in (1, 4):
        x = laws.events(network, batch)
        np.testing.assert_allclose(stepped(x), network(x), atol=1e-5)


def _dynamic(network, x):
    shown = tf.reshape(x, [-1, network.num_positions, 1])

    def draw(params, i):
        return tf.gather(shown, i, axis=1), [params[..., 0], params[..., 1]]

    found = laws.generate(network, tf.shape(x)[0], draw, [tf.float32] * 2)
    return tf.stack(found, axis=-1)


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
