"""A conditional distribution with its context filled in."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class Given(tfd.Distribution):
    """p(x | context) for a fixed context: a plain distribution.

    Shapes: context `[*batch, *context_shape]` gives batch shape `[*batch]`.

    Args:
      distribution: conditional flow, with `context_shape`.
      context: what to condition on.
      name: of the distribution.

    Raises:
      ValueError: if the distribution is not conditional or the context does not fit.

    Example:
      >>> from tfp_flows import flows
      >>> flow = flows.real_nvp((2,), 2, (8,), context_shape=(1,))
      >>> flow.given([[0.0], [1.0]]).sample(5, seed=1).shape
      TensorShape([5, 2, 2])
    """

    def __init__(
        self, distribution: tfd.Distribution, context: Any, name: str = "given"
    ):
        parameters = dict(locals())
        wanted = distribution.context_shape
        if wanted is None:
            raise ValueError(
                f"{distribution.name} is not conditional, so it cannot be given a "
                "context. Build it with context_shape=."
            )
        context = tf.convert_to_tensor(context)
        split = context.shape.rank - len(wanted)
        if split < 0 or not context.shape[split:].is_compatible_with(wanted):
            raise ValueError(
                f"{distribution.name} wants a context of shape [..., "
                f"{', '.join(map(str, wanted))}], got {context.shape}."
            )
        self._conditional = distribution
        self._context = context
        self._split = split
        super().__init__(
            dtype=distribution.dtype,
            reparameterization_type=distribution.reparameterization_type,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _event_shape(self):
        return self._conditional.event_shape

    def _event_shape_tensor(self):
        return self._conditional.event_shape_tensor()

    def _batch_shape(self):
        return self._context.shape[: self._split]

    def _batch_shape_tensor(self, **_):
        return tf.shape(self._context)[: self._split]

    def _log_prob(self, x, **kwargs):
        return self._conditional.log_prob(x, context=self._context, **kwargs)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self._conditional.sample(
            sample_shape, seed=seed, context=self._context, **kwargs
        )
