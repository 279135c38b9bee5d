"""Outside of the support the density is 0: never a clipped number, and never NaN."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import bijectors as b
from tfp_flows.distributions import Flow, StandardLogistic, StandardNormal

tfb, tfd = tfp.bijectors, tfp.distributions
_HIGH = 300.0  # above it next to nothing of what has no upper end


@dataclasses.dataclass(frozen=True)
class Bounded:
    """Parts of a chain whose events lie in (low, high)."""

    parts: Callable[[str], list]
    low: float
    high: float

    def flow(self, dtype="float64", kind: Any = b.Chain):
        flow = Flow(kind([*self.parts(dtype), b.ActNorm((1,), dtype=dtype)]))
        laws.randomize(flow, seed=2)
        return flow

    def inside(self, dtype):
        share = np.array([0.1, 0.4, 0.7])
        return (self.low + share * (min(self.high, 3.0) - self.low)).astype(dtype)

    def outside(self, dtype):
        """Beyond both ends, the ends themselves, and one number beyond them."""
        low, high = np.array([self.low, self.high], dtype)
        below = [low - 1, np.nextafter(low, low - 1), low, -np.inf]
        above = [np.inf, high]
        if high < _HIGH:
            above += [np.nextafter(high, high + 1), high + 1]
        return np.array([*below, *above], dtype)


BOUNDED = {
    "unit interval": Bounded(
        lambda d: [b.UnitInterval((1,), margin=0.0, dtype=d)], 0.0, 1.0
    ),
    "unit interval with a margin": Bounded(
        lambda d: [b.UnitInterval((1,), margin=0.125, dtype=d)], 0.125, 0.875
    ),
    "softplus": Bounded(lambda d: [tfb.Softplus()], 0.0, np.inf),
    "exp": Bounded(lambda d: [tfb.Exp()], 0.0, np.inf),
    "sigmoid": Bounded(lambda d: [tfb.Sigmoid()], 0.0, 1.0),
    "normal cdf": Bounded(lambda d: [tfb.NormalCDF()], 0.0, 1.0),
    "tanh": Bounded(lambda d: [tfb.Tanh()], -1.0, 1.0),
    "several": Bounded(
        lambda d: [tfb.Shift(tf.constant(1.0, d)), tfb.Sigmoid(), tfb.Softplus()],
        1.5,
        2.0,
    ),
    "tfb.Chain": Bounded(
        lambda d: [tfb.Chain([tfb.Exp(), tfb.Softplus()])], 1.0, np.inf
    ),
    "inverse of an inverse": Bounded(
        lambda d: [b.Inverse(b.Inverse(b.UnitInterval((1,), margin=0.0, dtype=d)))],
        0.0,
        1.0,
    ),
    "inverse of the logarithm": Bounded(
        lambda d: [
            b.Inverse(b.Chain([tfb.Invert(tfb.Exp()), b.DiagonalScale((1,), dtype=d)]))
        ],
        0.0,
        np.inf,
    ),
}
each = pytest.mark.parametrize("case", BOUNDED.values(), ids=BOUNDED.keys())
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@each
def test_the_density_integrates_to_one_over_the_support(case):
    high = min(case.high, _HIGH)
    edges = np.linspace(case.low, high, 100001)
    middles = (edges[1:] + edges[:-1]) / 2
    density = np.exp(case.flow().log_prob(middles[:, None]))
    assert abs(density.sum() * (edges[1] - edges[0]) - 1) < 1e-3


@each
@pytest.mark.parametrize(
    ("dtype", "kind"), [("float32", b.Chain), ("float64", b.ReversibleChain)]
)
def test_outside_log_prob_is_minus_infinity_and_encode_nan_in_every_mode(
    case, dtype, kind
):
    flow = case.flow(dtype, kind)
    x = np.concatenate([case.inside(dtype), [np.nan], case.outside(dtype)])
    x = x[:, None].astype(dtype)
    judge = tfd.TransformedDistribution(StandardNormal((1,), dtype), flow.bijector)
    for log_prob in (
        flow.log_prob,
        judge.log_prob,
        tf.function(flow.log_prob),
        tf.function(flow.log_prob, jit_compile=True),
    ):
        result = log_prob(tf.constant(x)).numpy()
        assert np.isfinite(result[:3]).all()
        assert np.isnan(result[3])
        np.testing.assert_array_equal(result[4:], -np.inf)
    z, log_det = flow.encode_and_log_det(x)
    np.testing.assert_array_equal(
        np.isnan(z[:, 0]), [False] * 3 + [True] * (len(x) - 3)
    )
    np.testing.assert_array_equal(log_det[4:], -np.inf)


@each
@pytest.mark.parametrize(
    ("dtype", "kind", "wrap"),
    [
        ("float32", b.Chain, lambda f: f),
        ("float64", b.Chain, lambda f: tf.function(f, jit_compile=True)),
        ("float32", b.ReversibleChain, lambda f: f),
    ],
    ids=["eager", "xla", "recomputed"],
)
def test_events_outside_leave_the_gradients_of_the_others_alone(
    case, dtype, kind, wrap
):
    flow = case.flow(dtype, kind)

    @wrap
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = flow.log_prob(x)
        return tape.gradient(log_prob, [x, *flow.trainable_variables])

    inside, outside = case.inside(dtype)[:, None], case.outside(dtype)[:, None]
    # The gradient of a weight that multiplies infinity before its range is asked for
    # is 0 times infinity.
    outside = outside[np.isfinite(outside).all(axis=1)]
    alone = gradients(tf.constant(inside))
    mixed = gradients(tf.constant(np.concatenate([outside, inside])))
    np.testing.assert_array_equal(mixed[0][: len(outside)], 0.0)
    # Terms of size 1 may cancel: what is left of them has their rounding.
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-9}
    np.testing.assert_allclose(mixed[0][len(outside) :], alone[0], **close)
    for one, other in zip(mixed[1:], alone[1:], strict=True):
        np.testing.assert_allclose(one, other, **close)


def test_variables_of_tfps_bijectors_get_the_gradient_of_the_others():
    low = tf.Variable(0.25, dtype=tf.float64)
    part = tfb.Sigmoid(low, tf.constant(2.0, tf.float64))
    flow = Flow(b.Chain([part, b.ActNorm((1,), dtype="float64")]))
    found = []
    for x in ([[0.5], [1.0]], [[0.25], [0.5], [2.0], [1.0], [-3.0]]):
        with tf.GradientTape() as tape:
            log_prob = flow.log_prob(tf.constant(x, tf.float64))
        found.append(tape.gradient(log_prob, low).numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_bijector_of_tfp_needs_no_chain(jit_compile):
    base = tfd.Sample(tfd.Normal(0.0, tf.Variable(2.0)), 2)
    flow = Flow(tfb.Exp(), base)
    x = tf.constant([[1.0, 2.0], [0.0, 1.0], [-1.0, 1.0], [np.inf, 1.0]])

    @tf.function(jit_compile=jit_compile)
    def log_prob_and_gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = flow.log_prob(x)
        return log_prob, *tape.gradient(log_prob, [x, *flow.trainable_variables])

    log_prob, by_x, by_scale = log_prob_and_gradients(x)
    judge = tfd.Sample(tfd.LogNormal(0.0, 2.0), 2)
    np.testing.assert_allclose(log_prob[0], judge.log_prob(x[0]), rtol=1e-6)
    np.testing.assert_array_equal(log_prob[1:], -np.inf)
    alone = log_prob_and_gradients(x[:1])
    np.testing.assert_allclose(by_x[0], alone[1][0], rtol=1e-6)
    np.testing.assert_allclose(by_scale, alone[2], rtol=1e-6)
    z, log_det = flow.encode_and_log_det(x)
    assert np.isfinite(z[0]).all() and np.isnan(z[1:]).all()
    np.testing.assert_array_equal(log_det[1:], -np.inf)
    assert np.isnan(flow.log_prob([[np.nan, -1.0]]))


def test_pairs_through_a_bijector_of_tfp_outside_of_its_range():
    """An event of two parts has no density where one of them has none."""
    base = tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)] * 2)
    flow = Flow(tfb.JointMap([tfb.Exp(), tfb.Softplus()]), base)
    log_prob = flow.log_prob([tf.constant([1.0, 1.0]), tf.constant([1.0, -1.0])])
    assert np.isfinite(log_prob[0]) and np.isneginf(log_prob[1])


def test_both_ends_of_the_unit_interval_are_treated_alike():
    flow = Flow(
        b.UnitInterval((1,), dtype="float64"), StandardLogistic((1,), "float64")
    )
    near = 2.0 ** -np.arange(1, 21)[:, None]
    np.testing.assert_allclose(flow.log_prob(near), flow.log_prob(1 - near), atol=1e-9)
    np.testing.assert_allclose(flow.log_prob(near)[:-1], np.log1p(2**-19), atol=1e-6)
    assert np.isneginf(flow.log_prob(near)[-1])  # the margin itself


@dtypes
@pytest.mark.parametrize("margin", [0.0, 2.0**-20, 0.1])
def test_what_the_unit_interval_decodes_lies_in_its_support(margin, dtype):
    flow = Flow(b.UnitInterval((1,), margin=margin, dtype=dtype))
    x = flow.decode(np.array([[-1e6], [-100.0], [-20.0], [20.0], [100.0], [1e6]]))
    assert np.isfinite(flow.log_prob(tf.identity(x))).all()
    assert (x > margin).numpy().all() and (x < 1 - margin).numpy().all()


def test_outside_in_one_unit_is_outside_and_nan_beside_it_stays_nan():
    flow = Flow(b.Chain([b.UnitInterval((2,)), b.ActNorm((2,))]))
    x = tf.constant([[0.5, 1.5], [0.5, 0.5], [np.nan, 1.5]])
    log_prob = flow.log_prob(x).numpy()
    assert np.isneginf(log_prob[0]) and np.isfinite(log_prob[1])
    assert np.isnan(log_prob[2])


_SHAPE = (4, 4, 1)


def levels(first_step):
    first, second = b.Multiscale.level_shapes(_SHAPE, 2)
    return b.Multiscale([[first_step(first)], [b.ActNorm(second)]], _SHAPE)


def repeat(part, memory):
    return b.Repeat(lambda i: b.Chain([part, b.ActNorm(_SHAPE)]), 1, memory)


@pytest.mark.parametrize(
    "bijector",
    [
        levels(b.UnitInterval),
        b.Chain([tfb.Sigmoid(), levels(b.ActNorm)]),
        repeat(b.UnitInterval(_SHAPE), "activations"),
        repeat(tfb.Sigmoid(), "constant"),
    ],
    ids=["multiscale", "before multiscale", "repeat", "repeat constant"],
)
@pytest.mark.parametrize("jit_compile", [False, True])
def test_it_holds_through_steps_and_levels(bijector, jit_compile):
    flow = Flow(bijector)
    x = np.full([3, *_SHAPE], 0.3, np.float32)
    x[1, 2, 3], x[2, 0, 0] = 1.5, np.nan
    log_prob = tf.function(flow.log_prob, jit_compile=jit_compile)(x).numpy()
    assert np.isfinite(log_prob[0]) and np.isneginf(log_prob[1])
    assert np.isnan(log_prob[2])
    z = flow.encode(x).numpy()
    assert np.isfinite(z[0]).all() and np.isnan(z[1]).all()


@each
def test_empty_batches_stay_empty(case):
    flow = case.flow()
    x = tf.zeros([0, 1], tf.float64)
    assert flow.log_prob(x).shape == flow.encode_and_log_det(x)[1].shape == [0]
    assert flow.encode(x).shape == flow.sample(0, seed=1).shape == [0, 1]


def test_a_base_wider_than_the_range_of_its_bijector_gives_nan():
    """The sample that no event belongs to; its density is not infinite."""
    flow = Flow(b.Inverse(b.UnitInterval((1,))))
    x, log_det = flow.decode_and_log_det(tf.constant([[0.5], [2.0]]))
    np.testing.assert_array_equal(np.isnan(x[:, 0]), [False, True])
    np.testing.assert_array_equal(np.isnan(log_det), [False, True])
