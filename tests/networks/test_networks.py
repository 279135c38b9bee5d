"""Networks: shapes, contexts, Keras' layer contract; masks."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfp_flows.networks import MADE, MLP, ConvResNet, GlowNet, Parameters, masks

NETWORKS = {
    "MLP": (lambda: MLP((8, 6), "tanh", dropout=0.1), (3,), (6,)),
    "residual MLP": (lambda: MLP((8, 8, 8), residual=True), (3,), (8,)),
    "ConvResNet": (
        lambda: ConvResNet(8, 2, "tanh", dropout=0.1),
        (4, 6, 2),
        (4, 6, 8),
    ),
}
each = pytest.mark.parametrize(
    ("make", "shape", "features"), NETWORKS.values(), ids=NETWORKS.keys()
)


@each
def test_features_have_the_promised_shape(make, shape, features):
    assert make()(np.zeros((5, *shape), np.float32)).shape == (5, *features)


@each
def test_context_changes_the_features(make, shape, features):
    network, x = make(), np.ones((5, *shape), np.float32)
    first = network(x, context=np.zeros((5, 2), np.float32))
    second = network(x, context=np.ones((5, 2), np.float32))
    assert first.shape == (5, *features)
    assert not np.allclose(first, second)


@pytest.mark.parametrize(
    "make", [lambda: MLP((8,)), lambda: MADE((3,), 2, hidden_units=(8,))]
)
def test_a_context_of_several_axes_is_seen_as_a_vector(make):
    rng = np.random.default_rng(0)
    x, context = (rng.normal(size=(5, *s)).astype(np.float32) for s in [(3,), (2, 3)])
    wide, flat = make(), make()
    wide(x, context=context)
    rows = context.reshape(5, 6)
    flat(x, context=rows)
    weights = [rng.normal(size=w.shape) for w in wide.get_weights()]
    wide.set_weights(weights)
    flat.set_weights(weights)
    np.testing.assert_allclose(wide(x, context=context), flat(x, context=rows))
    assert np.std(wide(x, context=context) - wide(x, context=0 * context)) > 0.01


@pytest.mark.parametrize("make", [lambda: ConvResNet(8, 1), lambda: GlowNet(8)])
@pytest.mark.parametrize("factor", [1, 2])
def test_an_image_as_context_is_seen_where_it_lies(make, factor):
    network, x = make(), np.ones((1, 6, 8, 2), np.float32)
    context = np.zeros((1, 6 * factor, 8 * factor, 3), np.float32)
    before = network(x, context=context).numpy()
    context[0, factor, factor] = 5.0  # belongs to the pixel (1, 1)
    changed = (network(x, context=context).numpy() != before).any(axis=(0, -1))
    assert changed[:4, :4].any()
    assert not changed[4:].any() and not changed[:, 4:].any()


@pytest.mark.parametrize("make", [lambda: ConvResNet(8), lambda: GlowNet(8)])
@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 1), (8, 4, 1), (9, 9, 1), (2, 2, 1)])
def test_contexts_that_are_no_vector_and_no_fitting_image_are_refused(make, shape):
    with pytest.raises(ValueError, match="takes vectors .* or such with positions"):
        make().build((None, 4, 4, 2), (None, *shape))


@each
def test_config_round_trip_builds_the_same_architecture(make, shape, features):
    network = make()
    network.build((None, *shape))
    again = type(network).from_config(network.get_config())
    again.build((None, *shape))
    assert [v.shape for v in again.weights] == [v.shape for v in network.weights]
    assert len(again.weights) > 0


@each
def test_half_precision_policy_reaches_every_layer(make, shape, features):
    config = make().get_config() | {"dtype": "mixed_bfloat16"}
    network = type(make()).from_config(config)
    out = network(np.zeros((2, *shape), np.float32))
    assert keras.backend.standardize_dtype(out.dtype) == "bfloat16"
    assert {v.dtype for v in network.trainable_variables} == {"float32"}


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
def test_a_glow_net_standardises_what_it_is_adapted_to(dtype):
    network = GlowNet(8, dtype=dtype)
    x = np.random.default_rng(0).normal(3.0, 5.0, (32, 4, 4, 2))
    network(x, context=x)
    assert not network.is_adapted
    network.adapt(x, context=x)
    assert network.is_adapted
    # The rectifier passes half of a standard normal: mean 0.4, deviation 0.6.
    features = np.asarray(keras.ops.cast(network(x, context=x), "float32"))
    np.testing.assert_allclose(features.mean(), 0.4, atol=0.05)
    np.testing.assert_allclose(features.std(), 0.6, atol=0.06)


def test_a_residual_network_is_deep_and_starts_near_its_first_layer():
    shallow, deep = MLP((8,)), MLP((8,) * 6, residual=True)
    for network in (shallow, deep):
        network.build((None, 3))
    assert deep.count_params() > 5 * shallow.count_params()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(()), "at least one positive width"),
        (lambda: MLP((8, 0)), "at least one positive width"),
        (lambda: MLP((8, 4), residual=True), "equal widths"),
        (lambda: ConvResNet(0), "filters >= 1"),
        (lambda: ConvResNet(8, -1), "num_blocks >= 0"),
    ],
)
def test_bad_sizes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_parameters_are_tracked_named_and_never_autocast():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        weights = Parameters(
            {"a": np.ones(3)}, {"done": np.array(False)}, dtype="float64"
        )
    finally:
        keras.config.set_dtype_policy("float32")
    assert weights["a"].dtype == "float64"
    assert weights["done"].dtype == bool
    assert len(weights.trainable_variables) == 1
    weights.assign(a=np.arange(3.0), done=True)
    np.testing.assert_array_equal(weights["a"], [0.0, 1.0, 2.0])
    assert bool(weights["done"].numpy())


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 5), width=st.integers(2, 5), channels=st.integers(1, 4))
def test_a_mask_and_its_flip_split_the_event(height, width, channels):
    shape = (height, width, channels)
    for mask in (masks.half, masks.alternating, masks.checkerboard):
        if channels < 2 and mask is not masks.checkerboard:
            with pytest.raises(ValueError, match="at least 2 units"):
                mask(shape)
            continue
        first, second = mask(shape), mask(shape, flip=True)
        assert first.shape == shape
        np.testing.assert_array_equal(first, ~second)
        assert first.any()
        assert second.any()


def test_a_checkerboard_has_no_equal_neighbours():
    board = masks.checkerboard((4, 6, 1))[..., 0]
    assert (board[1:] != board[:-1]).all()
    assert (board[:, 1:] != board[:, :-1]).all()


@pytest.mark.parametrize("shape", [(4,), (), (1, 1, 3), (4, 0, 1)])
def test_a_checkerboard_needs_an_image(shape):
    with pytest.raises(ValueError, match="event_shape"):
        masks.checkerboard(shape)


def test_an_outlier_counts_by_its_logarithm():
    network = MLP((5,), "linear")
    network.build((None, 1))
    at_zero, at_one, *others = network(
        np.array([[0.0], [1.0], [8.0], [-8.0], [8e3], [-8e6], [np.nan]], np.float32)
    ).numpy()
    slope = at_one - at_zero  # the network is linear up to 8
    wanted = [8.0, -8.0, 8 * (1 + np.log(1e3)), -8 * (1 + np.log(1e6))]
    np.testing.assert_allclose(
        others[:-1], at_zero + np.outer(wanted, slope), rtol=1e-5, atol=1e-5
    )
    assert np.isnan(others[-1]).all()
