"""Student-t bases, against SciPy; and bases with circles."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows.diagnostics import pit
from tfp_flows.distributions import Flow, StandardNormal, StudentT, WithCircles


def student(raw, dtype="float64"):
    base = StudentT(np.shape(raw), dtype)
    base.trainable_variables[0].assign(np.asarray(raw, dtype))
    return base


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-4), ("float64", 1e-9)])
def test_density_and_moments_are_those_of_scipy(dtype, rtol):
    base = student([-1e3, -1.0, 0.0, 1.0, 1e3], dtype)
    df = base.df.numpy().astype(np.float64)
    assert (np.diff(df) > 0).all() and df[2] == 5.0 and 1.02 < df[0] and df[4] < 600
    z = np.array([[0.0] * 5, [0.3] * 5, [-4.0] * 5, [100.0] * 5], dtype)
    wanted = stats.t.logpdf(z.astype(np.float64), df).sum(axis=1)
    np.testing.assert_allclose(base.log_prob(z), wanted, rtol=rtol)
    np.testing.assert_allclose(base.variance()[2:], stats.t.var(df[2:]), rtol=rtol)
    assert np.isinf(base.variance()[0])


def test_uniform_numbers_become_students_variables():
    base = student([-2.0, 0.0, 3.0])
    z = base.sample(20000, seed=3).numpy()
    for column, df in zip(z.T, base.df.numpy(), strict=True):
        assert stats.kstest(column, "t", (df,)).pvalue > 0.01
    assert np.abs(np.corrcoef(stats.rankdata(z, axis=0).T)[0, 1:]).max() < 0.03
    parts = [base.sample(1, seed=tf.constant([0, 3, i])) for i in range(3)]
    np.testing.assert_allclose(tf.concat(parts, 0), base.sample(3, seed=(0, 3)))
    ends = np.array([[2.0**-25] * 6, [1 - 2.0**-25] * 6])
    extreme = base.from_uniform(tf.constant(ends))
    assert np.isfinite(extreme).all()


def test_samples_carry_the_gradient_of_the_degrees_of_freedom():
    base = student([0.0])
    u = np.random.default_rng(0).uniform(size=[200000, 2])
    with tf.GradientTape() as tape:
        mean = tf.reduce_mean(tf.abs(base.from_uniform(tf.constant(u))))
    found = tape.gradient(mean, base.trainable_variables[0]).numpy()[0]

    def mean_size(df):
        return 2 * integrate.quad(lambda x: x * stats.t.pdf(x, df), 0, np.inf)[0]

    wanted = (mean_size(5.04) - mean_size(4.96)) / 0.08 * 4.0  # d df / d raw = 4
    np.testing.assert_allclose(found, wanted, rtol=0.05)


def test_heavy_tails_are_learned():
    x = stats.t.rvs(2.0, size=[4000, 1], random_state=0).astype(np.float32)
    found = {}
    for base in ("normal", "student_t"):
        keras.utils.set_random_seed(0)
        flow = flows.real_nvp((1,), 1, (4,), base=base)
        model = FlowModel(flow)
        model.compile(keras.optimizers.Adam(0.03), jit_compile=False)
        model.fit(x[:2000], epochs=20, batch_size=250, verbose=0)
        found[base] = float(tf.reduce_mean(flow.log_prob(x[2000:])))
    best = stats.t.logpdf(x[2000:], 2.0).mean()
    assert best - 0.03 < found["student_t"] and found["normal"] < best - 0.2
    assert 1.5 < float(flow.distribution.df[0]) < 2.6


def test_codes_of_a_student_t_flow_are_judged_by_its_own_distribution_function():
    flow = flows.maf((2,), 1, (4,), base="student_t")
    laws.randomize(flow)
    codes = pit(flow, flow.sample(2000, seed=1))
    assert stats.kstest(codes.ravel(), "uniform").pvalue > 0.01


@pytest.mark.parametrize("is_angle", [[True, False, True, False], [True, True]])
def test_angles_are_uniform_and_no_temperature_changes_them(is_angle):
    count = is_angle.count(False)
    base = WithCircles(is_angle, StandardNormal((count,)) if count else None)
    z = base.sample(20000, seed=1)
    angles = z.numpy()[:, is_angle]
    uniform = stats.uniform(-np.pi, 2 * np.pi)
    assert stats.kstest(angles.ravel(), uniform.cdf).pvalue > 0.01
    others = z.numpy()[:, np.logical_not(is_angle)]
    wanted = uniform.logpdf(angles).sum(1) + stats.norm.logpdf(others).sum(1)
    np.testing.assert_allclose(base.log_prob(z), wanted, rtol=1e-5)
    cold = base.tempered(z, 0.0).numpy()
    np.testing.assert_array_equal(cold[:, is_angle], angles)
    np.testing.assert_array_equal(cold[:, np.logical_not(is_angle)], 0.0)
    assert np.isnan(base.log_prob(np.full([1, len(is_angle)], np.nan)))


@pytest.mark.parametrize(
    ("is_angle", "others"),
    [([False], StandardNormal((1,))), ([True, False], None), ([True], StudentT((1,)))],
)
def test_bases_that_do_not_fit_are_refused(is_angle, others):
    with pytest.raises(ValueError, match="at least one angle and a base on the other"):
        WithCircles(is_angle, others)


def test_a_flow_trains_the_degrees_of_freedom_in_a_base_of_circles():
    options = {"support": [("periodic", 0, 1), "real"], "base": "student_t"}
    flow = flows.real_nvp((2,), 2, (4,), **options)
    assert isinstance(flow, Flow)
    laws.assert_both_sides_see_the_weights(flow, flow.keras_layers)
    assert any("raw_df" in v.name for v in flow.trainable_variables)
