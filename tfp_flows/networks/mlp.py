"""Dense networks for vectors."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.networks.centred import adapted
from tfp_flows.networks.dropout import Dropout
from tfp_flows.networks.hidden import CentredDense

# Of inputs, which recipes give in standard deviations.
_LIMIT = 8.0


@keras.saving.register_keras_serializable("tfp_flows")
class MLP(keras.layers.Layer):
    """A multi-layer perceptron, plain or residual, with an optional context.

    plain:     h <- dropout(activation(W h + b)) for each of `hidden_units`
    residual:  h <- W0 [x, context]; then h <- h + W2 dropout(activation(W1
               activation(h) + b1)) + b2 for each of `hidden_units[1:]`

    A context is flattened and concatenated to the input. There is no output layer: a
    bijector adds the head it needs. Each layer sees its inputs from their mean, which
    `adapt` sets, see `centred`; what is trained of W is divided by its gain, see
    `gains`.

    Beyond 8, an input x counts as 8 (1 + log(x / 8)), and so below -8: couplings that
    shift by what their networks give would carry an outlier further and further.

    Shapes: x `[B, D]`, context `[B, *context_shape]` -> features
    `[B, hidden_units[-1]]`.

    Args:
      hidden_units: width of each layer; all equal when `residual`.
      activation: name or callable, as for `keras.layers.Dense`.
      residual: adds a skip connection around every pair of layers.
      dropout: rate, applied in training mode only.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: for no hidden layer, or unequal widths of a residual network.

    Examples:
      >>> MLP((16, 16))(keras.ops.zeros((5, 3))).shape
      TensorShape([5, 16])

    References:
      He, Zhang, Ren, Sun. Identity mappings in deep residual networks. ECCV 2016.
      arXiv:1603.05027
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (256, 256),
        activation: str = "relu",
        residual: bool = False,
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_units = tuple(int(n) for n in hidden_units)
        self.activation = activation
        self.residual = residual
        self.dropout = dropout
        if not self.hidden_units or min(self.hidden_units) < 1:
            raise ValueError(
                f"MLP needs at least one positive width, got {hidden_units!r}."
            )
        if residual and len(set(self.hidden_units)) > 1:
            raise ValueError(
                f"A residual MLP needs equal widths, got {self.hidden_units}. "
                "Give the same number for every layer, or residual=False."
            )
        self._layers_in_order = self._residual_layers() if residual else self._plain()

    def _dense(self, units, activation=None):
        return CentredDense(
            units,
            "he_normal",
            activation=activation,
            dtype=self.dtype_policy,
        )

    def _drop(self):
        if not self.dropout:
            return []
        return [Dropout(self.dropout, dtype=self.dtype_policy)]

    def _plain(self):
        blocks = (
            [self._dense(n, self.activation), *self._drop()] for n in self.hidden_units
        )
        return [layer for block in blocks for layer in block]

    def _residual_layers(self):
        width = self.hidden_units[0]
        activation = lambda: keras.layers.Activation(  # noqa: E731
            self.activation, dtype=self.dtype_policy
        )
        blocks = [
            keras.Sequential(
                [
                    activation(),
                    self._dense(width, self.activation),
                    *self._drop(),
                    self._dense(width),
                ]
            )
            for _ in self.hidden_units[1:]
        ]
        return [self._dense(width), *blocks, activation()]

    @property
    def num_summed(self) -> int:
        """Layers whose sum the features are, see `gains`."""
        return len(self.hidden_units) if self.residual else 1

    def build(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights; a context widens the first layer."""
        width = x_shape[-1]
        if context_shape is not None:
            self._context_size = math.prod(context_shape[1:])
            width += self._context_size
        shape = (*x_shape[:-1], width)
        for layer in self._layers_in_order:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def compute_output_shape(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Returns the shape of the features; Keras would trace a call for it."""
        return (*x_shape[:-1], self.hidden_units[-1])

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None):
        """Returns features `[B, hidden_units[-1]]`."""
        return self._features(x, context)

    def adapt(self, x: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Sets the centre of each layer to the mean of what it is given.

        Args:
          x: `[N, D]`.
          context: `[N, *context_shape]` for a conditional network.
        """
        # Outside of a call Keras casts no inputs.
        self._features(tf.cast(x, self.compute_dtype), context, adapted)

    def _features(self, x, context, run=lambda layer, h: layer(h)):
        """Returns the features; `run` calls a layer."""
        x = _limited(x)
        if context is not None:
            context = keras.ops.reshape(context, (-1, self._context_size))
            x = keras.ops.concatenate([x, keras.ops.cast(context, x.dtype)], axis=-1)
        through = lambda x, layers: functools.reduce(  # noqa: E731
            lambda h, layer: run(layer, h), layers, x
        )
        if not self.residual:
            return through(x, self._layers_in_order)
        first, *blocks, last = self._layers_in_order
        x = run(first, x)
        for block in blocks:
            x = x + through(x, block.layers)
        return last(x)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "hidden_units": self.hidden_units,
            "activation": self.activation,
            "residual": self.residual,
            "dropout": self.dropout,
        }


def _limited(x):
    """The same up to the limit, then its logarithm; with a continuous slope."""
    size = keras.ops.maximum(keras.ops.abs(x), _LIMIT)
    return keras.ops.clip(x, -_LIMIT, _LIMIT) * (1.0 + keras.ops.log(size / _LIMIT))
