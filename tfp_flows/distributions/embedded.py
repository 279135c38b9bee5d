"""Conditional models that see a context through a network."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.distributions import rows
from tfp_flows.distributions.model import Model
from tfp_flows.distributions.wrapper import Wrapper


class Embedded(Wrapper):
    """p(x | network(c)): the network is trained with the model.

    For images, sequences, integers, or several things at once as context. Any
    conditional model may be inside, flows and autoregressive ones; its steps share what
    the network gives, which is computed once a call.

    Shapes: c `[*batch, *context_shape]`, or `{name: [*batch, *context_shape[name]]}`;
    the network maps `[B, *context_shape]` to `[B, *inner.context_shape]`.

    Args:
      inner: conditional.
      network: a Keras layer or model. Contexts reach it in their own unit.
      context_shape: of what the network takes; a mapping of shapes for a network that
        takes a mapping, such as a functional model of named inputs.
      context_dtype: of what the network takes, or a mapping; "int32" for numbers of
        words or classes, which stay whole. The inner model's if None.
      name: of the distribution; the inner model's if None.

    Raises:
      ValueError: if the inner model is not conditional, the network is no layer or
        gives another shape than that of its contexts, or shapes and types are none.

    Examples:
      >>> from tfp_flows import flows
      >>> words = keras.Sequential(
      ...     [keras.layers.Embedding(1000, 8), keras.layers.GlobalAveragePooling1D()]
      ... )
      >>> flow = flows.maf((2,), 1, (8,), context_shape=(8,))
      >>> model = Embedded(flow, words, (5,), "int32")
      >>> model.sample(3, context=tf.zeros([10, 5], tf.int32), seed=1).shape
      TensorShape([3, 10, 2])
    """

    def __init__(
        self,
        inner: Model,
        network: keras.Layer,
        context_shape: Sequence[int] | Mapping[str, Sequence[int]],
        context_dtype: Any = None,
        name: str | None = None,
    ):
        parameters = dict(locals())
        if not isinstance(inner, Model) or not isinstance(network, keras.Layer):
            raise ValueError(
                "Embedded wants a conditional model and a Keras layer, got "
                f"{type(inner).__name__} and {type(network).__name__} {network}. "
                "Make a layer of a function by keras.layers.Lambda."
            )
        self._network = network
        dtype = context_dtype or inner.real_dtype
        self._spec = self._no_dependency(_spec(context_shape, dtype))
        found = embedding_shape(network, self._spec)
        if inner.context_shape != found:
            raise ValueError(
                f"Embedded got a network from contexts of shape {context_shape} to "
                f"{found}, and {inner.name} takes "
                f"{inner.context_shape or 'no context'}. Build the model with "
                f"context_shape={found}."
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
    def network(self) -> keras.Layer:
        """What contexts go through."""
        return self._network

    @property
    def context_shape(self) -> Any:
        """Shape of what the network takes, or a mapping of shapes."""
        return tf.nest.map_structure(lambda spec: tuple(spec.shape), self._spec)

    @property
    def context_dtype(self) -> Any:
        """Of what the network takes, or a mapping."""
        return tf.nest.map_structure(lambda spec: spec.dtype, self._spec)

    def embed(self, context: Any) -> tf.Tensor:
        """Returns what the inner model sees, `[*batch, *inner.context_shape]`.

        Args:
          context: `[*batch, *context_shape]`, or a mapping of such.

        Raises:
          ValueError: for other parts, shapes or batches than the network takes, or
            floats, or larger numbers than its type has, where it takes integers.
        """
        spec = self._spec
        context = rows.context_parts(context, self.context_shape, self.name)
        context = tf.nest.map_structure(self._cast, context, spec)
        flat = tf.nest.map_structure(
            lambda part, s: tf.reshape(part, [-1, *s.shape]), context, spec
        )
        first, ndims = tf.nest.flatten(context)[0], tf.nest.flatten(spec)[0].shape.rank
        batch = tf.shape(first)[: first.shape.rank - ndims]
        shape = tf.concat([batch, self._inner.context_shape], axis=0)
        return tf.reshape(self._network(flat), shape)

    def _cast(self, part, spec):
        part = tf.convert_to_tensor(part)
        if spec.dtype.is_integer and not part.dtype.is_integer:
            raise ValueError(
                f"{self.name} wants a context of {spec.dtype.name}, got "
                f'{part.dtype.name}. Give integers, .astype("int32").'
            )
        cast = tf.cast(part, spec.dtype)
        if spec.dtype.is_integer and tf.executing_eagerly():
            if tf.reduce_any(tf.cast(cast, part.dtype) != part):
                raise ValueError(
                    f"{self.name} got a context with whole numbers that "
                    f"{spec.dtype.name} does not have. Give smaller ones, or build it "
                    "with a wider context_dtype."
                )
        return cast

    def encode(self, x: Any, context: Any) -> tf.Tensor:
        """Returns z of events `[*batch, *event_shape]`, see `Flow.encode`."""
        return self._inner.encode(x, self.embed(context))

    def decode(self, z: Any, context: Any) -> tf.Tensor:
        """Returns the events of z `[*batch, *latent_shape]`, see `Flow.decode`."""
        return self._inner.decode(z, self.embed(context))

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Follows events through the model, see `Model.trace`."""
        return self._inner.trace(x, self.embed(context))

    def sample(
        self,
        sample_shape: Any = (),
        seed: Any = None,
        name: str = "sample",
        chunk_size: int | str | None = None,
        **kwargs,
    ) -> Any:
        """Draws events, see `Model.sample`."""
        if chunk_size is not None and kwargs.get("context") is not None:
            kwargs["context"] = self.embed(kwargs["context"])
            return self._inner.sample(sample_shape, seed, name, chunk_size, **kwargs)
        return super().sample(sample_shape, seed, name, chunk_size, **kwargs)

    def _adapt(self, x, context, seed):
        self._inner.adapt(x, self.embed(context), seed)

    def _log_prob(self, x, context=None, **kwargs):
        return self._inner.log_prob(x, context=self.embed(context), **kwargs)

    def _call_sample_n(self, sample_shape, seed, context=None, **kwargs):
        context = self.embed(context)
        return self._inner.sample(sample_shape, seed=seed, context=context, **kwargs)


