"""Products of bijectors keep float32's precision where TensorFlow would round them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import bijectors as b
from tfp_flows import flows
from tfp_flows.bijectors import precision


def as_tf32(x):
    """Rounds to 10 bits after the point, as such a GPU does before it multiplies."""
    bits = tf.bitcast(x, tf.int32) + (1 << 12)
    rounded = tf.bitcast(bits & ~((1 << 13) - 1), tf.float32)
    return x + tf.stop_gradient(rounded - x)


def rounding(function):
    def call(x, kernel, *args, **kwargs):
        if x.dtype == tf.float32:
            x, kernel = as_tf32(x), as_tf32(kernel)
        return function(x, kernel, *args, **kwargs)

    return call


@pytest.fixture
def rounding_device(monkeypatch):
    """Has products and convolutions of float32 rounded as a GPU with TF32 does."""
    monkeypatch.setattr(tf, "matmul", rounding(tf.matmul))
    monkeypatch.setattr(tf.nn, "conv2d", rounding(tf.nn.conv2d))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])


def test_a_product_is_that_of_float64(rounding_device):
    rng = np.random.default_rng(0)
    a, c = rng.normal(size=(50, 20)), rng.normal(size=(30, 20))
    a, c = a.astype(np.float32), c.astype(np.float32)
    exact = a.astype(np.float64) @ c.T.astype(np.float64)
    found = precision.matmul(tf.constant(a), tf.constant(c), transpose_b=True)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, exact.astype(np.float32))
    rounded = tf.matmul(tf.constant(a), tf.constant(c), transpose_b=True)
    assert np.abs(rounded - exact).max() > 1e-4  # so the device does round


def test_what_is_rounded(monkeypatch):
    assert not precision.is_rounded(tf.float32)  # by a CPU
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert precision.is_rounded(tf.float32)
    assert not precision.is_rounded(tf.float64)
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        assert not precision.is_rounded(tf.float32)
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(True)


@pytest.mark.parametrize("parametrization", ["lu", "plain", "householder"])
def test_the_log_det_is_that_of_the_matrix_applied(rounding_device, parametrization):
    linear = b.InvertibleLinear((24,), parametrization)
    laws.randomize(linear, scale=0.1)
    matrix = linear.inverse(tf.eye(24)).numpy().astype(np.float64)
    log_det = linear.inverse_log_det_jacobian(tf.zeros([1, 24]), 1)
    assert abs(float(log_det) - np.linalg.slogdet(matrix)[1]) < 2e-5
    y = tf.random.stateless_normal([100, 24], [0, 1])
    laws.assert_close(linear.forward(tf.identity(linear.inverse(y))), y, 1e-4)


def gradients(memory, x):
    keras.utils.set_random_seed(0)
    glow = flows.glow((8, 8, 2), 2, 12, filters=8, memory=memory)
    glow.adapt(x)
    rng = np.random.default_rng(0)
    for variable in glow.trainable_variables:
        if "zero_conv" in variable.name:  # heads: the couplings' own size
            noise = 0.005 * rng.standard_normal(variable.shape)
            variable.assign_add(tf.cast(noise, variable.dtype))

    @tf.function
    def compute():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(glow.log_prob(x))
        return tape.gradient(loss, list(glow.trainable_variables))

    return np.concatenate([g.numpy().ravel() for g in compute()])


def distance(x):
    plain, recomputed = (gradients(m, x) for m in ("activations", "constant"))
    return np.linalg.norm(recomputed - plain) / np.linalg.norm(plain)


@pytest.mark.slow
def test_recomputed_inputs_do_not_go_astray(rounding_device, monkeypatch):
    x = tf.random.stateless_normal([32, 8, 8, 2], [0, 1])
    exact = distance(x)
    assert exact < 2e-3
    monkeypatch.setattr(precision, "is_rounded", lambda dtype: False)
    assert distance(x) > 5 * exact
