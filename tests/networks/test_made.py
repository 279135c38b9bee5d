"""MADE: what it sees, step by step and at once, in every order."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import autoregressive_laws as laws
from tfp_flows.networks import MADE
from tfp_flows.networks import made as made_module

_SMALL = {"hidden_units": (12, 17), "activation": "tanh"}
KINDS = {
    "natural": {},
    "reversed, one layer": {"order": "reversed", "hidden_units": (9,)},
    "random": {"order": "random", "seed": 3},
    "random blocks, features": {
        "order": "random",
        "block_size": 2,
        "num_features": 3,
        "seed": 4,
    },
    "residual": {"residual": True, "hidden_units": (8, 8, 8)},
    "residual, reversed blocks": {
        "residual": True,
        "hidden_units": (9, 9),
        "order": "reversed",
        "block_size": 3,
    },
    "linear": {"hidden_units": ()},
    "halves": {"hidden_units": (256, 300)},
    "halves, reversed, features": {
        "hidden_units": (256,),
        "order": "reversed",
        "num_features": 2,
    },
    "halves, random": {"hidden_units": (257, 256), "order": "random"},
    "halves, residual": {"hidden_units": (256, 256), "residual": True},
}
each = pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
# Every other kind with a context.
with_context = pytest.mark.parametrize(
    ("options", "context_shape"),
    [(kind, (2,) if i % 2 else None) for i, kind in enumerate(KINDS.values())],
    ids=KINDS,
)


def made(shape=(6,), num_params=2, dtype="float64", context_shape=None, **options):
    network = MADE(shape, num_params, dtype=dtype, **{**_SMALL, **options})
    return laws.build(network, context_shape)


@with_context
def test_positions_see_exactly_the_earlier_ones(options, context_shape):
    network = made(context_shape=context_shape, **options)
    context = laws.contexts(network, context_shape)
    laws.assert_sees_exactly_however_trained(network, context=context)


@with_context
def test_steps_give_the_numbers_of_call(options, context_shape):
    dtype = "float32" if context_shape is None else "float64"
    network = made(dtype=dtype, context_shape=context_shape, **options)
    context = laws.contexts(network, context_shape)
    laws.assert_steps_give_the_numbers_of_call(network, context)


def test_steps_give_the_numbers_of_call_for_images():
    laws.assert_steps_give_the_numbers_of_call(made((2, 2, 2)))


@each
def test_a_context_reaches_every_position(options):
    network = made(context_shape=(2,), **options)
    x, context = laws.events(network), laws.contexts(network)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(context)
        params = network(x, context=context)
    jacobian = tape.batch_jacobian(params, context, experimental_use_pfor=False)
    assert (np.abs(jacobian).max(axis=(0, 2, 3)) > 0).all()


@settings(max_examples=8, deadline=None)
@given(
    height=st.integers(1, 3),
    width=st.integers(2, 3),
    block=st.sampled_from([1, 2]),
    order=st.sampled_from(["natural", "reversed", "random"]),
    extra=st.lists(st.integers(0, 9), max_size=2),
    residual=st.booleans(),
    conditional=st.booleans(),
    halved=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_size_order_and_depth(
    height, width, block, order, extra, residual, conditional, halved, seed
):
    shape = (height, width * block)
    # At least a unit of each degree, so that all earlier positions can be seen.
    widths = [height * width + n for n in extra]
    if residual:
        widths = [height * width + len(extra)] * (1 + len(extra))
    with mock.patch.object(made_module, "_WIDE", 1 if halved else 256):
        network = made(
            shape,
            order=order,
            block_size=block,
            seed=seed,
            residual=residual,
            hidden_units=widths,
            context_shape=(2,) if conditional else None,
        )
    context = laws.contexts(network, (2,) if conditional else None)
    laws.assert_sees_exactly(network, context=context)
    x = laws.events(network)
    stepped = tf.function(lambda v: laws.stepped(network, v, context))(x)
    np.testing.assert_allclose(stepped, network(x, **laws.given(context)), atol=1e-10)


def test_a_single_position_sees_nothing():
    network = made((1,))
    assert not laws.dependence(network).any()
    laws.assert_steps_give_the_numbers_of_call(network)


def test_fewer_units_than_positions_see_no_later_position():
    network = made((9,), hidden_units=(4, 3))
    seen = laws.dependence(network) > 0
    assert not seen[~np.tri(9, k=-1, dtype=bool)].any()
    assert seen[-1, :-1].all()  # units of the highest degree exist
    laws.assert_steps_give_the_numbers_of_call(network)


@pytest.mark.parametrize("width", [7, 260])
def test_the_numbers_are_those_of_masked_matrices(width):
    """MADE in NumPy, with masks built from the definition, not from sorted degrees."""
    network = made((5,), num_params=3, order="reversed", hidden_units=(width,))
    network._dense[-1].adapt([np.random.default_rng(0).normal(size=(5, width))])
    first, last = (layer.get_weights() for layer in network._dense)
    degree = np.sort(1 + np.arange(width) % 4)
    position = np.arange(5)[::-1]
    sees_input = position[:, None] < degree[None]
    seen_by_output = degree[:, None] <= np.tile(position, 3)[None]
    x = laws.events(network).numpy()
    h = np.tanh(x @ (first[0] * sees_input) + first[1])
    kernel = last[3] * last[0] * seen_by_output
    params = ((h - last[2]) @ kernel + last[1]).reshape(3, 3, 5)
    np.testing.assert_allclose(network(x), params.transpose(0, 2, 1), atol=1e-12)
    for p, one in enumerate(network.separate(x)):
        np.testing.assert_allclose(one, params[:, p], atol=1e-12)


@pytest.mark.parametrize("residual", [False, True])
def test_a_sample_costs_about_one_call(residual):
    network = MADE((32,), 2, hidden_units=(128,) * 3, residual=residual)
    # Groups of 5 steps: 35 places for 32 positions, on both sides of W, and a product
    # of 5 blocks more a step.
    laws.assert_a_sample_costs(1.6, laws.build(network))


def test_even_blocks_make_steps_cheaper_and_hide_no_position():
    # 63 degrees share 192 units in blocks of up to 4, 64 in blocks of 3.
    network = laws.build(MADE((64,), 2, hidden_units=(192, 192)))
    laws.assert_a_sample_costs(1.05, network)
    laws.assert_sees_exactly(made((32,), hidden_units=(64,)))


def test_halves_save_a_quarter_of_the_work():
    network = laws.build(MADE((64,), 2, hidden_units=(256, 256)))
    sizes = 64 * 256, 256 * 256, 256 * 128
    x = laws.events(network)
    found = laws.multiplications(lambda: network(x))
    assert found == 0.75 * len(x) * sum(sizes)


def test_params_are_zero_before_training_and_the_config_makes_the_same_network():
    network = MADE((4,), 3, order="random", seed=5, block_size=2, residual=True)
    assert not network(tf.ones([2, 4])).numpy().any()
    again = MADE.from_config(network.get_config())
    np.testing.assert_array_equal(again.order, network.order)
    again.build((None, 4))
    shapes = [[v.shape for v in n.variables] for n in (network, again)]
    assert shapes[0] == shapes[1]


def test_reduced_precision_has_params_in_the_dtype_of_the_weights():
    network = laws.build(MADE((6,), 2, **_SMALL, dtype="mixed_bfloat16"))
    x = laws.events(network)
    params = network(x)
    assert params.dtype == tf.float32 and network.compute_dtype == "bfloat16"
    shown = tf.transpose(x)[..., None]
    state = network.initial_state(3)
    for i in range(6):
        found, state = network.step(state, shown[max(i - 1, 0)], i)
        np.testing.assert_allclose(found[:, 0], params[:, i], atol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "spiral"}, "no order 'spiral'. Choose natural, reversed or random"),
        ({"block_size": 4}, "block_size that divides the event, got 4"),
        ({"hidden_units": (4, 0)}, "positive widths"),
        ({"hidden_units": (4, 5), "residual": True}, "equal widths"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MADE((6,), 2, **options)


def test_an_unwanted_context_is_refused():
    with pytest.raises(ValueError, match="built without a context"):
        made()(tf.ones([3, 6]), context=tf.ones([3, 2]))


def test_an_optimizer_of_keras_trains_all_weights():
    network = made((4,), dtype="float32")
    before = [v.numpy() for v in network.trainable_variables]
    model = keras.Sequential([keras.Input((4,)), network])
    model.compile("adam", "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 4, 2)), verbose=0)
    for old, new in zip(before, network.trainable_variables, strict=True):
        assert not np.array_equal(old, new.numpy())


def test_no_mask_is_a_constant_of_a_graph():
    # Exports would carry it, and TensorFlow takes a Python call for each of its bools.
    network = made((30,), dtype="float32", hidden_units=(31, 32))

    @tf.function
    def both(x):
        state = network.initial_state(tf.shape(x)[0])
        return network(x), network.step(state, x[:, :1], 1)[0]

    graph = both.get_concrete_function(tf.zeros([2, 30])).graph
    constants = [op.outputs[0] for op in graph.get_operations() if op.type == "Const"]
    sizes = [t.shape.num_elements() for t in constants]
    assert 30 * 2 <= max(sizes) < 30 * 31
