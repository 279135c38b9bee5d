"""Any Keras model can be a conditioner; masks; shapes drawn by hypothesis."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import laws
from tfp_flows.bijectors import (
    AdditiveCoupling,
    AffineCoupling,
    Conditioner,
    MixtureLogisticCoupling,
    SplineCoupling,
)
from tfp_flows.networks import MLP, masks

layers = keras.layers


def sequential():
    return keras.Sequential([layers.Dense(8, "tanh"), layers.Dense(8, "tanh")])


def functional():
    x = keras.Input((2,))
    hidden = layers.Dense(8, "tanh")(x)
    return keras.Model(x, layers.Concatenate()([hidden, x]))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(8, "tanh")

    def call(self, x):
        return self.dense(x) + 1.0


def with_dropout():
    return keras.Sequential([layers.Dense(8, "tanh"), layers.Dropout(0.5)])


def with_batch_norm():
    return keras.Sequential([layers.Dense(8, "tanh"), layers.BatchNormalization()])


@pytest.mark.parametrize(
    "network", [sequential, functional, Subclassed, with_dropout, with_batch_norm]
)
def test_any_keras_model_is_a_conditioner(network):
    bijector = AffineCoupling((4,), network(), masks.half((4,)))
    laws.randomize(bijector)
    y = tf.random.normal([5, 4])
    laws.assert_both_sides_see_the_weights(bijector, bijector.keras_layers)
    laws.assert_round_trip(bijector, y)
    laws.assert_log_det_matches_autodiff(bijector, y)


def test_the_context_may_be_the_second_input_of_a_functional_model():
    x, context = keras.Input((2,)), keras.Input((3,))
    features = layers.Dense(8, "tanh")(layers.Concatenate()([x, context]))
    bijector = AffineCoupling(
        (4,), keras.Model([x, context], features), masks.half((4,)), context_shape=(3,)
    )
    laws.randomize(bijector)
    y, context = tf.random.normal([5, 4]), tf.random.normal([5, 3])
    laws.assert_log_det_matches_autodiff(bijector, y, context=context)
    assert not np.allclose(
        bijector.inverse(y, context=context), bijector.inverse(y, context=context + 1)
    )


def test_one_feature_vector_for_a_whole_image_is_welcome():
    network = keras.Sequential([layers.Flatten(), layers.Dense(8, "tanh")])
    bijector = AffineCoupling((4, 4, 2), network, masks.half((4, 4, 2)))
    laws.randomize(bijector)
    laws.assert_log_det_matches_autodiff(bijector, tf.random.normal([2, 4, 4, 2]))


def test_dropout_and_batch_norm_follow_the_training_mode_of_the_caller():
    class Trainer(keras.Model):
        def __init__(self, bijector):
            super().__init__()
            self.bijector = bijector

        def call(self, y, training=None):
            return self.bijector.inverse(tf.identity(y))

    bijector = AffineCoupling((4,), with_dropout(), masks.half((4,)))
    laws.randomize(bijector)
    y, model = tf.random.normal([50, 4]), Trainer(bijector)
    still = model(y, training=False)
    np.testing.assert_array_equal(still, bijector.inverse(y))
    assert not np.allclose(model(y, training=True), still)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (MLP, "Pass the network itself"),
        (lambda x: x, "Pass the network itself"),
        (keras.Sequential([layers.Reshape((1, 2))]), "features of shape"),
    ],
)
def test_what_is_no_network_is_refused(network, message):
    with pytest.raises(ValueError, match=message):
        AffineCoupling((4,), network, masks.half((4,)))


def test_a_context_that_the_network_does_not_declare_is_refused():
    with pytest.raises(ValueError, match="declares no context"):
        Conditioner(sequential(), (2,), 4, (3,), "float32", "here")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones(4, bool), "at least one active unit"),
        (np.array([1, 0, 1, 0]), "boolean"),
        (np.array([True, False, True]), "broadcasts"),
    ],
)
def test_masks_that_do_not_split_are_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        AffineCoupling((4,), MLP((8,)), mask)


def test_a_scale_needs_a_bound():
    with pytest.raises(ValueError, match="scale_bound"):
        AffineCoupling((4,), MLP((8,)), masks.half((4,)), scale_bound=0.0)


def test_the_scale_expands_and_contracts_up_to_its_bound():
    bijector = AffineCoupling((2,), MLP((4,)), masks.half((2,)), scale_bound=1.5)
    head = bijector.keras_layers[1]
    for raw, expected in ((100.0, 1.5), (-100.0, -1.5), (0.0, 0.0)):
        head.bias.assign([0.0, raw])
        log_det = bijector.forward_log_det_jacobian(tf.ones([1, 2]))
        np.testing.assert_allclose(log_det, [expected], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "mask"),
    [
        (AdditiveCoupling, masks.half),
        (AffineCoupling, masks.alternating),
        (SplineCoupling, masks.half),
        (MixtureLogisticCoupling, masks.alternating),
    ],
)
def test_masks_hold_after_training(kind, mask):
    """Passive units stay; an active one depends on them and on itself alone."""
    mask = mask((4,))
    bijector = kind((4,), MLP((8,), "tanh"), mask)
    laws.randomize(bijector)
    y = tf.random.stateless_normal([64, 4], (1, 2))
    optimizer = keras.optimizers.Adam(1e-2)
    variables = bijector.trainable_variables
    before = [v.numpy() for v in variables]

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            x = bijector.inverse(tf.identity(y))
            log_det = bijector.inverse_log_det_jacobian(y, 1)
            loss = tf.reduce_mean(tf.reduce_sum(x**4, axis=1) - log_det)
        return tape.gradient(loss, variables)

    for _ in range(100):
        optimizer.apply(gradients(), variables)
    assert all(np.any(v != w) for v, w in zip(before, variables, strict=True))
    with tf.GradientTape() as tape:
        tape.watch(y)
        x = bijector.inverse(y)
    np.testing.assert_array_equal(x.numpy()[:, mask], y.numpy()[:, mask])
    jacobian = tape.batch_jacobian(x, y).numpy()
    among = jacobian[:, ~mask][:, :, ~mask]
    np.testing.assert_array_equal(among * (1 - np.eye(2)), 0.0)
    assert (among[:, [0, 1], [0, 1]] > 0).all()
    assert (np.abs(jacobian[:, ~mask][:, :, mask]).max(axis=0) > 0).all()


@settings(max_examples=15, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    batch=st.lists(st.integers(1, 3), max_size=2),
    dtype=st.sampled_from(["float32", "float64"]),
    kind=st.sampled_from([AffineCoupling, SplineCoupling, MixtureLogisticCoupling]),
    data=st.data(),
)
def test_any_shape_any_mask_any_batch(shape, batch, dtype, kind, data):
    size = int(np.prod(shape))
    if size < 2:
        shape, size = [2], 2
    bits = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    mask = np.array(bits).reshape(shape)
    if mask.all() or not mask.any():
        mask.flat[0] = not mask.flat[0]
    bijector = kind(shape, MLP((4,), "tanh", dtype=dtype), mask, dtype=dtype)
    laws.randomize(bijector)
    y = tf.random.stateless_normal([*batch, *shape], (1, 2), dtype=dtype)
    x = bijector.inverse(y)
    assert x.shape == y.shape
    assert bijector.inverse_log_det_jacobian(y, len(shape)).shape == batch
    np.testing.assert_array_equal(x.numpy()[..., mask], y.numpy()[..., mask])
    laws.assert_round_trip(bijector, y)
