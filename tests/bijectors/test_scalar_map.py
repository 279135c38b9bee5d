"""Affine maps of every kind of scale."""

import pickle

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import flows
from tfp_flows.scalar_maps import Affine
from tfp_flows.scalar_maps.affine import _SCALES

MAPS = {scale: Affine(scale=scale) for scale in _SCALES}
each = pytest.mark.parametrize("affine", MAPS.values(), ids=MAPS)


@each
def test_it_is_increasing_inverted_and_has_the_slope_that_it_says(affine):
    draws = np.random.default_rng(0).normal(0.0, 3.0, (3, 200))
    x, shift, raw = tf.unstack(tf.constant(draws))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, log_slope = affine.forward(x, shift, raw)
    slope = tape.gradient(y, x)
    np.testing.assert_allclose(tf.math.log(slope), log_slope, atol=1e-9)
    back, again = pickle.loads(pickle.dumps(affine)).inverse(y, shift, raw)
    np.testing.assert_allclose(back, x, atol=1e-9)
    np.testing.assert_array_equal(again, log_slope)


@each
def test_at_zero_it_is_the_identity(affine):
    x, zero = tf.constant([-2.0, 0.5]), tf.zeros([2])
    y, log_slope = affine.forward(x, zero, zero)
    np.testing.assert_allclose(y, x, rtol=1e-6)
    np.testing.assert_allclose(log_slope, 0.0, atol=1e-7)


def test_scales_are_those_of_the_papers():
    raw = np.linspace(-30.0, 30.0, 61)
    zero = np.zeros(61)

    def log_scale(affine):
        return affine.forward(zero, zero, tf.constant(raw))[1].numpy()

    np.testing.assert_allclose(log_scale(Affine(scale="exp")), raw)
    sigmoid = 1 / (1 + np.exp(-raw - 2)) * (1 + np.exp(-2))
    np.testing.assert_allclose(log_scale(Affine(scale="sigmoid")), np.log(sigmoid))
    for scale in ("tanh", "soft_clip"):
        found = log_scale(Affine(1.5, scale))
        assert np.abs(found).max() <= 1.5 and found[-1] > 1.4
        assert (np.diff(found) >= 0).all()
    np.testing.assert_allclose(log_scale(Affine(1.5)), 1.5 * np.tanh(raw))
    np.testing.assert_allclose(log_scale(Affine(1e6, "soft_clip")), raw, rtol=1e-6)


def test_a_flow_with_each_of_them_is_copied_whole():
    for affine in MAPS.values():
        flow = flows.maf((2,), 1, (4,), scalar_map=affine)
        assert np.isfinite(flow.log_prob([[0.5, -0.5]])).all()
        same = pickle.loads(pickle.dumps(flow))
        np.testing.assert_allclose(same.log_prob([[1.0, 2.0]]), flow.log_prob([[1, 2]]))


def test_what_has_no_use_is_refused():
    with pytest.raises(ValueError, match="has no bound, got scale_bound=1.0"):
        Affine(1.0, "exp")
    with pytest.raises(ValueError, match="no scale 'cube'. Choose from tanh"):
        Affine(scale="cube")
    with pytest.raises(ValueError, match="scale_bound > 0, got -1.0"):
        Affine(-1.0)