def embedding_shape(network: keras.Layer, spec: Any) -> tuple[int, ...]:
    """Builds a network and returns the shape that it gives one context.

    Args:
      network: a Keras layer or model.
      spec: `tf.TensorSpec` of one context, or a mapping of such.

    Raises:
      ValueError: if it gives several tensors.
    """
    zeros = tf.nest.map_structure(lambda s: tf.zeros([1, *s.shape], s.dtype), spec)
    found = network(zeros)
    if not tf.is_tensor(found):
        raise ValueError(
            f"Embedded wants a network that gives one tensor, got a "
            f"{type(found).__name__} from {network.name!r}. Put the parts together, "
            "by keras.layers.Concatenate()."
        )
    return tuple(found.shape[1:])


def _spec(shape, dtype):
    """`tf.TensorSpec` of a context, or one for each of its parts."""
    if not isinstance(shape, Mapping):
        return _spec_of_part(shape, dtype)
    types = dtype if isinstance(dtype, Mapping) else dict.fromkeys(shape, dtype)
    if set(types) != set(shape):
        raise ValueError(
            f"Embedded got shapes of {sorted(shape)} and dtypes of {sorted(types)}. "
            "Give one dtype for all parts, or one for each."
        )
    return {key: _spec_of_part(shape[key], types[key]) for key in shape}


def _spec_of_part(shape, dtype):
    try:
        spec = tf.TensorSpec(tuple(shape), dtype)
    except TypeError:
        spec = None
    if spec is None or not spec.shape.is_fully_defined():
        raise ValueError(
            f"Embedded got a context of shape {shape!r} and dtype {dtype!r}, wanted a "
            "tuple of sizes, () for single numbers, and the name of a type. Give "
            "several parts names, {name: shape}, for a network that takes a mapping."
        )
    return spec
