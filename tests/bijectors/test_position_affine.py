"""Affine maps of the last axis: fused by a chain, the same as one by one."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import laws
from tfp_flows import bijectors as b
from tfp_flows.bijectors.position_affine import AffineMap, FusedAffine, PositionAffine
from tfp_flows.networks import MLP, masks

PARTS = {
    "norm": lambda shape, i, d: b.ActNorm(shape, dtype=d, name=f"act_norm_{i}"),
    "lu": lambda shape, i, d: b.InvertibleLinear(shape, seed=i, dtype=d),
    "reflections": lambda shape, i, d: b.InvertibleLinear(
        shape, "householder", seed=i, dtype=d
    ),
}


@settings(max_examples=20, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=5),
    shape=st.lists(st.integers(2, 4), min_size=1, max_size=3),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_a_run_of_maps_is_the_maps_one_after_the_other(kinds, shape, dtype):
    parts = [PARTS[kind](shape, i, dtype) for i, kind in enumerate(kinds)]
    for i, part in enumerate(parts):
        laws.randomize(part, seed=i)
    chain = b.Chain(parts)
    assert [type(part) for part in chain.in_order("inverse")] == [FusedAffine]
    y = np.random.default_rng(0).normal(size=(3, *shape)).astype(dtype)
    x, total = tf.constant(y), 0.0
    for part in parts:
        total += part.inverse_log_det_jacobian(tf.identity(x), len(shape))
        x = part.inverse(x)
    atol = laws.tolerance(dtype) * (10 if dtype == "float32" else 0.1)
    np.testing.assert_allclose(chain.inverse(y), x, atol=atol, rtol=atol)
    log_det = chain.inverse_log_det_jacobian(tf.constant(y), len(shape))
    np.testing.assert_allclose(log_det, total, atol=atol, rtol=atol)
    back = chain.forward(tf.identity(x))
    np.testing.assert_allclose(back, y, atol=10 * atol, rtol=10 * atol)
    there = chain.forward_log_det_jacobian(tf.identity(x), len(shape))
    np.testing.assert_allclose(there, -total, atol=atol, rtol=atol)


def test_a_coupling_ends_a_run():
    norm = b.ActNorm((4,))
    couple = b.AffineCoupling((4,), MLP((4,)), masks.half((4,)))
    linear = b.InvertibleLinear((4,))
    chain = b.Chain([norm, linear, couple, b.ActNorm((4,), name="last")])
    first, middle, last = chain.in_order("inverse")
    assert [part.name for part in first.bijectors] == ["act_norm", "invertible_linear"]
    assert middle is couple
    assert [part.name for part in last.bijectors] == ["last"]


def test_a_run_touches_the_events_once():
    shape = (8, 8, 4)
    chain = b.Chain([PARTS[k](shape, 0, "float32") for k in ("norm", "lu", "norm")])
    graph = tf.function(chain.inverse).get_concrete_function(tf.zeros([16, *shape]))
    large = [
        op.type
        for op in graph.graph.get_operations()
        if op.outputs
        and op.outputs[0].shape.rank
        and op.outputs[0].shape.num_elements() == 16 * 8 * 8 * 4
    ]
    arithmetic = [t for t in large if t in ("Mul", "AddV2", "Sub", "MatMul", "BiasAdd")]
    assert arithmetic == ["MatMul", "BiasAdd"]


@pytest.mark.parametrize("first", ["diagonal", "matrix"])
@pytest.mark.parametrize("second", ["diagonal", "matrix"])
@pytest.mark.parametrize("biases", [(True, True), (True, False), (False, True)])
def test_maps_of_all_kinds_compose(first, second, biases):
    rng = np.random.default_rng(0)

    def draw(kind, has_bias):
        kernel = rng.normal(size=(3,) if kind == "diagonal" else (3, 3))
        dense = np.diag(kernel) if kind == "diagonal" else kernel
        bias = rng.normal(size=3) if has_bias else None
        log_det = np.linalg.slogdet(dense)[1]
        return AffineMap(
            *(None if v is None else tf.constant(v) for v in (kernel, bias, log_det))
        )

    one, two = draw(first, biases[0]), draw(second, biases[1])
    x = tf.constant(rng.normal(size=(2, 5, 3)))
    both = one.then(two)
    np.testing.assert_allclose(both(x), two(one(x)))
    np.testing.assert_allclose(both.log_det, one.log_det + two.log_det)


def test_a_map_without_a_direction_says_so():
    class Nothing(PositionAffine):
        def __init__(self):
            super().__init__((2,), parameters={}, name="nothing")

    for call in (Nothing().forward, Nothing().inverse):
        with pytest.raises(NotImplementedError, match="Nothing has no"):
            call(tf.ones([1, 2]))
