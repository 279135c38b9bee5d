"""Conditional models that see a context through a network."""

from typing import Any

import keras
import tensorflow as tf

from tfp_flows.distributions.model import Model
from tfp_flows.distributions.wrapper import Wrapper


class Embedded(Wrapper):
    """p(x | network(c)): the network is trained with the model.

    Shapes: c `[*batch, *context_shape]`; the network maps `[B, *context_shape]` to
    `[B, *inner.context_shape]`.

    Args:
      inner: conditional.
      network: a Keras layer or model, an embedding of an image or a set. Contexts
        reach it in their own unit.
      context_shape: of what the network takes.
      name: of the distribution; the inner model's if None.

    Raises:
      ValueError: if the inner model is not conditional, or the network gives another
        shape than that of its contexts.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.maf((2,), 1, (8,), context_shape=(4,))
      >>> model = Embedded(flow, keras.layers.Dense(4), (10,))
      >>> model.sample(3, context=tf.zeros([5, 10]), seed=1).shape
      TensorShape([3, 5, 2])
    """

    def __init__(
        self,
        inner: Model,
        network: keras.Layer,
        context_shape: tuple[int, ...],
        name: str | None = None,
    ):
        parameters = dict(locals())
        self._network, self._seen = network, tuple(context_shape)
        found = embedding_shape(network, self._seen, inner.real_dtype)
        if inner.context_shape != found:
            raise ValueError(
                f"Embedded got a network that maps contexts of shape {self._seen} to "
                f"{found}, and {inner.name} wants {inner.context_shape}. Build the "
                "model with the network's shape as its context_shape."
            )
        super().__init__(
            inner,
            parameters,
            name or inner.name,
            reparameterization_type=inner.reparameterization_type,
        )
        self.own_layers = self._no_dependency((network,))

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def context_shape(self) -> tuple[int, ...]:
        """Shape of what the network takes."""
        return self._seen

    def embed(self, context: Any) -> tf.Tensor:
        """Returns what the inner model sees, `[*batch, *inner.context_shape]`.

        Args:
          context: `[*batch, *context_shape]`.
        """
        context = tf.cast(tf.convert_to_tensor(context), self.real_dtype)
        batch = tf.shape(context)[: context.shape.rank - len(self._seen)]
        rows = self._network(tf.reshape(context, [-1, *self._seen]))
        return tf.reshape(rows, tf.concat([batch, self._inner.context_shape], axis=0))

    def encode(self, x: Any, context: Any) -> tf.Tensor:
        """Returns z of events `[*batch, *event_shape]`, see `Flow.encode`."""
        return self._inner.encode(x, self.embed(context))

    def decode(self, z: Any, context: Any) -> tf.Tensor:
        """Returns the events of z `[*batch, *latent_shape]`, see `Flow.decode`."""
        return self._inner.decode(z, self.embed(context))

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Follows events through the model, see `Model.trace`."""
        return self._inner.trace(x, self.embed(context))

    def _adapt(self, x, context, seed):
        self._inner.adapt(x, self.embed(context), seed)

    def _log_prob(self, x, context, **kwargs):
        return self._inner.log_prob(x, context=self.embed(context), **kwargs)

    def _call_sample_n(self, sample_shape, seed, context, **kwargs):
        context = self.embed(context)
        return self._inner.sample(sample_shape, seed=seed, context=context, **kwargs)


def embedding_shape(
    network: keras.Layer, context_shape: tuple[int, ...], dtype: Any
) -> tuple[int, ...]:
    """Builds a network and returns the shape that it gives one context.

    Args:
      network: a Keras layer or model.
      context_shape: of what it takes.
      dtype: of the contexts.
    """
    return tuple(network(tf.zeros([1, *context_shape], dtype)).shape[1:])
