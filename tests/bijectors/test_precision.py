"""Products of bijectors keep float32's precision where TensorFlow would round them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import bijectors as b
from tfp_flows import flows
from tfp_flows.bijectors import precision


def rounded(x, bits):
    """Rounds to so many bits after the point, as a device does before it multiplies."""
    dropped = 23 - bits
    whole = tf.bitcast(x, tf.int32) + (1 << dropped - 1)
    value = tf.bitcast(whole & ~((1 << dropped) - 1), tf.float32)
    return x + tf.stop_gradient(value - x)


def rounding(function, bits):
    def call(x, kernel, *args, **kwargs):
        if x.dtype == tf.float32:
            x, kernel = rounded(x, bits), rounded(kernel, bits)
        return function(x, kernel, *args, **kwargs)

    return call


DEVICES = {"GPU": 10, "TPU": 7}  # bits of TF32 and of bfloat16


@pytest.fixture(params=DEVICES)
def rounding_device(monkeypatch, request):
    """Has products and convolutions of float32 rounded as such a device does."""
    bits = DEVICES[request.param]
    monkeypatch.setattr(tf, "matmul", rounding(tf.matmul, bits))
    monkeypatch.setattr(tf.nn, "conv2d", rounding(tf.nn.conv2d, bits))
    for name in ("list_physical_devices", "list_logical_devices"):
        found = lambda kind: [kind] if kind == request.param else []  # noqa: E731
        monkeypatch.setattr(tf.config, name, found)


def test_a_product_is_that_of_float64(rounding_device):
    rng = np.random.default_rng(0)
    a, c = rng.normal(size=(50, 20)), rng.normal(size=(30, 20))
    a, c = a.astype(np.float32), c.astype(np.float32)
    exact = a.astype(np.float64) @ c.T.astype(np.float64)
    found = precision.matmul(tf.constant(a), tf.constant(c), transpose_b=True)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-6)
    plain = tf.matmul(tf.constant(a), tf.constant(c), transpose_b=True)
    assert np.abs(plain - exact).max() > 1e-4  # so the device does round


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
    glow = flows.glow((8, 8, 2), 1, 12, filters=8, memory=memory)
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
