"""A conditional bijector with its context filled in."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.around import Around
from tfp_flows.bijectors.keras_bijector import KerasBijector


class WithContext(Around):
    """f(.; c) for a fixed c: a bijector without a context.

    A variable stays one: it is read at each call.

    Shapes: those of the bijector; the batch of the context broadcasts with that of
    events.

    Args:
      bijector: f, conditional.
      context: c, `[*batch, *context_shape]`.
      name: of the bijector; that of f if None.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.real_nvp((2,), 2, (8,), context_shape=(1,))
      >>> WithContext(flow.bijector, [[0.0], [1.0]]).forward([0.5, 0.5]).shape
      TensorShape([2, 2])
    """

    def __init__(self, bijector: KerasBijector, context: Any, name: str | None = None):
        parameters = dict(locals())
        if not isinstance(context, (tf.Variable, tfp.util.DeferredTensor)):
            context = tf.convert_to_tensor(context)
        super().__init__(
            bijector,
            bijector.event_shape,
            latent_shape=bijector.latent_shape,
            context_shape=None,
            parameters=parameters,
            name=name or bijector.name,
        )
        self._context = context

    @classmethod
    def _parameter_properties(cls, dtype):
        def ndims(bijector):
            return len(bijector.parameters["bijector"].context_shape)

        return {"context": tfp.util.ParameterProperties(event_ndims=ndims)}

    @property
    def context(self) -> Any:
        """What is filled in, `[*batch, *context_shape]`."""
        return self._context

    def _batch_shape(self, x_event_ndims):
        shape = self._context.shape
        return shape[: shape.rank - len(self._bijector.context_shape)]

    def _batch_shape_tensor(self, x_event_ndims):
        ndims = len(self._bijector.context_shape)
        return tf.shape(self._context)[: -ndims or None]

    def __getitem__(self, slices):
        """Returns the bijector for a part of the contexts."""
        slices = slices if isinstance(slices, tuple) else (slices,)
        whole = (slice(None),) * len(self._bijector.context_shape)
        rest = whole if Ellipsis in slices else (Ellipsis, *whole)
        return WithContext(self._bijector, self._context[(*slices, *rest)])

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Maps from the latent to the data side under the context of its own."""
        given = {"context": tf.convert_to_tensor(self._context)}
        y = self._bijector.forward(x, **given)
        ndims = len(self._latent_shape)
        return y, self._bijector.forward_log_det_jacobian(x, ndims, **given)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Maps from the data to the latent side under the context of its own."""
        given = {"context": tf.convert_to_tensor(self._context)}
        x = self._bijector.inverse(y, **given)
        ndims = len(self._event_shape)
        return x, self._bijector.inverse_log_det_jacobian(y, ndims, **given)
