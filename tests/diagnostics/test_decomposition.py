"""Shares of units add up to log p(x), and are what the joint density says."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests import laws
from tfp_flows import diagnostics, flows
from tfp_flows.diagnostics.events import Events

MODELS = {
    "pixel_cnn": lambda: flows.pixel_cnn((2, 3, 1), 1, 8, num_values=3),
    "joint channels": lambda: flows.pixel_cnn(
        (2, 2, 3), 1, 8, num_values=4, element="mixture"
    ),
    "recurrent": lambda: flows.recurrent((4, 2), (6,)),
    "conditional": lambda: flows.maf((3,), 1, (8,), context_shape=(2,)),
    "maf": lambda: flows.maf((5,), 1, (8,)),
    "gaussian": lambda: flows.gaussian((2, 2)),
    "real_nvp": lambda: flows.real_nvp((4,), 4, (8,)),
    "glow": lambda: flows.glow((4, 4, 1), 2, 2, filters=8, num_values=5),
    "steps of maf": lambda: flows.maf((5,), 3, (8,)),
    "iaf": lambda: flows.iaf((4,), 2, (8,)),
    "integers": lambda: flows.gaussian((4,), num_values=5),
}


@pytest.mark.parametrize("name", MODELS)
def test_shares_sum_to_log_prob(name):
    model = MODELS[name]()
    laws.randomize(model)
    context = None
    if model.context_shape is not None:
        context = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    given = {} if context is None else {"context": context}
    x = model.sample(() if given else 30, seed=1, **given).numpy()
    found = diagnostics.decompose(model, x, seed=3, **given)
    total = found.nats.reshape(30, -1).sum(axis=1)
    log_prob = Events.of(model, x, context).log_prob(3)
    np.testing.assert_allclose(-total, log_prob, rtol=1e-4, atol=1e-4)
    assert np.std(found.mean) > 1e-4
    np.testing.assert_allclose(
        found.bits_per_dim.sum(),
        -log_prob.mean() / (model.event_shape.num_elements() * np.log(2.0)),
        rtol=1e-4,
    )
    pixels = x.shape[:-1] if name == "joint channels" else x.shape
    assert found.nats.shape == pixels


def test_each_share_is_the_ratio_of_two_joint_densities():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 4))
    data = (rng.normal(size=(500, 4)) @ mixing).astype(np.float32)
    model = flows.gaussian((4,))
    model.adapt(data)
    mean, covariance = data.mean(axis=0), np.cov(data.T, bias=True)
    joint = [np.zeros(500)] + [
        stats.multivariate_normal(mean[:k], covariance[:k, :k]).logpdf(data[:, :k])
        for k in range(1, 5)
    ]
    found = diagnostics.decompose(model, data)
    np.testing.assert_allclose(found.nats, -np.diff(joint, axis=0).T, atol=2e-2)
    np.testing.assert_allclose(found.standard_error, found.nats.std(0) / 500**0.5, 1e-2)


def test_shares_stand_where_their_units_are_whatever_the_order():
    model = flows.pixel_cnn((2, 3, 1), 1, 8, num_values=3, order="reversed")
    laws.randomize(model)
    x = model.sample(25, seed=1)
    found = diagnostics.decompose(model, x).nats.reshape(25, 6)
    by_position = model.log_prob_by_position(x).numpy()
    np.testing.assert_allclose(found[:, ::-1], -by_position, atol=1e-5)


@pytest.mark.parametrize("name", ["real_nvp", "steps of maf", "glow"])
def test_without_an_order_a_share_is_that_of_the_linearisation(name):
    """Judged by covariances and Schur's complement; no factorisation is used."""
    model = MODELS[name]()
    laws.randomize(model)
    found = diagnostics.decompose(model, model.sample(20, seed=1), seed=3)
    assert found.is_linearised
    real = Events.of(model, model.sample(20, seed=1).numpy()).real(3)
    flow, x = real.model, tf.constant(real.x[:5])
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = flow.bijector.inverse(x)
    size = math.prod(flow.event_shape)
    jacobian = tf.reshape(tape.batch_jacobian(z, x), [5, size, size]).numpy()
    for row in range(5):
        inverse = np.linalg.inv(jacobian[row].astype(np.float64))
        covariance = inverse @ inverse.T
        off = inverse @ z[row].numpy().ravel()  # x - mean
        shares = []
        for i in range(size):
            weights = np.linalg.solve(covariance[:i, :i], covariance[:i, i])
            variance = covariance[i, i] - weights @ covariance[:i, i]
            rest = off[i] - weights @ off[:i]
            shares.append(-stats.norm(0, variance**0.5).logpdf(rest))
        np.testing.assert_allclose(
            found.nats[row].ravel(), shares, rtol=1e-2, atol=1e-2
        )


def test_what_is_linearised_says_so():
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    builds = {flows.gaussian: False, flows.maf: True, flows.real_nvp: True}
    for build, linearised in builds.items():
        model = build((4,))
        laws.randomize(model)
        assert diagnostics.decompose(model, x).is_linearised == linearised
    # At its start every Jacobian of a coupling is a triangle, which says nothing.
    assert diagnostics.decompose(flows.real_nvp((4,)), x).is_linearised


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: flows.real_nvp((3,), 2, (8,), base="logistic"), "when it is rotated"),
        (lambda: flows.gaussian_mixture((2,), 2), "no flow from normals"),
        (lambda: flows.real_nvp((3,), support="simplex"), "what a simplex leaves"),
        (lambda: flows.reversible((3,), 2, (8,)), "no flow from normals"),
        (lambda: flows.gaussian((300,)), "at most 256"),
    ],
    ids=["real_nvp", "mixture", "simplex", "reversible", "large"],
)
def test_models_without_shares_are_refused(model, message):
    model = model()
    laws.randomize(model)
    with pytest.raises(diagnostics.DoesNotFit, match=message):
        diagnostics.decompose(model, tf.zeros([20, *model.event_shape]))
