"""The laws of every recipe's flow: see tests/laws.py and tests/cases.py."""

import numpy as np
import pytest
import tensorflow as tf

from tests import cases, laws
from tfp_flows import bijectors as b
from tfp_flows import flows
from tfp_flows.distributions import Flow, GaussianFlow
from tfp_flows.networks import MLP, masks

CONDITIONAL = {k: c for k, c in cases.FLOWS.items() if c.context_shape}
# Every part and base once: XLA takes long, and the bijectors have laws of their own.
COMPILED = ["gaussian", "gaussian mixture", "nice", "real nvp image context"]
COMPILED += ["neural spline", "flow++ context", "glow", "glow without priors"]
COMPILED += ["glow spline", "wavenet beside a sequence", "recurrent", "maf mixtures"]
COMPILED += ["neural spline circles context"]
COMPILED += ["maf image context", "iaf", "neural spline autoregressive"]
COMPILED = {k: cases.FLOWS[k] for k in COMPILED}


def each(table):
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())


@each(cases.FLOWS)
def test_log_prob_is_the_change_of_variables(case):
    flow, x, kwargs = case.build()
    z = flow.encode(x, **kwargs)
    log_det = laws.autodiff_log_det(lambda v: flow.encode(v, **kwargs), x)
    np.testing.assert_allclose(
        flow.log_prob(x, **kwargs), flow.distribution.log_prob(z) + log_det, atol=1e-8
    )


@each(cases.FLOWS)
def test_encode_and_decode_undo_each_other_with_opposite_log_dets(case):
    flow, x, kwargs = case.build()
    z, inward = flow.encode_and_log_det(x, **kwargs)
    again, outward = flow.decode_and_log_det(z, **kwargs)
    assert z.shape == x.shape
    assert inward.shape == outward.shape == [3]
    np.testing.assert_allclose(again, x, atol=1e-8)
    np.testing.assert_allclose(inward, -outward, atol=1e-8)


@each(cases.FLOWS)
def test_both_sides_see_the_weights_before_any_call(case):
    flow = case.make("float32")
    laws.assert_both_sides_see_the_weights(flow, flow.keras_layers)


@each(cases.FLOWS)
def test_every_weight_gets_a_gradient(case):
    flow, x, kwargs = case.build(batch=5)
    laws.assert_every_weight_gets_gradient(
        flow, lambda: tf.reduce_mean(flow.log_prob(x, **kwargs) ** 2)
    )


@each(cases.FLOWS)
def test_same_numbers_eager_in_a_function_and_under_xla(case):
    flow, x, kwargs = case.build()
    laws.assert_same_in_every_mode(lambda v: flow.log_prob(v, **kwargs), x, atol=1e-9)


@each(cases.FLOWS)
def test_sampling_is_a_function_of_the_seed_eager_and_traced(case):
    flow, _, kwargs = case.build("float32")

    def draw(seed):
        return flow.sample(4, seed=seed, **kwargs)

    seed = tf.constant([3, 4])
    assert draw(seed).shape == [4, *([3] if kwargs else []), *case.event_shape]
    np.testing.assert_allclose(tf.function(draw)(seed), draw(seed), atol=1e-4)
    assert not np.allclose(draw(seed), draw(seed + 1))


@each(cases.FLOWS)
def test_an_integer_seed_always_draws_the_same(case):
    flow, _, kwargs = case.build("float32")
    one, two, other = (flow.sample(3, seed=s, **kwargs) for s in (1, 1, 2**40 + 1))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


@each(COMPILED)
def test_what_xla_samples_has_the_log_prob_that_eager_gives(case):
    # TensorFlow's generators give other numbers under XLA, from the same seed.
    flow, _, kwargs = case.build()
    draw = tf.function(
        lambda seed: flow.experimental_sample_and_log_prob(4, seed=seed, **kwargs),
        jit_compile=True,
    )
    x, log_prob = draw(tf.constant([3, 4]))
    assert len(np.unique(x.numpy())) > 3
    np.testing.assert_allclose(flow.log_prob(x, **kwargs), log_prob, atol=1e-7)


@each(cases.FLOWS)
def test_a_sample_and_its_log_prob_agree_with_log_prob(case):
    flow, _, kwargs = case.build()
    x, log_prob = flow.experimental_sample_and_log_prob(4, seed=(1, 2), **kwargs)
    np.testing.assert_allclose(
        flow.log_prob(tf.identity(x), **kwargs), log_prob, atol=1e-7
    )


@each(cases.FLOWS)
def test_nan_stays_in_its_row(case):
    flow, x, kwargs = case.build()
    log_prob = lambda v: flow.log_prob(v, **kwargs)  # noqa: E731
    if isinstance(flow, GaussianFlow):  # eager, NaN is missing
        log_prob = tf.function(log_prob)
    laws.assert_nan_stays_in_its_row(log_prob, x)


@each(cases.FLOWS)
def test_finite_far_out(case):
    flow, _, kwargs = case.build("float32", batch=2)
    for value in (0.0, 0.5, 1.0, -1.0, 1e6, -1e6):
        log_prob = flow.log_prob(tf.fill([2, *case.event_shape], value), **kwargs)
        if case.support[0] < value < case.support[1]:
            assert np.isfinite(log_prob.numpy()).all()
        else:
            assert np.isneginf(log_prob.numpy()).all()


