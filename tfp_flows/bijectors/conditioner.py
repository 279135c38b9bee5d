"""How a bijector asks a Keras network for parameters."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.shapes import broadcast_batch
from tfp_flows.networks.autoregressive_network import as_many, never_empty
from tfp_flows.networks.heads import Head, ZeroDense
from tfp_flows.purpose import purpose


class Conditioner:
    """A network and a zero-initialised head: conditioning units -> parameters.

    params = head(network(x))  or  head(network(x, context))

    The network may be any Keras layer or model that maps `[B, *input_shape]` to
    features, either one feature vector for each position, `[B, *positions, F]`, or one
    for the whole event, `[B, F]`. A network declares a context by an argument named
    `context` of its `call`, or as second input of a functional model. The head is
    computed in the dtype of the events, also behind a half-precision network. Of angles
    a network sees cosine and sine, behind the other units, so that nothing jumps where
    a circle closes.

    Shapes: x `[*batch, *input_shape]`, context `[*batch', *context_shape]` ->
    params `[*batch, *positions, num_params]` with positions = `input_shape[:-1]`.

    Args:
      network: built or buildable Keras layer.
      input_shape: shape of what the network sees of one event.
      num_params: parameters wanted at each position.
      context_shape: shape of one context, or None.
      dtype: of the events.
      owner: name of the bijector, for messages.
      head: builder of the last layer from its number of units, such as
        `networks.ZeroConv`; a dense layer of zeros if None.
      angles: numbers of those units of the last axis that are angles, in radians.

    Raises:
      ValueError: if the network is not a Keras layer, its features have another shape,
        or there is a context that it does not declare.

    Examples:
      >>> conditioner = Conditioner(
      ...     keras.layers.Dense(8), (3,), 2, None, tf.float32, owner="mine"
      ... )
      >>> conditioner(conditioner.layers, tf.ones([5, 3]), None).shape
      TensorShape([5, 2])
    """

    def __init__(
        self,
        network: keras.Layer,
        input_shape: Sequence[int],
        num_params: int,
        context_shape: Sequence[int] | None,
        dtype: Any,
        owner: str,
        head: Callable[[int], keras.Layer] | None = None,
        angles: Sequence[int] = (),
    ):
        if not isinstance(network, keras.Layer):
            raise ValueError(
                f"{owner} needs a keras.Layer or keras.Model as network, got "
                f"{type(network).__name__}. Pass the network itself, not a builder."
            )
        self._input_shape = tuple(input_shape)
        self._positions = self._input_shape[:-1]
        self._angles = np.asarray(angles, int)
        self._others = np.setdiff1d(np.arange(self._input_shape[-1]), self._angles)
        self._context_shape = context_shape
        self._context_ndims = len(context_shape or ())
        self._takes_list = len(getattr(network, "inputs", None) or ()) == 2
        if context_shape is not None and not self._declares_context(network):
            raise ValueError(
                f"{owner} has context_shape {tuple(context_shape)}, but network "
                f"{network.name!r} declares no context. Give its call an argument "
                "named context, or a functional model a second input."
            )
        features = self._feature_shape(network, context_shape, dtype, owner)
        whole = len(features) == 1
        units = num_params * (math.prod(self._positions) if whole else 1)
        last = head(units) if head else ZeroDense(units, dtype=tf.as_dtype(dtype).name)
        if isinstance(last, Head):
            last.num_summed = getattr(network, "num_summed", 1)
            last.bounded = getattr(network, "bounded", False)
        last.build((None, *features))
        self._num_params = num_params
        self._reshape = whole and bool(self._positions)
        self.layers = {"network": network, "head": last}

    def _declares_context(self, network):
        return (
            self._takes_list or "context" in inspect.signature(network.call).parameters
        )

    def _feature_shape(self, network, context_shape, dtype, owner):
        """Builds the network on symbolic inputs and returns its features' shape."""
        dtype = tf.as_dtype(dtype).name
        shown = (*self._positions, self._input_shape[-1] + len(self._angles))
        x = keras.KerasTensor((None, *shown), dtype)
        context = (
            None
            if context_shape is None
            else keras.KerasTensor((None, *context_shape), dtype)
        )
        shape = tuple(self._run(network, x, context).shape[1:])
        if len(shape) != 1 and shape[:-1] != self._positions or None in shape:
            raise ValueError(
                f"{owner} needs features of shape {(*self._positions, 'F')} or ('F',) "
                f"from its network, got {shape} from {network.name!r} for an input "
                f"of shape {self._input_shape}."
            )
        return shape

    def _run(self, network, x, context):
        if context is None:
            return network(x)
        return (
            network([x, context]) if self._takes_list else network(x, context=context)
        )

    def is_adapted(self, layers: Any) -> bool:
        """Returns whether network and head are, if they have data-dependent weights.

        Args:
          layers: those of the bijector, by name.
        """
        parts = layers["network"], layers["head"]
        return all(getattr(layer, "is_adapted", True) for layer in parts)

    def adapt(self, layers: Any, x: tf.Tensor, context: tf.Tensor | None) -> None:
        """Lets network and head set their data-dependent weights, if they have any.

        Trained ones stay: from other centres their weights would say something else.

        Args:
          layers: those of the bijector, by name.
          x: what the network sees of a batch of events, `[N, *input_shape]`.
          context: `[N, *context_shape]`, or None; ignored if none was declared.
        """
        x, network, head = self._shown(x), layers["network"], layers["head"]
        if getattr(head, "is_trained", False) and getattr(network, "is_adapted", True):
            return
        context = None if self._context_shape is None else context
        if hasattr(network, "adapt"):
            network.adapt(x, context)
        if hasattr(head, "adapt"):
            head.adapt(self._run(network, x, context))

    def __call__(self, layers, x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        """Returns params `[*batch, *positions, num_params]`, one network call."""
        ndims = len(self._input_shape)
        batch_rank = x.shape.rank - ndims
        batch = tf.shape(x)[:batch_rank]
        context = None if self._context_shape is None else context
        if context is not None:
            context = broadcast_batch(context, self._context_ndims, x, ndims)
            context = one_batch_axis(context, self._context_ndims)
        rows = self._shown(one_batch_axis(x, ndims))
        params = self._params(layers, rows, context)
        if batch_rank == 1 and not self._reshape:
            return params
        return tf.reshape(
            params, tf.concat([batch, [*self._positions, self._num_params]], axis=0)
        )

    def _shown(self, x):
        if not self._angles.size:
            return x
        angles = tf.gather(x, self._angles, axis=-1)
        others = tf.gather(x, self._others, axis=-1)
        return tf.concat([others, tf.cos(angles), tf.sin(angles)], axis=-1)

    def _params(self, layers, rows, context):
        filled = rows
        # Convolutions of some CPUs misshape what is empty; what is served never is.
        fills = self._positions and purpose() != "export"
        if fills:
            filled, context = never_empty(rows), never_empty(context)
        params = layers["head"](self._run(layers["network"], filled, context))
        return as_many(params, rows) if fills else params


def one_batch_axis(x: tf.Tensor, event_ndims: int) -> tf.Tensor:
    """Flattens the batch axes: Keras networks take exactly one."""
    if x.shape.rank == event_ndims + 1:
        return x
    return tf.reshape(x, [-1, *x.shape[x.shape.rank - event_ndims :]])
