"""Models inside of what TFP builds: joint models, slices, surrogate posteriors."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows import bijectors as b
from tfp_flows.distributions import Flow

tfd, tfb = tfp.distributions, tfp.bijectors


@pytest.fixture(scope="module")
def prior():
    flow = flows.real_nvp((2,), 2, (8,))
    laws.randomize(flow)
    return flow


@pytest.fixture(scope="module")
def conditional():
    flow = flows.maf((2,), 1, (8,), context_shape=(1,))
    laws.randomize(flow)
    return flow


def test_two_flows_of_one_family_are_named_apart(prior):
    joint = tfd.JointDistributionSequential([prior, flows.real_nvp((2,), 1, (4,))])
    x, y = joint.sample(3, seed=1)
    wanted = prior.log_prob(x) + joint.model[1].log_prob(y)
    np.testing.assert_allclose(joint.log_prob(x, y), wanted, rtol=1e-5)
    named = [flows.maf((2,), 1, (4,), name=name) for name in ("one", "two")]
    joint = tfd.JointDistributionSequential(named)
    assert tuple(joint._flat_resolve_names()) == ("one", "two")


def test_hmc_samples_the_posterior_under_a_flow_prior(prior):
    joint = tfd.JointDistributionNamedAutoBatched(
        {
            "z": prior,
            "x": lambda z: tfd.Independent(tfd.Normal(z, 0.5), 1),
        }
    )
    pinned = joint.experimental_pin(x=tf.constant([0.5, -0.3]))
    assert pinned.experimental_default_event_space_bijector() is not None

    @tf.function(autograph=False, jit_compile=True)
    def draw():
        draws, _ = tfp.experimental.mcmc.windowed_adaptive_hmc(
            200,
            pinned,
            n_chains=8,
            num_leapfrog_steps=4,
            num_adaptation_steps=100,
            seed=(0, 1),
        )
        return draws["z"]

    # The same by weighting draws of the prior.
    z = prior.sample(100_000, seed=2)
    weight = tf.nn.softmax(
        tf.reduce_sum(tfd.Normal(z, 0.5).log_prob([0.5, -0.3]), axis=-1)
    )
    mean = tf.reduce_sum(weight[:, None] * z, axis=0)
    found = np.reshape(draw(), [-1, 2])
    np.testing.assert_allclose(found.mean(0), mean, atol=0.15)


def test_auto_batching_goes_through_a_conditional_flow(conditional):
    joint = tfd.JointDistributionSequentialAutoBatched(
        [
            tfd.Independent(tfd.Normal(tf.zeros([1]), 1.0), 1),
            lambda z: conditional.given(z),
        ]
    )
    z, x = joint.sample(3, seed=1)
    assert z.shape == (3, 1) and x.shape == (3, 2)
    prior = tfd.Normal(0.0, 1.0).log_prob(z)[:, 0]
    wanted = prior + conditional.log_prob(x, context=z)
    np.testing.assert_allclose(joint.log_prob([z, x]), wanted, rtol=1e-5)


def test_neutra_samples_the_target_through_a_flow(prior):
    target = tfd.MultivariateNormalTriL([1.0, -1.0], [[1.0, 0.0], [0.8, 0.6]])
    kernel = tfp.mcmc.TransformedTransitionKernel(
        tfp.mcmc.HamiltonianMonteCarlo(target.log_prob, 0.2, 5), prior.bijector
    )

    @tf.function(autograph=False, jit_compile=True)
    def draw():
        return tfp.mcmc.sample_chain(
            300,
            tf.zeros([32, 2]),
            kernel=kernel,
            num_burnin_steps=100,
            trace_fn=None,
            seed=(0, 1),
        )

    found = np.reshape(draw(), [-1, 2])
    np.testing.assert_allclose(found.mean(0), [1.0, -1.0], atol=0.15)
    np.testing.assert_allclose(np.cov(found.T), target.covariance(), atol=0.2)


def test_a_flow_is_a_surrogate_posterior():
    target = tfd.MultivariateNormalTriL([1.0, -1.0], [[1.0, 0.0], [0.8, 0.6]])
    surrogate = flows.gaussian((2,))
    losses = tfp.vi.fit_surrogate_posterior(
        target.log_prob,
        surrogate,
        optimizer=tf.keras.optimizers.Adam(5e-2),
        num_steps=150,
        sample_size=32,
        seed=1,
    )
    assert losses[-1] < 0.1 < losses[0]


def test_the_gradient_reaches_a_variable_context(conditional):
    context = tf.Variable([0.5])
    given = conditional.given(context)
    x = tf.constant([[0.3, 0.2]])
    with tf.GradientTape() as tape:
        log_prob = given.log_prob(x)
    slope = tape.gradient(log_prob, context).numpy()
    step = 1e-2
    ends = [conditional.log_prob(x, context=[[0.5 + s]]).numpy() for s in (step, -step)]
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=2e-2)
    context.assign([1.5])
    wanted = conditional.log_prob(x, context=[[1.5]])
    np.testing.assert_allclose(given.log_prob(x), wanted, rtol=1e-5)


def test_slices_are_the_parts_of_a_batch(conditional):
    given = conditional.given([[0.5], [-1.0], [2.0]])
    assert given.batch_shape == (3,)
    x = tf.constant([0.3, 0.2])
    np.testing.assert_allclose(
        [given[i].log_prob(x) for i in range(3)], given.log_prob(x), rtol=1e-5
    )
    assert given[1:].batch_shape == (2,)
    same = tfd.TransformedDistribution(conditional.distribution, given.bijector)
    assert same.batch_shape == (3,)
    np.testing.assert_allclose(same.log_prob(x), given.log_prob(x), rtol=1e-5)
    bijector = given.bijector
    assert bijector[1].experimental_batch_shape() == ()
    np.testing.assert_allclose(bijector[1].inverse(x), bijector.inverse(x)[1])
    np.testing.assert_allclose(bijector[..., 1:].inverse(x), bijector.inverse(x)[1:])


def test_slices_of_a_batched_base():
    base = tfd.MultivariateNormalDiag([[0.0, 0.0], [1.0, 2.0]], [1.0, 1.0])
    bijector = b.ActNorm((2,))
    flow = Flow(bijector, base)
    assert flow.batch_shape == (2,)
    x = tf.constant([0.3, 0.2])
    np.testing.assert_allclose(
        [flow[i].log_prob(x) for i in range(2)], flow.log_prob(x), rtol=1e-6
    )


def test_lists_of_numbers_are_taken_everywhere(prior):
    x = [[0.1, 0.2]]
    z = prior.encode(x)
    np.testing.assert_allclose(prior.decode(z.numpy().tolist()), x, atol=1e-5)
    assert prior.trace(x)[-1][0] == "base"


def test_a_summary_shows_every_part(capsys):
    flow = flows.glow((4, 4, 1), 2, 3, 4, num_values=5)
    flow.summary()
    text = capsys.readouterr().out
    for part in ("Dequantized", "Flow", "Chain", "Multiscale", "3 x Repeat", "ActNorm"):
        assert part in text
    weights = sum(int(np.prod(v.shape)) for v in flow.raw_variables)
    assert f"{weights:,} weights" in text.splitlines()[0]


def test_the_keras_model_tells_what_is_trained():
    lines = []
    FlowModel(flows.gaussian((3,))).summary(print_fn=lines.append)
    assert lines[0].startswith("FlowModel") and "(3,)" in lines[1]
    assert lines[-1] == "9 weights are trained, 16 are not."
