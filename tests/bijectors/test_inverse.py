"""A bijector taken the other way round adapts the network in it, and nothing else."""

import keras
import numpy as np
import tensorflow as tf

from tfp_flows import bijectors as b
from tfp_flows import flows
from tfp_flows.networks import MLP, GlowNet, masks


def data(*shape, seed=0):
    x = np.random.default_rng(seed).normal(2.0, 3.0, size=(300, *shape))
    return tf.constant(x, tf.float32)


def test_the_network_adapts_to_the_latent_side():
    keras.utils.set_random_seed(0)
    network, mask, y = MLP((16, 16)), masks.half((4,)), data(4)
    # Of a head that is not zero at first, so that the sides differ.
    inner = b.AffineCoupling((4,), network, mask, head=keras.layers.Dense)
    inverse = b.Inverse(inner)
    latent = tf.identity(inverse.inverse(y))
    assert float(tf.reduce_max(tf.abs(latent - y))) > 0.1
    inverse.adapt(y)
    found = [v.numpy() for v in network.variables]
    inner.adapt(latent)
    for now, before in zip(network.variables, found, strict=True):
        np.testing.assert_allclose(before, now, rtol=1e-5, atol=1e-6)
    centers = [v for v in network.variables if "center" in v.path]
    assert sum(np.any(v) for v in centers) == 2


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
