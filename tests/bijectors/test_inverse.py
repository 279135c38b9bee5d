"""A bijector taken the other way round adapts the network in it, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import bijectors as b
from tfp_flows import flows
from tfp_flows.networks import MADE, MLP, GlowNet, masks
from tfp_flows.scalar_maps import Affine

INNER = {
    "masked": lambda: b.MaskedAutoregressive(
        MADE((4,), 2, hidden_units=(16, 16)), Affine()
    ),
    "coupling": lambda: b.AffineCoupling((4,), MLP((16, 16)), masks.half((4,))),
}


def data(*shape, seed=0):
    x = np.random.default_rng(seed).normal(2.0, 3.0, size=(300, *shape))
    return tf.constant(x, tf.float32)


@pytest.mark.parametrize("kind", INNER)
def test_the_network_adapts_to_the_latent_side(kind):
    ours, wanted, y = INNER[kind](), INNER[kind](), data(4)
    for layer, other in zip(ours.keras_layers, wanted.keras_layers, strict=True):
        for v, w in zip(layer.weights, other.weights, strict=True):
            if v.trainable:
                value = 0.3 * np.random.default_rng(1).normal(size=v.shape)
                v.assign(value)
                w.assign(value)
    inverse = b.Inverse(ours)
    latent = tf.identity(inverse.inverse(y))  # of before
    inverse.adapt(y)
    wanted.adapt(latent)
    count = 0
    for layer, other in zip(ours.keras_layers, wanted.keras_layers, strict=True):
        for v, w in zip(layer.weights, other.weights, strict=True):
            np.testing.assert_allclose(v, w, rtol=1e-5, atol=1e-6)
            count += "center" in v.path and np.any(v)
    assert count >= 2
    assert float(tf.reduce_max(tf.abs(latent - y))) > 0.1


def test_every_network_of_an_iaf_adapts():
    flow = flows.iaf((5,), num_steps=3, hidden_units=(16, 16))
    flow.adapt(data(5) ** 3)
    centres = [v.numpy() for v in flow.variables if "center" in v.name]
    assert len(centres) >= 3 * 2
    assert len({c.round(6).tobytes() for c in centres}) > 3
    assert sum(np.any(c) for c in centres) >= 3 * 2


def test_other_data_dependent_weights_are_left():
    norm = b.ActNorm((4,))
    inverse, y = b.Inverse(norm), data(4)
    inverse.adapt(y)
    assert inverse.is_adapted and not norm.is_adapted
    np.testing.assert_array_equal(inverse.inverse(y), y)


def test_a_network_that_has_to_adapt_is_told():
    network, image = GlowNet(8), (4, 4, 2)
    inverse = b.Inverse(b.AffineCoupling(image, network, masks.half(image)))
    assert not inverse.is_adapted
    inverse.adapt(data(*image))
    assert inverse.is_adapted
