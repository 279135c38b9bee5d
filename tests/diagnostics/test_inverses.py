"""Errors of inverses and of float32 are those that were put in."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import diagnostics, distributions, flows

tfb = tfp.bijectors


class Wrong(tfb.Bijector):
    """Doubles; its inverse is off by `shift`, and its inverse's log-det by `nats`."""

    def __init__(self, shift, nats):
        parameters = dict(locals())
        self.off, self.nats = shift, nats
        super().__init__(
            forward_min_event_ndims=0, dtype=tf.float32, parameters=parameters
        )

    def _forward(self, z):
        return 2.0 * z

    def _inverse(self, x):
        return x / 2.0 + self.off

    def _forward_log_det_jacobian(self, z):
        return tf.fill(tf.shape(z), np.float32(np.log(2.0)))

    def _inverse_log_det_jacobian(self, x):
        return tf.fill(tf.shape(x), np.float32(self.nats - np.log(2.0)))


def wrong(shift, nats):
    base = distributions.StandardNormal((3,))
    return distributions.Flow(Wrong(shift, nats), base)


def test_errors_are_those_that_were_put_in():
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    found = diagnostics.invertibility(wrong(0.5, 0.2), x)
    np.testing.assert_allclose(found.x, 1.0 / x.std(axis=0).max(), rtol=1e-5)
    np.testing.assert_allclose(found.z, 0.5, rtol=1e-5)
    np.testing.assert_allclose(found.log_det, 0.6, rtol=1e-5)
    assert not found.is_sound
    assert diagnostics.invertibility(wrong(0.0, 0.0), x).is_sound
    assert not diagnostics.invertibility(wrong(0.0, 0.1), x).is_sound
    assert not diagnostics.invertibility(wrong(np.nan, 0.0), x).is_sound


def test_a_flow_of_integers_and_a_conditional_one_are_inverted():
    glow = flows.glow((4, 4, 1), 1, 2, filters=4, num_values=9)
    laws.randomize(glow)
    found = diagnostics.invertibility(glow, glow.sample(30, seed=1))
    assert found.is_sound and found.x.max() > 0
    told = flows.real_nvp((2,), 2, (8,), context_shape=(1,))
    laws.randomize(told)
    c = np.ones((30, 1), np.float32)
    x = told.sample((), seed=1, context=c)
    assert diagnostics.invertibility(told, x, context=c).is_sound
    one = told.given([1.0])  # the same as a plain distribution
    assert diagnostics.invertibility(one, x).is_sound


@pytest.mark.parametrize(
    "build",
    [
        lambda: flows.real_nvp((3,), 3, (16,)),
        lambda: flows.real_nvp((3,), 3, (16,), num_values=5),
        lambda: flows.pixel_cnn((2, 2, 1), 1, 8, num_values=3),
    ],
    ids=["reals", "integers", "autoregressive"],
)
def test_float32_loses_a_few_of_its_last_bits(build):
    model = build()
    laws.randomize(model)
    found = diagnostics.precision(model, model.sample(50, seed=1))
    assert found.is_sound and 0 < found.nats.max() < 1e-3


def test_what_float32_cannot_hold_is_told():
    """A trained scale of 1e-6 around 1: float32 has steps of 1e-7 there."""
    model = flows.gaussian((2,))
    rng = np.random.default_rng(0)
    data = 1.0 + 1e-6 * rng.normal(size=(2000, 2))
    model.adapt(data.astype(np.float32))
    exact = flows.gaussian((2,), dtype="float64")
    for mine, theirs in zip(exact.raw_variables, model.raw_variables, strict=True):
        mine.assign(tf.cast(theirs, mine.dtype))
    x = data[:50].astype(np.float32)
    found = diagnostics.precision(model, x)
    away = np.abs(model.log_prob(x).numpy() - exact.log_prob(x.astype(np.float64)))
    np.testing.assert_allclose(found.nats, away, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: flows.real_nvp((2,), 1, (4,), dtype="float64"), "no float64"),
        (lambda: wrong(0.0, 0.0), "no float64"),
        (lambda: flows.reversible((2,), 1, (4,)), "draws what its bound needs"),
    ],
    ids=["float64", "by hand", "reversible"],
)
def test_models_without_a_float64_of_theirs_are_refused(model, message):
    with pytest.raises(diagnostics.DoesNotFit, match=message):
        diagnostics.precision(model(), np.zeros((20, 3))[:, : model().event_shape[0]])


def test_only_flows_are_inverted():
    model = flows.pixel_cnn((2, 2, 1), 1, 8, num_values=3)
    with pytest.raises(diagnostics.DoesNotFit, match="no flow inside"):
        diagnostics.invertibility(model, model.sample(20, seed=1))


def test_what_cannot_be_is_the_same_in_both_precisions():
    flow = flows.gaussian((2,), support=(0, 1))
    x = np.random.default_rng(0).uniform(0.1, 0.9, (30, 2)).astype(np.float32)
    x[3, 1] = 1.0  # log p is -inf in float32 and in float64
    found = diagnostics.precision(flow, x)
    assert found.is_sound and np.isfinite(found.nats).all()
