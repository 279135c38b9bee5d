"""Surrogates and chains in their latents, for densities known in closed form."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tfp_flows import flows, tasks

tfd = tfp.distributions


def banana(x):
    """Normal x[0], and x[1] around its square; the integral is 3."""
    first = tfd.Normal(0.0, 1.0).log_prob(x[..., 0])
    second = tfd.Normal(x[..., 0] ** 2 / 2, 0.5).log_prob(x[..., 1])
    return first + second + np.log(3.0)


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    flow = flows.real_nvp((2,), num_steps=4, hidden_units=(16,))
    return flow, tasks.surrogate(banana, flow, num_steps=500, learning_rate=1e-2)


def test_a_surrogate_finds_the_density_and_its_integral(trained):
    _, found = trained
    assert found.losses.shape == (500,)
    assert found.losses[-50:].mean() + np.log(3.0) < 0.05  # reverse KL, nats
    assert abs(found.log_normalizer - np.log(3.0)) < 0.05
    assert 1000 < found.effective_sample_size <= 2000


def test_pareto_k_is_the_tail_of_the_weights(trained):
    pytest.importorskip("arviz_stats")
    _, found = trained
    assert found.pareto_k < 0.7 and found.problem() is None
    heavy = stats.genpareto(0.9).rvs(5000, random_state=0)
    poor = tasks.Surrogate(found.losses, found.x, np.log(heavy))
    assert abs(poor.pareto_k - 0.9) < 0.2
    assert "Pareto-k is" in poor.problem()


def test_chains_in_the_latent_space_have_the_moments_of_the_target(trained):
    flow, _ = trained
    found = tasks.neutra(banana, flow, 2000, seed=1)
    assert found.problem() is None and found.x.shape == (2000, 2)
    x, size = found.x.numpy(), found.effective_sample_size.numpy()
    errors = x.std(axis=0) / np.sqrt(size)
    assert np.all(np.abs(x.mean(axis=0) - [0.0, 0.5]) < 5 * errors)
    # Var(x1) = 0.5^2 + Var(x0^2 / 2) = 0.25 + 0.5
    np.testing.assert_allclose(x.var(axis=0), [1.0, 0.75], rtol=0.25)


def test_a_density_that_is_no_number_ends_it():
    flow = flows.real_nvp((2,), 2, (8,))
    with pytest.raises(ValueError, match="reverse KL is nan at step 0"):
        tasks.surrogate(lambda x: tf.math.log(x[:, 0]), flow, jit_compile=False)


@pytest.mark.parametrize("task", [tasks.surrogate, tasks.neutra])
def test_other_models_are_refused(task):
    for options in ({"num_values": 4}, {"context_shape": (1,)}):
        flow = flows.real_nvp((2,), 2, (8,), **options)
        with pytest.raises(ValueError, match="without a context"):
            task(banana, flow)


def test_one_chain_has_nothing_to_be_compared_with():
    flow = flows.real_nvp((2,), 2, (8,))
    with pytest.raises(ValueError, match="num_chains >= 2"):
        tasks.neutra(banana, flow, num_chains=1)
    with pytest.raises(ValueError, match="positive numbers"):
        tasks.surrogate(banana, flow, num_steps=0)


@pytest.mark.parametrize("task", [tasks.surrogate, tasks.neutra])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (3, "target is a function of events .*, got 3"),
        (tf.reduce_sum, r"For 3 events the target gives shape \(\)"),
        (lambda x: x, r"For 3 events the target gives shape \(3, 2\)"),
        (lambda x: None, "For 3 events the target gives shape None"),
        (lambda x: tf.round(x[:, 0]), "has no gradient"),
        (lambda x: x[:, 0].numpy(), "has no gradient"),
    ],
)
def test_what_is_no_target_is_refused(task, target, message):
    with pytest.raises(ValueError, match=message):
        task(target, flows.gaussian((2,)))


def test_chains_do_not_begin_where_the_target_is_no_number():
    with pytest.raises(ValueError, match="not a number at all samples of the flow"):
        tasks.neutra(lambda x: x[:, 0] * np.nan, flows.gaussian((2,)))
