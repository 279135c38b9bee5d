"""Models around another model, whose weights they use."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions.model import Model

tfd = tfp.distributions


class Wrapper(Model):
    """A model that sees another one differently; what it does not say is the other's.

    Args:
      inner: the other model.
      parameters: the constructor's arguments.
      name: of the distribution.
      **kwargs: of `Model`; the dtype and how samples depend on weights are the other
        model's if not given.

    Examples:
      >>> from tfp_flows import flows
      >>> given = flows.maf((2,), 1, (8,), context_shape=(1,)).given([[0.0], [1.0]])
      >>> isinstance(given, Wrapper), type(given.inner).__name__
      (True, 'Flow')
    """

    def __init__(self, inner: Model, parameters: dict, name: str, **kwargs):
        self._inner = inner
        kwargs.setdefault("dtype", inner.dtype)
        super().__init__(parameters=parameters, name=name, **kwargs)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def inner(self) -> Model:
        """The model inside."""
        return self._inner

    @property
    def support(self) -> Any:
        """That of the model inside."""
        return self._inner.support

    @property
    def flow(self) -> Any:
        """The flow inside, whose latent variable is the code of an event, or None."""
        return self._inner.flow

    @property
    def bijector(self) -> tfp.bijectors.Bijector:
        """The bijector of the flow inside."""
        return self._inner.bijector

    @property
    def distribution(self) -> tfd.Distribution:
        """The base of the flow inside."""
        return self._inner.distribution

    @property
    def num_values(self) -> int | None:
        """Number of integer values; None for continuous events."""
        return self._inner.num_values

    @property
    def is_exact(self) -> bool:
        """Whether `log_prob` is the density itself, and no bound from drawn noise."""
        return self._inner.is_exact

    @property
    def takes_missing(self) -> bool:
        """Whether NaN in events and contexts is a value that is not there."""
        return self._inner.takes_missing

    @property
    def context_shape(self) -> Any:
        """Shape of one context, or None for an unconditional model."""
        return self._inner.context_shape

    @property
    def context_dtype(self) -> Any:
        """Of contexts."""
        return self._inner.context_dtype

    @property
    def real_dtype(self) -> tf.DType:
        """Of the arithmetic, the contexts and the log-probabilities."""
        return self._inner.real_dtype

    @property
    def is_adapted(self) -> bool:
        """Whether data-dependent initialisation is done, or not needed."""
        return self._inner.is_adapted

    @property
    def parts(self) -> tuple[Any, ...]:
        """The model inside."""
        return (self._inner,)

    def _event_shape(self) -> Any:
        return self._inner.event_shape

    def _event_shape_tensor(self) -> Any:
        return self._inner.event_shape_tensor()
