"""The features of a `ConvResNet` do not outgrow what its head counts on."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.networks import ConvResNet


def network(activation="relu", **options):
    made = ConvResNet(8, 2, activation, **options)
    made.build((None, 4, 4, 2))
    return made


def inputs(seed=0):
    x = np.random.default_rng(seed).normal(size=(64, 4, 4, 2))
    return tf.constant(x, tf.float32)


def sizes(features):
    """The root mean square over the channels of each position."""
    return np.sqrt(np.mean(np.asarray(features, np.float64) ** 2, axis=-1))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("grown", ["first", "block"])
def test_layers_that_grew_give_features_of_limited_size(grown, policy):
    made, x = network("linear", dtype=policy), inputs()
    assert np.mean(sizes(made(x)) < 2.5) > 0.9
    layer = made._first if grown == "first" else made._blocks[1].layers[-1]
    layer.kernel.assign(100.0 * layer.kernel)
    after = sizes(made(x))
    assert np.mean(after > 2.9) > 0.5 and after.max() < 3.03


def test_positions_are_limited_one_by_one():
    made, x = ConvResNet(8, 0, "linear"), inputs().numpy()
    wanted = made(x).numpy()
    x[:, 0, 0] *= 1000.0  # its neighbours see it
    found = made(x).numpy()
    np.testing.assert_array_equal(found[:, 2:], wanted[:, 2:])
    np.testing.assert_allclose(sizes(found)[:, :2, :2], 3.0, rtol=1e-5)


def test_inputs_of_any_magnitude_are_told_apart_once_adapted():
    made, x = network(), 1000.0 * inputs()
    assert np.mean(sizes(made(x)) > 1.9) > 0.5  # limited, then rectified
    made.adapt(x)
    found = sizes(made(x))
    assert 300.0 < found.mean() < 3000.0
    assert np.std(found) > 0.1 * np.mean(found)


def test_what_does_not_vary_keeps_the_limit_and_has_gradients():
    made, x = network(), tf.zeros([4, 4, 4, 2])
    made.adapt(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(made(x))
    gradients = tape.gradient(loss, [x, *(v.value for v in made.trainable_variables)])
    assert all(np.all(np.isfinite(g)) for g in gradients if g is not None)
    layer = made._first
    layer.kernel.assign(1000.0 * layer.kernel)
    assert sizes(made(inputs())).max() <= 3.0 + 1e-5


def test_the_limit_is_saved(tmp_path):
    made, again, x = network(), network(), 50.0 * inputs()
    made.adapt(x)
    made.save_own_variables(store := {})
    again.load_own_variables(store)
    assert float(again._limit) == float(made._limit) > 3.0
