"""Invertible matrices: against NumPy's, far from singular, constants of an export."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import laws
from tfp_flows import bijectors as b

KINDS = ("lu", "plain", "householder")
each_kind = pytest.mark.parametrize("kind", KINDS)


def matrix(linear):
    """W, read off from what the bijector does to the rows of the identity."""
    size = linear.event_shape[-1]
    rows = tf.eye(size, dtype=linear.dtype)
    rows = tf.reshape(rows, [size] + [1] * (len(linear.event_shape) - 1) + [size])
    events = tf.broadcast_to(rows, [size, *linear.event_shape])
    return linear.inverse(events).numpy().reshape(size, -1, size)[:, 0]


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    positions=st.lists(st.integers(1, 3), max_size=3),
    channels=st.integers(2, 9),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**31),
)
def test_any_shape_agrees_with_numpy(kind, positions, channels, dtype, seed):
    shape = (*positions, channels)
    linear = b.InvertibleLinear(shape, kind, dtype=dtype)
    laws.randomize(linear, seed)
    w, count = matrix(linear).astype(np.float64), int(np.prod(positions))
    y = np.random.default_rng(seed).normal(size=(2, *shape)).astype(dtype)
    # A plain random matrix may lie near a singular one.
    atol = (1e-10 if dtype == "float64" else 3e-4) * max(1.0, np.linalg.cond(w) / 10)
    x = linear.inverse(y)
    np.testing.assert_allclose(x, y @ w, atol=atol)
    np.testing.assert_allclose(linear.forward(tf.identity(x)), y, atol=10 * atol)
    log_det = linear.inverse_log_det_jacobian(y, len(shape))
    expected = count * np.linalg.slogdet(w)[1]
    np.testing.assert_allclose(log_det, expected, atol=count * atol, rtol=1e-6)


@each_kind
@pytest.mark.parametrize("size", [2, 3, 12, 48])
def test_the_log_det_is_slogdet_in_float64(kind, size):
    linear = b.InvertibleLinear((size,), kind, dtype="float64")
    laws.randomize(linear, seed=size)
    expected = np.linalg.slogdet(matrix(linear))[1]
    log_det = linear.inverse_log_det_jacobian(np.ones((1, size)), 1)
    np.testing.assert_allclose(log_det, expected, atol=1e-10)


@each_kind
@pytest.mark.parametrize("size", [2, 3, 4, 7])
def test_it_begins_as_a_rotation_or_the_identity(kind, size):
    first, second = (
        matrix(b.InvertibleLinear((size,), kind, seed=seed, dtype="float64"))
        for seed in (1, 2)
    )
    for w in (first, second):
        np.testing.assert_allclose(w @ w.T, np.eye(size), atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(w), 1.0, atol=1e-12)
    assert np.abs(first - second).max() > 0.1 and np.abs(first - np.eye(size)).max() > 0
    identity = b.InvertibleLinear((size,), kind, "identity", dtype="float64")
    np.testing.assert_allclose(matrix(identity), np.eye(size), atol=1e-12)
    laws.assert_every_weight_gets_gradient(
        identity,
        lambda: tf.reduce_sum(tf.sin(identity.inverse(np.arange(1.0, size + 1)[None]))),
    )


@pytest.mark.parametrize("kind", ["lu", "plain"])
def test_it_can_begin_as_a_permutation(kind):
    first, second = (
        matrix(b.InvertibleLinear((9,), kind, "permutation", seed, dtype="float64"))
        for seed in (1, 2)
    )
    for w in (first, second):
        np.testing.assert_allclose(np.sort(w), np.sort(np.eye(9)), atol=1e-12)
        np.testing.assert_allclose(w.sum(axis=0), 1.0, atol=1e-12)
    assert np.abs(first - second).max() > 0.5


def test_reflections_make_no_permutations():
    with pytest.raises(ValueError, match='Use the parametrization "lu" or "plain"'):
        b.InvertibleLinear((4,), "householder", "permutation")


def test_householder_products_stay_orthogonal_and_reach_other_rotations():
    linear = b.InvertibleLinear((5,), "householder", "identity", dtype="float64")
    for seed in range(3):
        laws.randomize(linear, seed, scale=10.0)
        w = matrix(linear)
        np.testing.assert_allclose(w @ w.T, np.eye(5), atol=1e-10)
        assert np.abs(w - np.eye(5)).max() > 0.3


def test_householder_is_the_product_of_its_reflections():
    linear = b.InvertibleLinear((4,), "householder", seed=3, dtype="float64")
    product = np.eye(4)
    for v in linear.trainable_variables[0].numpy().T:
        product = product @ (np.eye(4) - 2 * np.outer(v, v) / (v @ v))
    np.testing.assert_allclose(matrix(linear), product, atol=1e-12)


def test_lu_keeps_its_permutation_and_signs():
    """W = P L (U + diag(s exp(d))), put together by NumPy from the packed weights."""
    linear = b.InvertibleLinear((6,), seed=4, dtype="float64")
    laws.randomize(linear)
    weights = linear.keras_layers[0]
    packed, sign, order = (weights[k].numpy() for k in ("lu", "sign", "order"))
    gain = 4.0 / 6.0
    lower = gain * np.tril(packed, -1) + np.eye(6)
    upper = gain * np.triu(packed, 1) + np.diag(sign * np.exp(np.diag(packed)))
    np.testing.assert_allclose(matrix(linear), np.eye(6)[order] @ lower @ upper)
    assert [v.shape for v in linear.trainable_variables] == [(6, 6)]


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_no_training_run_makes_lu_singular(rate):
    """Descends on log|det W| itself, which pulls a plain matrix to a singular one."""
    linear = b.InvertibleLinear((4,), dtype="float64")
    optimizer = keras.optimizers.Adam(rate)
    signs = np.sign(np.linalg.det(matrix(linear)))
    y = np.random.default_rng(0).normal(size=(3, 4))
    for _ in range(30):
        with tf.GradientTape() as tape:
            x = linear.inverse(tf.constant(y))
            loss = linear.inverse_log_det_jacobian(tf.constant(y), 1)
            loss += 0.01 * tf.reduce_mean(tf.square(x))
        variables = linear.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
    w = matrix(linear)
    sign, log_det = np.linalg.slogdet(w)
    assert sign == signs and -100.0 < log_det < -4.0
    np.testing.assert_allclose(loss - 0.01 * np.mean(x**2), log_det, rtol=0.1)
    assert np.isfinite(linear.forward(tf.constant(y))).all()


@each_kind
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_gradients_agree_with_finite_differences(kind, direction):
    linear = b.InvertibleConv1x1((2, 1, 3), kind, dtype="float64")
    laws.randomize(linear)
    weight = linear.trainable_variables[0]
    y = tf.constant(np.random.default_rng(1).normal(size=(4, 2, 1, 3)))

    def loss():
        value = getattr(linear, direction)(tf.identity(y))
        log_det = getattr(linear, f"{direction}_log_det_jacobian")(tf.identity(y), 3)
        return tf.reduce_sum(tf.sin(value)) + tf.reduce_sum(log_det)

    with tf.GradientTape() as tape:
        value = loss()
    gradient, start, step = tape.gradient(value, weight).numpy(), weight.numpy(), 1e-6
    for index in np.ndindex(*start.shape):
        bump = np.zeros_like(start)
        bump[index] = step
        ends = [weight.assign(start + s * bump) is not None and loss() for s in (1, -1)]
        numeric = float(ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(gradient[index], numeric, atol=1e-6, rtol=1e-6)


HOMES = {
    "alone": lambda linear, shape: linear(0),
    "chain": lambda linear, shape: b.Chain([b.ActNorm(shape), linear(0)]),
    "tfp's chain": lambda linear, shape: tfp.bijectors.Chain([linear(0)]),
    "repeat": lambda linear, shape: b.Repeat(linear, 2),
    "repeat constant": lambda linear, shape: b.Repeat(linear, 2, "constant"),
}


@each_kind
@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
def test_inverses_are_constants_when_exported(kind, home):
    shape = (2, 2, 3)
    bijector = home(lambda i: b.InvertibleConv1x1(shape, kind, seed=i), shape)
    laws.randomize(bijector)
    x = tf.random.stateless_normal([5, *shape], (1, 2))

    def both(x):
        return bijector.forward(x), bijector.forward_log_det_jacobian(x, 3)

    sample = laws.exported(both, x)
    y, log_det = sample(x)
    np.testing.assert_allclose(y, bijector.forward(x), atol=1e-4)
    wanted = bijector.forward_log_det_jacobian(x, 3)
    np.testing.assert_allclose(log_det, wanted, atol=1e-4)
    kinds = {op.type for op in sample.get_concrete_function().graph.get_operations()}
    assert "MatMul" in kinds
    assert not any("Solve" in k or "Qr" in k or "Inverse" in k for k in kinds)


@each_kind
def test_the_log_det_takes_one_addition_a_channel(kind):
    """O(C): of LU it is the sum of the diagonal, of rotations a constant."""
    linear = b.InvertibleConv1x1((2, 3, 4), kind, dtype="float64")
    laws.randomize(linear)
    weight = linear.trainable_variables[0]
    with tf.GradientTape() as tape:
        log_det = linear.inverse_log_det_jacobian(np.ones((1, 2, 3, 4)), 3)
    found = tape.gradient(log_det, weight)
    if kind == "plain":  # its gradient is the inverse transposed, of order C^3
        wanted = 6 * np.linalg.inv(matrix(linear)).T
        np.testing.assert_allclose(found, wanted, atol=1e-10)
    elif kind == "lu":
        np.testing.assert_allclose(found, 6 * np.eye(4), atol=1e-12)
    else:
        assert found is None or not np.any(found)


def test_positions_are_rows_of_one_product():
    """One solve with all pixels as columns, not one a pixel."""
    linear = b.InvertibleConv1x1((8, 8, 12))
    call = tf.function(lambda x: linear.forward(x))
    graph = call.get_concrete_function(tf.zeros([4, 8, 8, 12])).graph
    solves = [op for op in graph.get_operations() if "Solve" in op.type]
    assert len(solves) == 2
    assert all(op.outputs[0].shape == [12, 12] for op in solves)
    products = [op for op in graph.get_operations() if op.type == "Conv2D"]
    assert not products


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b.InvertibleLinear((3,), "svd"), "householder', 'lu', 'plain'"),
        (lambda: b.InvertibleLinear((3,), initial="zeros"), "'zeros'"),
        (lambda: b.InvertibleLinear((3, 1), "householder"), "at least 2 channels"),
        (lambda: b.InvertibleConv1x1((3,)), r"with positions.*got event_shape \(3,"),
    ],
)
def test_bad_arguments_are_refused_with_a_hint(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_one_channel_is_a_scale():
    linear = b.InvertibleLinear((3, 1), dtype="float64")
    np.testing.assert_allclose(linear.inverse(np.ones((1, 3, 1))), np.ones((1, 3, 1)))
    linear.trainable_variables[0].assign([[0.5]])
    log_det = linear.inverse_log_det_jacobian(np.ones((1, 3, 1)), 2)
    np.testing.assert_allclose(log_det, 1.5)
