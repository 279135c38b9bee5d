"""Bounds from noise do not depend on an event's place, and are `log_prob`'s."""

import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import flows
from tfp_flows.distributions import noise
from tfp_flows.tasks.codes import Conditioned


@pytest.fixture(scope="module")
def padded():
    """Images of 3 x 3 in a flow over 4 x 4, with learned noise."""
    model = flows.glow(
        *((3, 3, 1), 1, 1),
        filters=4,
        num_values=4,
        pad_to=(4, 4),
        dequantization="variational",
    )
    model.adapt(model.sample(64, seed=1))
    return model


def test_bounds_do_not_depend_on_the_place(padded):
    asked = Conditioned.of(padded, None)
    x = tf.cast(padded.sample(6, seed=2), tf.float32)
    seed = noise.salted(3, "test")
    forward = asked.log_densities(x, seed, 4)
    backward = asked.log_densities(x[::-1], seed, 4)[::-1]
    np.testing.assert_allclose(forward, backward, rtol=1e-5)


def test_bounds_are_those_of_log_prob(padded):
    asked = Conditioned.of(padded, None)
    x = tf.cast(padded.sample(3, seed=2), tf.float32)
    ours = asked.log_densities(x, noise.salted(3, "test"), 400)[:, 0]
    draws = padded.log_prob(tf.repeat(x, 400, axis=0), seed=4)
    draws = np.reshape(draws, [3, 400])
    error = draws.std(axis=1) * np.sqrt(2 / 400)
    assert (np.abs(ours - draws.mean(axis=1)) < 4 * error).all()


def test_codes_decode_to_their_integers_with_a_gradient(padded):
    asked = Conditioned.of(padded, None)
    z = padded.flow.distribution.sample(3, seed=5)
    with tf.GradientTape() as tape:
        tape.watch(z)
        x = asked.decode(z)
        total = tf.reduce_sum(x)
    np.testing.assert_array_equal(x, tf.cast(padded.decode(z), tf.float32))
    assert np.abs(tape.gradient(total, z)).max() > 0


def test_a_given_model_is_taken_apart():
    model = flows.real_nvp((2,), 2, (8,), context_shape=(1,))
    laws.randomize(model)
    asked = Conditioned.of(model.given([0.5]), None)
    x = tf.zeros([3, 2])
    both = asked.log_densities(x, noise.salted(0, "test"), 1)
    np.testing.assert_allclose(both[:, 0], model.log_prob(x, context=[0.5]), rtol=1e-5)
    z = asked.encode(x)
    np.testing.assert_allclose(both[:, 1], model.distribution.log_prob(z), rtol=1e-5)
