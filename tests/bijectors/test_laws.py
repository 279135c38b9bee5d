"""The laws of every bijector: see tests/laws.py and tests/cases.py."""

import numpy as np
import pytest
import tensorflow as tf

from tests import cases, laws

ALL = {**cases.BIJECTORS, **cases.FIXED}
CONDITIONAL = {k: c for k, c in cases.BIJECTORS.items() if c.context_shape}
SINGLE = {k: c for k, c in ALL.items() if not c.pair}


def each(table):
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())


@each(ALL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip(case, dtype):
    bijector, y, kwargs = case.build(dtype)
    laws.assert_round_trip(bijector, y, **kwargs)


@each(ALL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_det_matches_autodiff(case, dtype):
    bijector, y, kwargs = case.build(dtype)
    laws.assert_log_det_matches_autodiff(bijector, y, **kwargs)


@each(cases.BIJECTORS)
def test_both_sides_see_the_weights_before_any_call(case):
    bijector = case.make("float32")
    layers = [
        layer
        for part in (bijector, *bijector.submodules)
        for layer in getattr(part, "keras_layers", ())
    ]
    laws.assert_both_sides_see_the_weights(bijector, layers)


@each(cases.BIJECTORS)
def test_every_weight_gets_a_gradient(case):
    bijector, y, kwargs = case.build()

    def loss():
        x = bijector.inverse(y, **kwargs)
        log_det = bijector.inverse_log_det_jacobian(
            y, bijector.inverse_min_event_ndims, **kwargs
        )
        parts = [tf.reduce_sum(tf.sin(part)) for part in tf.nest.flatten(x)]
        return tf.add_n(parts) + tf.reduce_sum(log_det)

    laws.assert_every_weight_gets_gradient(bijector, loss)


def with_log_det(bijector, direction, kwargs):
    def both(value):
        ndims = getattr(bijector, f"{direction}_min_event_ndims")
        log_det = getattr(bijector, f"{direction}_log_det_jacobian")
        result = getattr(bijector, direction)(value, **kwargs)
        return result, log_det(value, ndims, **kwargs)

    return both


@each(ALL)
def test_same_numbers_eager_in_a_function_and_under_xla(case):
    bijector, y, kwargs = case.build()
    both = with_log_det(bijector, "inverse", kwargs)
    laws.assert_same_in_every_mode(both, y, atol=1e-9)


OTHER_WAY = ("spline half", "mixture half", "1x1 lu", "1x1 plain", "1x1 householder")
OTHER_WAY += ("fused affine maps", "multiscale priors", "repeat constant")


@each({name: ALL[name] for name in OTHER_WAY})
def test_forward_gives_the_same_numbers_in_every_mode(case):
    """Roots and triangular solves, which the other direction does without."""
    bijector, z, kwargs = case.build()
    both = with_log_det(bijector, "forward", kwargs)
    laws.assert_same_in_every_mode(both, z, atol=1e-9)


@each(SINGLE)
def test_finite_at_zero_at_bounds_and_far_out(case):
    bijector, _, kwargs = case.build("float32", batch=2)
    bounds = (0.0, 1.0, case.high or 1.0, 1e6)
    laws.assert_finite_far_out(
        bijector, case.event_shape, bounds, case.support, **kwargs
    )


@each(SINGLE)
def test_nan_stays_in_its_row(case):
    bijector, y, kwargs = case.build()

    def row_sums(value):
        x = bijector.inverse(value, **kwargs)
        return tf.reduce_sum(tf.reshape(x, [x.shape[0], -1]), axis=1)

    laws.assert_nan_stays_in_its_row(row_sums, y)


@each(cases.BIJECTORS)
def test_a_copy_shares_the_weights(case):
    bijector, y, kwargs = case.build()
    clone = bijector.copy(name="clone")
    assert {id(v) for v in clone.trainable_variables} == {
        id(v) for v in bijector.trainable_variables
    }
    laws.randomize(bijector, seed=5)
    laws.assert_close(
        clone.inverse(laws.fresh(y), **kwargs),
        bijector.inverse(laws.fresh(y), **kwargs),
        atol=0,
    )


@each(cases.BIJECTORS)
def test_the_identity_or_untouched_log_det_before_training(case):
    bijector = case.make("float64")
    _, y, kwargs = case.build()
    log_det = bijector.inverse_log_det_jacobian(
        laws.fresh(y), bijector.inverse_min_event_ndims, **kwargs
    )
    np.testing.assert_allclose(log_det, 0.0, atol=1e-12)


@each(CONDITIONAL)
def test_context_broadcasts_over_the_batch(case):
    bijector, y, kwargs = case.build()
    context = kwargs["context"]
    together = bijector.inverse(y[:, None], context=context)
    assert together.shape == [3, 3, *case.event_shape]
    for i in range(3):
        for j in range(3):
            alone = bijector.inverse(y[i], context=context[j])
            np.testing.assert_allclose(together[i, j], alone, atol=1e-9)


@each(CONDITIONAL)
def test_missing_or_wrong_context_names_the_bijector(case):
    bijector, y, kwargs = case.build()
    with pytest.raises(ValueError, match=bijector.name):
        bijector.inverse(y)
    with pytest.raises(ValueError, match=bijector.name):
        bijector.forward(y, context=kwargs["context"][..., :1])


@each({k: c for k, c in SINGLE.items() if not c.context_shape})
def test_unwanted_context_and_wrong_shape_are_refused(case):
    bijector, y, _ = case.build()
    with pytest.raises(ValueError, match="context"):
        bijector.inverse(y, context=tf.zeros([3, 1]))
    with pytest.raises(ValueError, match="shape"):
        bijector.inverse(tf.zeros([3, *case.event_shape[:-1], 7], y.dtype))
