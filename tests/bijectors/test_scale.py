"""Nothing depends on the unit of the data: not the moments, not a step of training."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfp_flows import FlowModel, flows
from tfp_flows import bijectors as b
from tfp_flows.networks.moments import moments

NORMS = {
    "act_norm": b.ActNorm,
    "standardize": b.Standardize,
    "batch_norm": b.BatchNorm,
    "triangular": b.TriangularAffine,
}


def rows(count=300, size=3):
    return np.random.default_rng(0).normal(size=(count, size))


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1.0, 1e9, 1e30])
def test_what_leaves_has_unit_variance_whatever_the_unit(name, dtype, unit):
    norm, y = NORMS[name]((3,), dtype=dtype), tf.constant(unit * rows(), dtype)
    norm.adapt(y)
    x, log_det = norm.inverse(y), norm.inverse_log_det_jacobian(y, 1)
    np.testing.assert_allclose(np.std(x, axis=0), 1.0, rtol=1e-4)
    np.testing.assert_allclose(np.mean(x, axis=0), 0.0, atol=1e-6)
    # Against the densities' change of unit: one nat for every factor e and dimension.
    ours = NORMS[name]((3,), dtype="float64")
    ours.adapt(rows())
    wanted = ours.inverse_log_det_jacobian(rows(), 1) - 3 * np.log(unit)
    np.testing.assert_allclose(log_det, wanted, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(norm.forward(tf.identity(x)), y, rtol=1e-3)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize(
    ("dtype", "offset"), [("float32", 1e6), ("float64", 1.7e9), ("float64", 1e15)]
)
def test_an_offset_costs_no_more_than_the_data_lost_to_it(name, dtype, offset):
    kept = (offset + 2.0 * rows()).astype(dtype)
    apart = kept.astype("f8") - offset  # exact: neighbours in float64
    norm = NORMS[name]((3,), dtype=dtype)
    norm.adapt(tf.constant(kept))
    ours = NORMS[name]((3,), dtype="float64")
    ours.adapt(apart)
    np.testing.assert_allclose(norm.inverse(kept), ours.inverse(apart), atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(
    unit=st.floats(-200, 200).map(lambda e: 10.0**e),
    offset=st.floats(-1e12, 1e12),
    seed=st.integers(0, 100),
)
def test_moments_are_those_of_exact_arithmetic(unit, offset, seed):
    y = (np.random.default_rng(seed).normal(size=(20, 1)) + offset) * unit
    found = moments(y, np.float64, "test")
    exact = np.array([[int(v) for v in np.round((y[:, 0] - y[0, 0]) / unit * 2**40)]])
    exact = [int(v) for v in exact[0]]
    mean = sum(exact) / len(exact)
    variance = sum((v - mean) ** 2 for v in exact) / len(exact) / 2.0**80
    np.testing.assert_allclose(found.scale / unit, variance**0.5, rtol=1e-6)
    assert found.varies.all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_constant_is_judged_at_the_magnitude_of_the_data(dtype):
    eps = np.finfo(dtype).eps
    for value in (1e-30, 1.0, 1e30):
        same = np.full((50, 1), value, dtype)
        assert not moments(same, dtype, "test").varies
        two = same * np.where(np.arange(50) % 2, 1 + 4 * eps, 1)[:, None].astype(dtype)
        assert moments(two, dtype, "test").varies
    assert moments(np.zeros((5, 1)), dtype, "test").scale == 1.0


@pytest.mark.parametrize("recipe", ["real_nvp", "nice", "maf", "neural_spline", "iaf"])
def test_training_is_the_same_in_every_unit(recipe):
    """With units that are powers of two, bit for bit."""
    y = rows(200, 2) @ [[1.0, 0.6], [0.0, 0.8]]
    flow = flows.build(recipe, event_shape=(2,), num_steps=2, hidden_units=(16,))
    model = FlowModel(flow)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    variables = [*flow.raw_variables, *model.optimizer.variables]
    fresh, losses = [v.numpy() for v in variables], []
    for unit in (1.0, 2.0**-40, 2.0**60):
        for variable, value in zip(variables, fresh, strict=True):
            variable.assign(value)  # one trace for all units
        x = (unit * y).astype(np.float32)
        flow.adapt(x)
        history = model.fit(x, batch_size=50, epochs=3, verbose=0, shuffle=False)
        losses.append(np.array(history.history["nll"]) - 2 * np.log(unit))
        assert losses[-1][-1] < losses[-1][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    np.testing.assert_allclose(losses[2], losses[0], rtol=1e-4)


def test_a_constant_column_stays_finite_and_is_told_once():
    y = rows().astype(np.float32)
    y[:, 1] = 7.0
    flow = flows.real_nvp((3,), 2, (8,))
    with pytest.warns(UserWarning, match="1 units never vary") as told:
        flow.adapt(y)
    assert len(told) == 1
    assert np.isfinite(flow.log_prob(y)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow.log_prob(y), flow.sample(3)
