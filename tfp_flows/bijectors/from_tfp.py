"""TFP's own bijectors as parts of ours: value and log-det, also where there is none."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.keras_bijector import KerasBijector, over_event

tfb = tfp.bijectors


def apply(
    bijector: tfb.Bijector, direction: str, value: tf.Tensor, ndims: int, **kwargs
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies a bijector and says where it has no value, by a log-det of -inf.

    Outside of their range TFP's maps give NaN, as the logarithm of -1, and at its ends
    infinities, which cancel to NaN in a density. Such events get a finite stand-in and
    the log-det -inf, so that their density is 0 and no gradient is NaN. Events that
    hold NaN keep it.

    Args:
      bijector: one of TFP's. What contains one of ours is asked once only, and then
        gradients may be NaN where some event has no value.
      direction: "forward" or "inverse".
      value: `[*batch, *event]`.
      ndims: event rank of `value`.
      **kwargs: of the bijector, such as `context`.

    Returns:
      The mapped value, and its log-det in nats, `[*batch]` or a scalar.

    Example:
      >>> x, log_det = apply(tfb.Exp(), "inverse", tf.constant([[1.0], [-1.0]]), 1)
      >>> print(x.numpy().ravel(), log_det.numpy())
      [0. 0.] [ -0. -inf]
    """
    result, log_det = _ask(bijector, direction, value, ndims, kwargs)
    if bijector.is_constant_jacobian or tf.nest.is_nested(value):
        return result, log_det
    rank = result.shape.rank - value.shape.rank + ndims
    found = _all_units(tf.math.is_finite(result), rank) & tf.math.is_finite(log_det)
    missing = ~found & _all_units(~tf.math.is_nan(value), ndims)
    if not any(isinstance(part, KerasBijector) for part in bijector.submodules):
        # Asked again, with an event of the batch in place of those without a value: a
        # gradient that is not taken must be finite all the same.
        other = _first(value, found, ndims)
        value = tf.where(over_event(missing, ndims), other, value)
        result, log_det = _ask(bijector, direction, value, ndims, kwargs)
    infinite = over_event(missing, rank) & ~tf.math.is_finite(result)
    return (
        tf.where(infinite, tf.zeros([], result.dtype), result),
        tf.where(missing, tf.constant(float("-inf"), log_det.dtype), log_det),
    )


def _ask(bijector, direction, value, ndims, kwargs):
    result = getattr(bijector, direction)(value, **kwargs)
    log_det = getattr(bijector, f"{direction}_log_det_jacobian")
    return result, log_det(value, ndims, **kwargs)


def _all_units(condition, ndims):
    return tf.reduce_all(condition, axis=list(range(-ndims, 0)))


def _first(value, flags, ndims):
    """Returns the first event that has the flag; zeros if none has."""
    event = tf.shape(value)[value.shape.rank - ndims :]
    rows = tf.reshape(value, tf.concat([[-1], event], axis=0))
    zeros = tf.zeros(tf.concat([[1], event], axis=0), value.dtype)
    flags = tf.concat([tf.reshape(flags, [-1]), [True]], axis=0)
    index = tf.argmax(tf.cast(flags, tf.int32))
    return tf.gather(tf.concat([rows, zeros], axis=0), index)
