"""Shares of units add up to log p(x), and are what the joint density says."""

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


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: flows.real_nvp((3,), 2, (8,)), "no one order"),
        (lambda: flows.maf((3,), 2, (8,)), "no one order"),
        (lambda: flows.gaussian_mixture((2,), 2), "no one order"),
        (lambda: flows.reversible((3,), 2, (8,)), "no flow inside"),
        (lambda: flows.gaussian((300,)), "at most 256"),
    ],
    ids=["real_nvp", "maf", "mixture", "reversible", "large"],
)
def test_models_without_one_order_are_refused(model, message):
    with pytest.raises(diagnostics.DoesNotFit, match=message):
        model = model()
        diagnostics.decompose(model, tf.zeros([20, *model.event_shape]))
