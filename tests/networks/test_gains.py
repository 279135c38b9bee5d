"""One step of Adam moves a layer, and a flow, by about its rate."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows import bijectors as b
from tfp_flows.networks import MADE, MLP, ConvResNet, GlowNet
from tfp_flows.networks.hidden import HiddenConv, HiddenDense

RATE = 1e-3


def step(variables, loss):
    """One step of Adam on a loss."""
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, variables)
    pairs = zip(gradients, variables, strict=True)
    keras.optimizers.Adam(RATE).apply_gradients([p for p in pairs if p[0] is not None])


def raw(layer):
    return [variable.value for variable in layer.trainable_variables]


LAYERS = {
    "dense": (HiddenDense, lambda width: (64, width), 32),
    "dense, far": (lambda n: HiddenDense(n, far=True), lambda width: (64, width), 128),
    "conv": (lambda n: HiddenConv(n, 3), lambda width: (16, 3, 3, width), 512),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_hidden_layers_move_alike_at_every_width(kind):
    make, shape, most = LAYERS[kind]
    found = []
    for width in (most, 2 * most, 4 * most):
        layer = make(width)
        h = np.random.default_rng(0).standard_normal(shape(width))
        h = tf.constant(np.maximum(h, 0.0), tf.float32)
        before = layer(h)
        step(raw(layer), lambda: tf.reduce_sum(layer(h)))  # noqa: B023
        found.append(float(tf.reduce_max(tf.abs(layer(h) - before))) / RATE)
    assert max(found) < 1.0 + most
    assert max(found) < 2.0 * min(found)


@pytest.mark.parametrize("kind", LAYERS)
def test_hidden_layers_begin_as_those_of_keras(kind):
    make, shape, most = LAYERS[kind]
    layer, (_, *shape) = make(256), shape(256)
    layer.build((None, *shape))
    n = int(np.prod(layer.kernel.shape[:-1]))
    wanted = np.sqrt(1.0 / n)  # of 256 inputs and units, as Glorot and LeCun have it
    np.testing.assert_allclose(np.std(layer.kernel), wanted * n / most, rtol=0.02)
    h = np.random.default_rng(0).standard_normal((200, *shape))
    y = layer(h)[:, 1, 1] if kind == "conv" else layer(h)  # away from the padding
    np.testing.assert_allclose(np.std(y), wanted * np.sqrt(n), rtol=0.05)


@pytest.mark.parametrize(
    "make",
    [
        HiddenDense,
        lambda n: HiddenDense(n, "he_normal", far=True),
        lambda n: HiddenConv(n, 3),
    ],
)
def test_hidden_layers_rebuild_from_their_config_and_weights(make, tmp_path):
    layer, x = make(64), tf.ones([2, 4, 4, 300])
    wanted = layer(x)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    again(x)
    spread = np.std(again.get_weights()[0]) / np.std(layer.get_weights()[0])
    assert 0.9 < spread < 1.1
    path = tmp_path / "layer.weights.h5"
    inputs = keras.Input(x.shape[1:])
    keras.Sequential([inputs, layer]).save_weights(path)
    keras.Sequential([inputs, again]).load_weights(path)
    np.testing.assert_array_equal(again(x), wanted)


NETWORKS = {
    "mlp": (lambda width: MLP((width, width)), (6,)),
    "residual mlp": (lambda width: MLP((width, width), residual=True), (6,)),
    "conv resnet": (lambda width: ConvResNet(width, 1), (4, 4, 2)),
    "glow net": (lambda width: GlowNet(width), (4, 4, 2)),
    "made": (lambda width: MADE((6,), 2, hidden_units=(width, width)), (6,)),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_move_alike_at_every_width(kind):
    make, shape = NETWORKS[kind]
    x = tf.constant(np.random.default_rng(0).standard_normal((64, *shape)), tf.float32)
    changes = []
    for width in (128, 512):
        keras.utils.set_random_seed(0)
        network = make(width)
        network.build(x.shape)
        if kind == "made":  # its head begins at zero: see the features it is given
            network = features_of(network)
        before = network(x)
        step(raw(network), lambda: tf.reduce_sum(network(x)))  # noqa: B023
        changes.append(float(tf.math.reduce_std(network(x) - before)) / RATE)
    assert changes[1] < 3.0 * changes[0] and changes[1] < 100.0


def features_of(made):
    class Features(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.made = made

        def call(self, x):
            seen = []
            self.made._parts(x, None, lambda layer, h: seen.append(h) or layer(h))
            return tf.concat(seen[-1], axis=-1)

    return Features()


DEEP = {
    "glow": lambda n: flows.glow((4, 4, 2), 1, n, filters=8),
    "maf with batch norms": lambda n: flows.maf(
        (4,), n, (8, 8), normalization="batch_norm"
    ),
}


@pytest.mark.parametrize("kind", DEEP)
def test_deep_flows_move_as_those_of_24_steps(kind):
    moved = {}
    for num_steps in (24, 72):
        flow = DEEP[kind](num_steps)
        x = np.random.default_rng(0).standard_normal((256, *flow.event_shape))
        x = tf.constant(x, tf.float32)
        flow.adapt(x)
        before = flow.encode(x)
        step(flow.trainable_variables, lambda: -tf.reduce_mean(flow.log_prob(x)))  # noqa: B023
        moved[num_steps] = float(tf.math.reduce_std(flow.encode(x) - before)) / RATE
    assert 0.2 < moved[72] / moved[24] < 1.7, moved


@pytest.mark.parametrize(
    ("size", "depth", "gain"), [(2, 1, 1.0), (64, 1, 32.0), (500, 16, 2.0)]
)
def test_scales_that_alone_change_the_volume_move_further(size, depth, gain):
    scale = b.DiagonalScale((size,), depth=depth)
    x = tf.ones([1, size])
    step(scale.trainable_variables, lambda: tf.reduce_sum(scale.forward(x)))
    moved = -np.log(scale.forward(x)[0])
    np.testing.assert_allclose(moved, gain * RATE, rtol=1e-3)
    scale.trainable_variables[0].assign(np.full(size, -1e6))  # of any size
    assert np.all(scale.forward(x) > 0.0)


def test_nice_is_on_its_way_to_the_gaussian_of_its_data_in_two_hundred_steps():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1024, 4)) @ rng.normal(size=(4, 16))
    x = (x + 0.3 * rng.normal(size=(1024, 16))).astype("float32")
    _, log_det = np.linalg.slogdet(2 * np.pi * np.e * np.cov(x.T))
    flow = flows.nice((16,))
    flow.adapt(x)
    assert -np.mean(flow.log_prob(x)) > 0.5 * log_det + 15.0
    model = FlowModel(flow)
    model.compile(keras.optimizers.Adam(RATE))
    model.fit(x, batch_size=32, epochs=6, verbose=0)
    assert -np.mean(flow.log_prob(x)) < 0.5 * log_det + 8.0  # 14.6 with a gain of 1


def test_a_wide_wavenet_does_not_overshoot_in_its_first_steps():
    x = np.random.default_rng(0).standard_normal((6 * 32, 32, 1), np.float32)
    for t in range(1, 32):
        x[:, t] += 0.9 * x[:, t - 1]
    flow = flows.wavenet((32, 1), num_layers=8, filters=256)
    flow.adapt(x)
    began = -np.reshape(flow.log_prob(x), [6, 32]).mean(axis=1)
    model = FlowModel(flow)
    model.compile(keras.optimizers.Adam(5 * RATE))
    losses = [
        model.train_on_batch(batch, return_dict=True)["nll"] for batch in np.split(x, 6)
    ]
    assert max(losses - began) < 5.0  # without gains a batch was 27 above
    assert losses[-1] < began[-1]


def shared(make):
    """Two bijectors of one start, the second of four times the share's depth."""
    return make(1), make(96)


@pytest.mark.parametrize(
    "make",
    [
        lambda d: b.ActNorm((3,), depth=d, dtype="float64"),
        lambda d: b.BatchNorm((3,), depth=d, dtype="float64"),
        *(
            lambda d, kind=kind: b.InvertibleLinear(
                (3,), kind, depth=d, dtype="float64"
            )
            for kind in ("lu", "plain", "householder")
        ),
    ],
)
def test_depth_changes_what_is_trained_and_not_the_map(make):
    x = np.random.default_rng(0).normal(3.0, 2.0, (50, 3))
    shallow, deep = shared(make)
    for part in (shallow, deep):
        if hasattr(part, "adapt"):
            part.adapt(x)
    np.testing.assert_allclose(deep.inverse(x), shallow.inverse(x), atol=1e-12)
    laws.randomize(deep)
    np.testing.assert_allclose(deep.forward(deep.inverse(tf.identity(x))), x)
