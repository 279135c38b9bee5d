"""A conditional model with its context filled in."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions.embedded import Embedded
from tfp_flows.distributions.model import Model
from tfp_flows.distributions.rows import check_context, context_parts
from tfp_flows.distributions.wrapper import Wrapper


class Given(Wrapper):
    """p(x | context) for a fixed context: a plain distribution.

    A variable as context stays one: its value is read at each call, and it gets its
    gradient.

    Shapes: context `[*batch, *context_shape]` gives batch shape `[*batch]`.

    Args:
      model: conditional, with `context_shape`.
      context: what to condition on.
      name: of the distribution; the model's if None.

    Raises:
      ValueError: if the model is not conditional or the context does not fit.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.real_nvp((2,), 2, (8,), context_shape=(1,))
      >>> flow.given([[0.0], [1.0]]).sample(5, seed=1).shape
      TensorShape([5, 2, 2])
    """

    def __init__(self, model: Model, context: Any, name: str | None = None):
        parameters = dict(locals())
        wanted = model.context_shape
        if wanted is None:
            raise ValueError(
                f"{model.name} is not conditional, so it cannot be given a context. "
                "Build it with context_shape=."
            )
        if not isinstance(context, (tf.Variable, tfp.util.DeferredTensor)):
            context = context_parts(context, wanted, model.name)
        else:
            check_context(context, wanted, model.name)
        self._context = self._no_dependency(context)
        super().__init__(
            model,
            parameters,
            name or model.name,
            reparameterization_type=model.reparameterization_type,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        def ndims(given):
            shape = given.inner.context_shape
            if isinstance(shape, Mapping):
                return {name: len(part) for name, part in shape.items()}
            return len(shape)

        return {"context": tfp.util.ParameterProperties(event_ndims=ndims)}

    @property
    def context(self) -> Any:
        """What is conditioned on, `[*batch, *context_shape]`."""
        return self._context

    @property
    def context_shape(self) -> None:
        """None: the context is given."""
        return None

    @property
    def bijector(self) -> tfp.bijectors.Bijector:
        """The bijector of the flow inside, under this context."""
        context = self._context
        if isinstance(self._inner, Embedded):
            context = self._inner.embed(context)
        return self._inner.bijector.given(context)

    def _default_event_space_bijector(self):
        if self.flow is None:
            return super()._default_event_space_bijector()
        base = self.distribution.experimental_default_event_space_bijector()
        return self.bijector(base)

    def encode(self, x: Any) -> tf.Tensor:
        """Returns z of events `[*batch, *event_shape]`, see `Flow.encode`."""
        return self._inner.encode(x, self._now())

    def decode(self, z: Any) -> tf.Tensor:
        """Returns the events of z `[*batch, *latent_shape]`, see `Flow.decode`."""
        return self._inner.decode(z, self._now())

    def trace(self, x: Any, context: None = None) -> list[tuple]:
        """Follows events through the model, see `Model.trace`."""
        return self._inner.trace(x, self._now())

    def _adapt(self, x, context, seed):
        def for_each(part, shape):
            return tf.broadcast_to(part, tf.concat([[len(x)], shape], axis=0))

        context, shape = self._now(), self._inner.context_shape
        if isinstance(shape, Mapping):
            context = {k: for_each(part, shape[k]) for k, part in context.items()}
        else:
            context = for_each(context, shape)
        self._inner.adapt(x, context, seed)

    def _now(self):
        return tf.nest.map_structure(tf.convert_to_tensor, self._context)

    def _log_prob(self, x, **kwargs):
        return self._inner.log_prob(x, context=self._now(), **kwargs)

    def sample(
        self,
        sample_shape: Any = (),
        seed: Any = None,
        name: str = "sample",
        chunk_size: int | str | None = None,
        **kwargs,
    ) -> Any:
        """Draws events, see `Model.sample`."""
        if chunk_size is None:
            return super().sample(sample_shape, seed, name, **kwargs)
        kwargs["context"] = self._now()
        return self._inner.sample(sample_shape, seed, name, chunk_size, **kwargs)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self._inner.sample(
            sample_shape, seed=seed, context=self._now(), **kwargs
        )