@each({k: c for k, c in cases.FLOWS.items() if "circles" not in k})  # without a mean
def test_low_temperature_gathers_around_the_mode_of_the_base(case):
    flow, _, kwargs = case.build("float32")
    cold = flow.sample(2, seed=(1, 2), temperature=0.0, **kwargs)
    mean = flow.distribution.mean()
    np.testing.assert_allclose(
        cold[0], flow.decode(tf.broadcast_to(mean, cold[0].shape), **kwargs), atol=1e-4
    )
    np.testing.assert_allclose(cold[0], cold[1], atol=1e-4)


@each(cases.FLOWS)
def test_a_checkpoint_restores_the_numbers(case, tmp_path):
    flow, x, kwargs = case.build("float32")
    before = flow.log_prob(x, **kwargs).numpy()
    path = tf.train.Checkpoint(flow=flow).save(str(tmp_path / "ckpt"))
    other = case.make("float32")
    assert not np.allclose(other.log_prob(x, **kwargs), before)
    tf.train.Checkpoint(flow=other).restore(path).assert_consumed()
    np.testing.assert_array_equal(other.log_prob(x, **kwargs), before)


@each(cases.FLOWS)
def test_uniform_numbers_give_samples_of_the_base(case):
    flow, _, _ = case.build("float32")
    base = flow.distribution
    u = np.random.default_rng(0).uniform(size=(20000, base.num_uniforms))
    z = base.from_uniform(tf.constant(u, tf.float32)).numpy()
    drawn = base.sample(20000, seed=(1, 2)).numpy()
    assert z.shape == drawn.shape
    np.testing.assert_allclose(z.mean(0), drawn.mean(0), atol=0.08)
    np.testing.assert_allclose(z.std(0), drawn.std(0), atol=0.08)


@each(CONDITIONAL)
def test_given_is_the_conditional_distribution(case):
    flow, x, kwargs = case.build()
    given = flow.given(kwargs["context"])
    assert given.batch_shape == [3]
    assert given.event_shape == case.event_shape
    np.testing.assert_allclose(given.log_prob(x), flow.log_prob(x, **kwargs))
    assert given.sample(5, seed=(1, 2)).shape == [5, 3, *case.event_shape]


@each(CONDITIONAL)
def test_missing_context_names_the_bijector(case):
    flow, x, _ = case.build()
    for call in (flow.log_prob, flow.encode, flow.decode, flow.trace):
        with pytest.raises(ValueError, match=f"'{flow.name}'|coupling"):
            call(x)


@pytest.mark.parametrize("base", ["logistic", "normal"])
def test_density_integrates_to_one_in_two_dimensions(base):
    flow = flows.nice((2,), 2, (16,), base=base, activation="tanh", dtype="float64")
    laws.randomize(flow)
    assert abs(laws.integral_2d(flow, -25.0, 25.0) - 1) < 2e-3


def reach(flow, **kwargs):
    """A range that holds nearly all samples, for both units."""
    size = np.abs(flow.sample(20000, seed=(1, 2), **kwargs)).max()
    return -1.5 * size, 1.5 * size


@pytest.mark.parametrize("context_shape", [None, (1,)])
@pytest.mark.parametrize("name", ["real_nvp", "neural_spline", "flow_pp"])
def test_couplings_integrate_to_one(name, context_shape):
    options = {"neural_spline": {"num_bins": 4}, "flow_pp": {"num_components": 2}}
    flow = flows.build(
        name,
        event_shape=(2,),
        num_steps=3,
        hidden_units=(16,),
        activation="tanh",
        context_shape=context_shape,
        dtype="float64",
        **options.get(name, {}),
    )
    laws.randomize(flow)
    kwargs = {} if context_shape is None else {"context": np.array([0.7])}
    assert abs(laws.integral_2d(flow, *reach(flow, **kwargs), **kwargs) - 1) < 1e-3


@pytest.mark.parametrize("context_shape", [None, (1,)])
@pytest.mark.parametrize("name", ["nice", "real_nvp", "neural_spline", "flow_pp"])
def test_couplings_of_one_unit_integrate_to_one(name, context_shape):
    flow = flows.build(
        name,
        event_shape=(1,),
        num_steps=3,
        hidden_units=(8,),
        context_shape=context_shape,
        dtype="float64",
    )
    laws.randomize(flow)
    kwargs = {} if context_shape is None else {"context": np.array([0.7])}
    assert abs(laws.integral_1d(flow, *reach(flow, **kwargs), **kwargs) - 1) < 1e-3


@pytest.mark.parametrize("kind", ["lu", "plain", "householder"])
def test_steps_of_glow_integrate_to_one(kind):
    def step(i):
        mlp = MLP((16,), "tanh", dtype="float64")
        return b.Chain(
            [
                b.ActNorm((2,), dtype="float64"),
                b.InvertibleLinear((2,), kind, seed=i, dtype="float64"),
                b.AffineCoupling((2,), mlp, masks.half((2,)), dtype="float64"),
            ]
        )

    flow = Flow(b.Repeat(step, 2, "constant"))
    laws.randomize(flow)
    assert abs(laws.integral_2d(flow, *reach(flow)) - 1) < 1e-3


def test_density_integrates_to_one_in_one_dimension():
    for flow in (
        flows.gaussian((1,), dtype="float64"),
        flows.gaussian_mixture((1,), 3, dtype="float64"),
    ):
        laws.randomize(flow)
        assert abs(laws.integral_1d(flow, -30.0, 30.0) - 1) < 1e-6
