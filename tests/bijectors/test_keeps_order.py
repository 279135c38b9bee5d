"""What bijectors say of orders and of being affine, against their Jacobians."""

import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tfp_flows import bijectors as b

SINGLE = {
    name: case
    for name, case in {**cases.BIJECTORS, **cases.FIXED}.items()
    if not case.pair and np.prod(case.event_shape) <= 32
}
each = pytest.mark.parametrize("case", SINGLE.values(), ids=SINGLE)


def jacobian(bijector, y, kwargs):
    """d x / d y of the first event, `[D, D]`."""
    kwargs = {name: value[:1] for name, value in kwargs.items()}
    size = int(np.prod(y.shape[1:]))
    flat = tf.identity(tf.reshape(y[:1], [1, size]))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(flat)
        x, _ = bijector.inverse_and_log_det(tf.reshape(flat, y[:1].shape), **kwargs)
        x = tf.reshape(x, [1, size])
    return tape.batch_jacobian(x, flat, experimental_use_pfor=False)[0].numpy()


@each
def test_orders_that_are_said_to_be_kept_are(case):
    bijector, y, kwargs = case.build()
    size = int(np.prod(case.event_shape))
    units = np.arange(size)
    channels = case.event_shape[-1]
    orders = [units[:, None], units[::-1, None], units.reshape(-1, channels)]
    orders += [bijector.order] if bijector.order is not None else []
    kept = [order for order in orders if bijector.keeps_order(order)]
    if not kept:
        return
    slope = np.abs(jacobian(bijector, y, kwargs)) > 0
    for order in kept:
        block = np.repeat(np.arange(len(order)), order.shape[1])
        seen = slope[np.ix_(order.ravel(), order.ravel())]
        assert not (seen & (block[:, None] < block)).any()


@each
def test_what_is_said_to_be_affine_has_one_jacobian(case):
    bijector, y, kwargs = case.build()
    if not bijector.is_affine:
        return
    one, two = jacobian(bijector, y, kwargs), jacobian(bijector, -2 * y + 1, kwargs)
    np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


def test_the_affine_and_those_with_an_order_are_known():
    affine = {name for name, case in SINGLE.items() if case.build()[0].is_affine}
    assert {"triangular affine", "act norm", "linear lu", "standardize"} <= affine
    masked = cases.BIJECTORS["autoregressive spline"].build()[0]
    np.testing.assert_array_equal(masked.order.ravel(), [4, 3, 2, 1, 0])
    chain = b.Chain([b.ActNorm((5,), dtype="float64"), masked])
    np.testing.assert_array_equal(chain.order, masked.order)
    other = cases.BIJECTORS["autoregressive"].build()[0]
    assert b.Chain([masked, other]).order is None
    inverse = cases.BIJECTORS["inverse autoregressive context"].build()[0]
    assert inverse.order is not None
