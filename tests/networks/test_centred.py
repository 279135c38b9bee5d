"""Hidden layers see inputs from their mean: what these have in common moves a bias."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.networks.test_gains import RATE, raw, step
from tests.networks.test_heads import features, randomized
from tfp_flows import flows
from tfp_flows.networks import MADE, MLP, ConvResNet
from tfp_flows.networks.hidden import CentredDense, HiddenConv

LAYERS = {
    "dense": (lambda: CentredDense(3), (300,)),
    "pointwise": (lambda: HiddenConv(3, 1), (4, 4, 300)),
    "conv": (lambda: HiddenConv(3, 3), (4, 4, 300)),
    "signal": (lambda: HiddenConv(3, 3), (64, 40)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_common_mean_of_the_inputs_moves_nothing_but_the_bias(kind):
    make, shape = LAYERS[kind]
    layer, h = make(), tf.ones([5, *shape])
    layer.build(h.shape)
    layer.adapt(h)
    before = layer(h)
    np.testing.assert_allclose(before, 0.0, atol=1e-5)  # at the borders too
    step(raw(layer), lambda: tf.reduce_sum(layer(h)))
    np.testing.assert_allclose(layer(h) - before, -RATE, rtol=1e-2)


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize("positions", [(5,), (3, 4), (20, 20), (3, 2, 4)])
def test_hidden_convolutions_are_those_of_centred_inputs(kernel_size, positions):
    layer = HiddenConv(2, kernel_size, dtype="float64")
    h = tf.cast(features((3, *positions, 20)), tf.float64)
    centred = randomized(layer, h)
    np.testing.assert_allclose(layer(h), centred(h), atol=1e-11)
    other = tf.cast(features((3, *(n + 1 for n in positions), 20)), tf.float64)
    np.testing.assert_allclose(layer(other), centred(other), atol=1e-11)


NETWORKS = {
    "mlp": (lambda: MLP((200, 300)), (6,), (2,)),
    "residual mlp": (lambda: MLP((200, 200, 200), residual=True), (6,), (2,)),
    "conv resnet": (lambda: ConvResNet(200, 1), (4, 4, 2), (3,)),
    "of images": (lambda: ConvResNet(200, 1), (4, 4, 2), (4, 4, 3)),
    "made": (lambda: MADE((6,), 2, hidden_units=(200, 200)), (6,), (2,)),
}


def centres(network):
    return [v for v in network.non_trainable_variables if v.path.endswith("center")]


@pytest.mark.parametrize("kind", NETWORKS)
def test_adapted_networks_give_each_layer_inputs_of_mean_zero(kind, monkeypatch):
    make, shape, context_shape = NETWORKS[kind]
    network, rng = make(), np.random.default_rng(0)
    x = rng.normal(2.0, 1.0, (64, *shape)).astype(np.float32)
    context = rng.normal(3.0, 1.0, (64, *context_shape)).astype(np.float32)
    network(x, context=context)
    assert not np.any(np.concatenate([np.ravel(c) for c in centres(network)]))
    network.adapt(x, context)
    seen = {}
    called = keras.Layer.__call__

    def spy(layer, h, *args, **kwargs):
        center = getattr(layer, "center", getattr(layer, "_center", None))
        if center is not None:
            rows = np.concatenate(h, -1) if isinstance(h, list) else np.asarray(h)
            mean = rows.reshape(-1, rows.shape[-1]).mean(axis=0)
            seen[center.path, id(layer)] = mean, center.numpy().copy()
        return called(layer, h, *args, **kwargs)

    monkeypatch.setattr(keras.Layer, "__call__", spy)
    network(x, context=context)
    assert len(seen) == len(centres(network)) >= 2
    for mean, center in seen.values():
        np.testing.assert_allclose(mean, center, atol=1e-5)
        assert np.any(center)


@pytest.mark.parametrize("kind", ["mlp", "conv resnet"])
def test_a_step_moves_all_features_together_less_once_they_are_centred(kind):
    make, shape, _ = NETWORKS[kind]
    x = np.random.default_rng(0).normal(size=(64, *shape)).astype(np.float32)
    together = []
    for adapts in (False, True):
        keras.utils.set_random_seed(0)
        network = make()
        before = network(x)
        if adapts:
            network.adapt(x)
            before = network(x)
        step(raw(network), lambda: tf.reduce_sum(network(x)))  # noqa: B023
        together.append(abs(float(tf.reduce_mean(network(x) - before))) / RATE)
    assert together[1] < 0.5 * together[0]


def test_every_step_of_a_flow_has_centres_of_its_own():
    flow = flows.real_nvp((6,), num_steps=4, hidden_units=(16, 16))
    x = np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32) ** 3
    flow.adapt(x)
    found = [v for v in flow.variables if "center" in v.name]
    found = [v.numpy() for v in found if v.shape[-1] == 16]
    rows = np.concatenate([v.reshape(-1, 16) for v in found])
    assert len(rows) == 4 * 2  # of the second layer and of the head
    assert len(np.unique(rows.round(6), axis=0)) == len(rows)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_networks_of_lower_precision_adapt(policy):
    for make in (
        lambda: MLP((16, 16), dtype=policy),
        lambda: ConvResNet(16, 1, dtype=policy),
    ):
        network = make()
        x = np.ones((8, 6) if isinstance(network, MLP) else (8, 4, 4, 2), np.float32)
        network(x)
        network.adapt(x)
        assert all(np.all(np.isfinite(v)) for v in network.variables)
        assert network(x).dtype == network.compute_dtype
