"""Temperatures scale the noise about the base's mean, or are refused by name."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import flows
from tfp_flows.bijectors import ActNorm
from tfp_flows.distributions import Flow, complete

tfd = tfp.distributions


class WithoutMean(tfd.Normal):
    """A distribution that does not say its mean."""

    _mean = tfd.Distribution._mean  # of all that say none


WITHOUT = {
    "Independent": lambda: tfd.Independent(tfd.Cauchy([0.0, 1.0], 1.0), 1),
    "Sample": lambda: tfd.Sample(tfd.Cauchy(0.0, 1.0), 2),
    "some": lambda: tfd.Independent(tfd.StudentT([0.5, 3.0], 0.0, 1.0), 1),
    "strict": lambda: tfd.Independent(
        tfd.Cauchy([0.0] * 2, 1.0, allow_nan_stats=False), 1
    ),
    "silent": lambda: tfd.Independent(WithoutMean([0.0, 0.0], 1.0), 1),
}


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("name", WITHOUT)
def test_a_base_without_a_mean_is_refused_by_name(name, traced):
    flow = Flow(ActNorm((2,)), WITHOUT[name]())
    sample = tf.function(flow.sample) if traced else flow.sample
    with pytest.raises(ValueError, match=flow.distribution.name):
        sample(3, seed=1, temperature=0.5)
    assert np.isfinite(flow.sample(3, seed=1)).all()


@pytest.mark.parametrize("traced", [False, True])
def test_draws_shrink_towards_the_mean(traced):
    loc = tf.Variable([3.0, -2.0])
    flow = Flow(ActNorm((2,)), tfd.Independent(tfd.Laplace(loc, 1.0), 1))
    sample = tf.function(flow.sample) if traced else flow.sample
    whole = sample(50, seed=1) - loc
    half = sample(50, seed=1, temperature=0.5) - loc
    np.testing.assert_allclose(half, 0.5 * whole, atol=1e-6)


MODELS = {
    "flow": lambda: flows.real_nvp((2,), 1, (4,)),
    "autoregressive": lambda: flows.recurrent((2, 1), (4,), num_values=3),
    "mixture": lambda: flows.gaussian_mixture((2,), 2),
    "table": lambda: flows.tabular({"a": "real", "b": "boolean"}, hidden_units=(4,)),
    "dequantized": lambda: flows.real_nvp((2,), 1, (4,), num_values=3),
}


@pytest.mark.parametrize("wrong", [-1, -0.5, math.nan, math.inf, [0.5, -1.0], "tensor"])
@pytest.mark.parametrize("name", MODELS)
def test_what_is_no_temperature_is_refused(name, wrong):
    model = MODELS[name]()
    wrong = tf.constant(-2.0) if isinstance(wrong, str) else wrong
    match = "temperature must be finite and not negative, got "
    with pytest.raises(ValueError, match=match):
        model.sample(2, seed=1, temperature=wrong)
    with pytest.raises(ValueError, match=match):
        model.sample(2, seed=1, temperature=wrong, chunk_size=1)
    shape = [1, *model.event_shape]
    with pytest.raises(ValueError, match=match):
        complete(model, np.zeros(shape), np.zeros(shape[1:], bool), temperature=wrong)
    assert np.isfinite(np.asarray(model.sample(2, seed=1, temperature=0.0))).all()
