"""The two-part reversible block on pairs."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.bijectors.conditioner import Conditioner
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.shapes import as_shape


class ReversibleBlock(KerasBijector):
    """Adds to each of two parts a function of the other (Gomez et al., 2017) [1].

    forward:  x' = z + F(u);  z' = u + G(x')        (z, u) -> (x', z')
    inverse:  u = z' - G(x');  z = x' - F(u)        log_det: 0

    F and G are any networks, each followed by a zero-initialised head. The event is a
    pair, in TFP's way: a list of two tensors. With data in the first part and an
    auxiliary variable of the same shape in the second, a chain of blocks on a
    standard normal pair is a flow over (x, u); `distributions.Augmented` turns it into
    a model of x alone.

    Shapes: pairs of `[*batch, *event_shape]` -> log_det `[]`. Cost: two network calls a
    direction, one of each network.

    Args:
      event_shape: shape of each of the two parts.
      network_f: Keras layer for F, see `Conditioner`.
      network_g: Keras layer for G.
      context_shape: shape of one context, given to both networks, or None.
      dtype: of the events.
      name: of the bijector.

    Examples:
      >>> from tfp_flows.networks import MLP
      >>> block = ReversibleBlock((3,), MLP((8,)), MLP((8,)))
      >>> [part.shape for part in block.forward([tf.ones([5, 3]), tf.ones([5, 3])])]
      [TensorShape([5, 3]), TensorShape([5, 3])]

    References:
      [1] Gomez, Ren, Urtasun, Grosse. The reversible residual network. NeurIPS 2017.
          arXiv:1707.04585
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        network_f: keras.Layer,
        network_g: keras.Layer,
        *,
        context_shape: Sequence[int] | None = None,
        dtype: Any = tf.float32,
        name: str = "reversible_block",
    ):
        parameters = dict(locals())
        shape = as_shape(event_shape)
        self._conditioners = {
            key: Conditioner(network, shape, shape[-1], context_shape, dtype, name)
            for key, network in (("f", network_f), ("g", network_g))
        }
        super().__init__(
            shape,
            context_shape=context_shape,
            layers={
                f"{part}_{key}": layer
                for key, conditioner in self._conditioners.items()
                for part, layer in conditioner.layers.items()
            },
            dtype=dtype,
            parameters=parameters,
            name=name,
            forward_min_event_ndims=[len(shape)] * 2,
            is_constant_jacobian=True,
        )

    @property
    def is_adapted(self) -> bool:
        """Whether networks and heads are, if they have data-dependent weights."""
        return all(
            conditioner.is_adapted(self._layers_of(key))
            for key, conditioner in self._conditioners.items()
        )

    def adapt(self, y: list[tf.Tensor], context: tf.Tensor | None = None) -> None:
        """Lets networks and heads set their data-dependent weights, before training.

        Args:
          y: pair of `[N, *event_shape]`.
          context: `[N, *context_shape]` for a conditional block.
        """
        first, second = y
        self._conditioners["g"].adapt(self._layers_of("g"), first, context)
        u = second - self._residual("g", first, context)
        self._conditioners["f"].adapt(self._layers_of("f"), u, context)

    def _layers_of(self, key):
        return {part: self._layers[f"{part}_{key}"] for part in ("network", "head")}

    def _residual(self, key, value, context):
        return self._conditioners[key](self._layers_of(key), value, context)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        z, u = x
        first = z + self._residual("f", u, context)
        second = u + self._residual("g", first, context)
        return [first, second], tf.zeros([], self.dtype)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        first, second = y
        u = second - self._residual("g", first, context)
        z = first - self._residual("f", u, context)
        return [z, u], tf.zeros([], self.dtype)
