"""Sequences: processes with a known entropy rate, tones, and what models reach."""

import keras
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import tensorflow as tf

from tfp_flows import flows
from train.pipelines import processes


def test_an_autoregressive_process_has_the_density_of_its_covariances():
    process = processes.GaussianAR((1.2, -0.6), 0.5)
    x = process.draw(3, 12, seed=0)
    # The stationary covariances, from the impulse response.
    response = np.zeros(400)
    response[0] = 1.0
    for t in range(1, 400):
        response[t] = 1.2 * response[t - 1] - 0.6 * response[max(t - 2, 0)] * (t > 1)
    lags = [0.25 * response[k:] @ response[: 400 - k] for k in range(12)]
    normal = scipy.stats.multivariate_normal(cov=scipy.linalg.toeplitz(lags))
    np.testing.assert_allclose(process.log_prob(x), normal.logpdf(x[..., 0]), rtol=1e-5)
    # What one more step adds to the entropy of a stationary process.
    eleven = scipy.linalg.toeplitz(lags[:11])
    more = normal.entropy() - scipy.stats.multivariate_normal(cov=eleven).entropy()
    np.testing.assert_allclose(process.entropy_rate, more, rtol=1e-8)


def test_draws_of_an_autoregressive_process_are_stationary():
    process = processes.GaussianAR((1.2, -0.6), 0.5)
    x = process.draw(4000, 50, seed=0)[..., 0]
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.std(axis=0), x.std(), rtol=0.06)
    np.testing.assert_allclose(
        -process.log_prob(x[..., None]).mean() / 50, process.entropy_rate, atol=0.03
    )


def test_a_process_without_a_stationary_state_is_refused():
    with pytest.raises(ValueError, match="not stationary"):
        processes.GaussianAR((1.2, -0.1), 1.0)
    with pytest.raises(ValueError, match="rows of probabilities"):
        processes.MarkovChain(np.array([[0.5, 0.6], [0.5, 0.5]]))


def test_a_markov_chain_has_the_probabilities_of_its_matrix():
    matrix = np.array([[0.9, 0.1], [0.3, 0.7]])
    chain = processes.MarkovChain(matrix)
    everything = np.stack(np.meshgrid(*[range(2)] * 3), axis=-1).reshape(8, 3, 1)
    probs = np.exp(chain.log_prob(everything))
    np.testing.assert_allclose(probs.sum(), 1.0)
    # Stationary: 3/4 and 1/4. The path 0, 1, 1.
    path = np.where((everything[..., 0] == [0, 1, 1]).all(axis=1))[0][0]
    np.testing.assert_allclose(probs[path], 0.75 * 0.1 * 0.7)
    binary = lambda p: -p * np.log(p) - (1 - p) * np.log(1 - p)  # noqa: E731
    wanted = 0.75 * binary(0.1) + 0.25 * binary(0.3)
    np.testing.assert_allclose(chain.entropy_rate, wanted)
    drawn = chain.draw(2000, 30, seed=0)
    np.testing.assert_allclose((drawn == 1).mean(axis=(0, 2)), 0.25, atol=0.06)


def trained(flow, x, steps, learning_rate=3e-3, batch_size=64):
    flow.adapt(x)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(flow.trainable_variables)

    @tf.function(jit_compile=True)
    def step(rows):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(rows))
        gradients = tape.gradient(loss, flow.trainable_variables)
        optimizer.apply_gradients(zip(gradients, flow.trainable_variables, strict=True))

    rng = np.random.default_rng(0)
    for _ in range(steps):
        step(tf.constant(x[rng.integers(0, len(x), batch_size)]))
    return flow


def assert_reaches(flow, process, test):
    """The nll a step: within 0.02 of the entropy rate, and not below what is there."""
    nll = -flow.log_prob(test).numpy() / test.shape[1]
    error = nll.std() / np.sqrt(len(nll))
    assert process.entropy_rate - error < nll.mean() < process.entropy_rate + 0.02
    # Paired with the process's own density, of which no model is better on average.
    excess = nll + process.log_prob(test) / test.shape[1]
    assert excess.mean() > -excess.std() / np.sqrt(len(nll))


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda s: flows.wavenet(s, 4, 16, dilation_cycle=2),
        lambda s: flows.recurrent(s, (16,), "gru"),
    ],
    ids=["wavenet", "recurrent"],
)
def test_an_autoregressive_process_is_learned_to_its_entropy_rate(make):
    process = processes.GaussianAR((1.2, -0.6), 0.5)
    x, test = (process.draw(2000, 200, seed) for seed in (0, 1))
    assert_reaches(trained(make((200, 1)), x, 400), process, test)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda s, n: flows.wavenet(
            s, 2, 16, dilation_cycle=2, num_values=n, one_hot=True
        ),
        lambda s, n: flows.recurrent(s, (16,), "gru", num_values=n),
    ],
    ids=["wavenet", "recurrent"],
)
def test_a_markov_chain_is_learned_to_its_entropy_rate(make):
    process = processes.MarkovChain.random(5, seed=0)
    x, test = (process.draw(2000, 100, seed) for seed in (0, 1))
    assert_reaches(trained(make((100, 1), 5), x, 400), process, test)
