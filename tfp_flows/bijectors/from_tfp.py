"""TFP's own bijectors as parts of ours: value and log-det, also where there is none."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.inverse import Inverse
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.shapes import as_shape, over_event

tfb = tfp.bijectors

# What tfb.Invert(...) returns for bijectors that are no composite tensors, as ours.
_Invert: Any = tfb.Invert.__bases__[0]


class FromTFP(KerasBijector):
    """One of TFP's bijectors as a `KerasBijector`, -inf where it has no value.

    Outside of their range TFP's maps give NaN, as the logarithm of -1, and at its ends
    infinities, which cancel to NaN in a density. Such events get a finite stand-in and
    the log-det -inf, so that their density is 0 and no gradient is NaN. Events that
    hold NaN keep it. `Chain` wraps its foreign parts in this.

    Shapes: y `[*batch, *event_shape]`, x `[*batch, *latent_shape]` -> log_det
    `[*batch]` or a scalar.

    Args:
      bijector: one of TFP's. What contains one of ours is asked once only, and then
        gradients may be NaN where some event has no value.
      event_shape: shape of one event on the data side.
      dtype: of the events.
      name: of the bijector; that of the wrapped one if None.

    Examples:
      >>> x, log_det = FromTFP(tfb.Exp(), (1,)).inverse_and_log_det(
      ...     tf.constant([[1.0], [-1.0]])
      ... )
      >>> print(x.numpy().ravel(), log_det.numpy())
      [0. 0.] [ -0. -inf]
    """

    def __init__(
        self,
        bijector: tfb.Bijector,
        event_shape: Sequence[int],
        *,
        dtype: Any = tf.float32,
        name: str | None = None,
    ):
        parameters = dict(locals())
        ndims = bijector.forward_min_event_ndims
        super().__init__(
            event_shape,
            latent_shape=as_shape(bijector.inverse_event_shape(event_shape)),
            context_shape=getattr(bijector, "context_shape", None),
            dtype=dtype,
            parameters=parameters,
            name=name or bijector.name,
            is_constant_jacobian=bijector.is_constant_jacobian,
            **({"forward_min_event_ndims": ndims} if tf.nest.is_nested(ndims) else {}),
        )
        self._bijector = bijector

    @property
    def bijector(self) -> tfb.Bijector:
        """What is wrapped."""
        return self._bijector

    @property
    def is_affine(self) -> bool:
        """Whether it is known to be: shifts and scales."""
        return isinstance(self._bijector, (tfb.Shift, tfb.Scale, tfb.Identity))

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and the log-det of the step from x to y."""
        return self._apply("forward", x, len(self._latent_shape), context)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and the log-det of the step from y to x."""
        return self._apply("inverse", y, len(self._event_shape), context)

    def _apply(self, direction, value, ndims, context):
        result, log_det = self._ask(direction, value, ndims, context)
        if self.is_constant_jacobian or tf.nest.is_nested(value):
            return result, log_det
        rank = result.shape.rank - value.shape.rank + ndims
        found = _all_units(tf.math.is_finite(result), rank)
        found &= tf.math.is_finite(log_det)
        missing = ~found & _all_units(~tf.math.is_nan(value), ndims)
        parts = self._bijector.submodules
        if not any(isinstance(part, KerasBijector) for part in parts):
            # Asked again, with an event of the batch in place of those without a value:
            # a gradient that is not taken must be finite all the same.
            other = _first(value, found, ndims)
            value = tf.where(over_event(missing, ndims), other, value)
            result, log_det = self._ask(direction, value, ndims, context)
        infinite = over_event(missing, rank) & ~tf.math.is_finite(result)
        return (
            tf.where(infinite, tf.zeros([], result.dtype), result),
            tf.where(missing, tf.constant(float("-inf"), log_det.dtype), log_det),
        )

    def _ask(self, direction, value, ndims, context):
        kwargs = {} if self._context_shape is None else {"context": context}
        if tf.nest.is_nested(value):
            ndims = tf.nest.map_structure(lambda _: ndims, value)
        result = getattr(self._bijector, direction)(value, **kwargs)
        log_det = getattr(self._bijector, f"{direction}_log_det_jacobian")
        return result, log_det(value, ndims, **kwargs)


def is_inverse(bijector: tfb.Bijector) -> bool:
    """Whether TFP inverts one of ours, to any depth of `tfb.Invert`."""
    return isinstance(bijector, _Invert) and (
        isinstance(bijector.bijector, KerasBijector) or is_inverse(bijector.bijector)
    )


def as_ours(
    bijector: tfb.Bijector, event_shape: Sequence[int], dtype: Any
) -> KerasBijector:
    """Returns a `KerasBijector` as it is, and anything of TFP's wrapped in one.

    Args:
      bijector: ours, `tfb.Invert` of ours, or any other one.
      event_shape: shape of one event on the data side.
      dtype: of the events.
    """
    if isinstance(bijector, KerasBijector):
        return bijector
    if is_inverse(bijector):
        inner = as_ours(bijector.bijector, event_shape, dtype)  # ends with one of ours
        return Inverse(inner, name=bijector.name)
    return FromTFP(bijector, event_shape, dtype=dtype)


def context_shape(bijector: tfb.Bijector) -> tuple[int, ...] | None:
    """Returns the context shape of a bijector, looking through `tfb.Invert`."""
    if is_inverse(bijector):
        return context_shape(bijector.bijector)
    return getattr(bijector, "context_shape", None)


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
