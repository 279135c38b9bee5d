"""MADE: what it sees, step by step and at once, in every order."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import autoregressive_laws as laws
from tfp_flows.networks import MADE

_SMALL = {"hidden_units": (12, 17), "activation": "tanh"}
KINDS = {
    "natural": {},
    "reversed, one layer": {"order": "reversed", "hidden_units": (9,)},
    "random blocks, features": {
        "order": "random",
        "block_size": 2,
        "num_features": 3,
        "seed": 4,
    },
    "residual": {"residual": True, "hidden_units": (8, 8, 8)},
    "linear": {"hidden_units": ()},
}


def made(shape=(6,), num_params=2, dtype="float64", context_shape=None, **options):
    network = MADE(shape, num_params, dtype=dtype, **{**_SMALL, **options})
    return laws.build(network, context_shape)


def contexts(dtype="float64"):
    return tf.constant(np.random.default_rng(7).standard_normal((3, 2)), dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_positions_see_exactly_the_earlier_ones(kind):
    laws.assert_sees_exactly(made(**KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_steps_give_the_numbers_of_call(kind):
    laws.assert_steps_give_the_numbers_of_call(made(**KINDS[kind]))


def test_steps_give_the_numbers_of_call_in_float32_and_for_images():
    laws.assert_steps_give_the_numbers_of_call(made((2, 2, 2), dtype="float32"))


@pytest.mark.parametrize("kind", ["natural", "residual", "linear"])
def test_a_context_reaches_every_position(kind):
    network = made(context_shape=(2,), **KINDS[kind])
    x, context = laws.events(network), contexts()
    laws.assert_sees_exactly(network, context=context)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(context)
        params = network(x, context=context)
    jacobian = tape.batch_jacobian(params, context, experimental_use_pfor=False)
    assert (np.abs(jacobian).max(axis=(0, 2, 3)) > 0).all()
    laws.assert_steps_give_the_numbers_of_call(network, context)


@pytest.mark.parametrize("kind", ["natural", "random blocks, features"])
def test_masks_survive_training_and_averaged_weights(kind):
    laws.assert_masks_survive_training(made(**KINDS[kind]))


@settings(max_examples=8, deadline=None)
@given(
    height=st.integers(1, 3),
    width=st.integers(2, 3),
    block=st.sampled_from([1, 2]),
    order=st.sampled_from(["natural", "reversed", "random"]),
    extra=st.lists(st.integers(0, 9), max_size=2),
    conditional=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_size_order_and_depth(
    height, width, block, order, extra, conditional, seed
):
    shape = (height, width * block)
    # At least a unit of each degree, so that all earlier positions can be seen.
    widths = [height * width + n for n in extra]
    network = made(
        shape,
        order=order,
        block_size=block,
        seed=seed,
        hidden_units=widths,
        context_shape=(2,) if conditional else None,
    )
    context = contexts() if conditional else None
    laws.assert_sees_exactly(network, context=context)
    x = laws.events(network)
    kwargs = {"context": context} if conditional else {}
    stepped = tf.function(lambda v: laws.stepped(network, v, context))(x)
    np.testing.assert_allclose(stepped, network(x, **kwargs), atol=1e-10)


def test_fewer_units_than_positions_see_no_later_position():
    network = made((9,), hidden_units=(4, 3))
    seen = laws.dependence(network) > 0
    assert not seen[~np.tri(9, k=-1, dtype=bool)].any()
    assert seen[-1, :-1].all()  # units of the highest degree exist
    laws.assert_steps_give_the_numbers_of_call(network)


def test_the_numbers_are_those_of_masked_matrices():
    """MADE in NumPy, with masks built from the definition, not from sorted degrees."""
    network = made((5,), num_params=3, order="reversed", hidden_units=(7,))
    first, last = (layer.get_weights() for layer in network._dense)
    degree = np.sort(1 + np.arange(7) % 4)
    position = np.arange(5)[::-1]
    sees_input = position[:, None] < degree[None]
    seen_by_output = degree[:, None] <= np.tile(position, 3)[None]
    x = laws.events(network).numpy()
    h = np.tanh(x @ (first[0] * sees_input) + first[1])
    params = (h @ (last[0] * seen_by_output) + last[1]).reshape(3, 3, 5)
    np.testing.assert_allclose(network(x), params.transpose(0, 2, 1), atol=1e-12)
    for p, one in enumerate(network.separate(x)):
        np.testing.assert_allclose(one, params[:, p], atol=1e-12)


def test_sampling_takes_the_arithmetic_of_about_one_call():
    """Multiplications of all steps together against those of one call."""
    network = MADE((32,), 2, hidden_units=(128, 128))
    network.build((None, 32))
    kernels, *_ = network.initial_state(1)
    steps = sum(int(np.prod(kernel.shape)) for kernel in kernels)
    call = 32 * 128 + 128 * 128 + 128 * 64
    assert steps < 1.5 * call  # 31 degrees share 128 units: a sixth is padding


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
        made()(tf.ones([3, 6]), context=contexts())


def test_an_optimizer_of_keras_trains_all_weights():
    network = made((4,), dtype="float32")
    before = [v.numpy() for v in network.trainable_variables]
    model = keras.Sequential([keras.Input((4,)), network])
    model.compile("adam", "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 4, 2)), verbose=0)
    for old, new in zip(before, network.trainable_variables, strict=True):
        assert not np.array_equal(old, new.numpy())
