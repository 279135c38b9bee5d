"""Affine maps of the last axis, the same at every position, and their fusion."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.precision import matmul
from tfp_flows.networks.weights.prepared import prepared


class AffineMap(NamedTuple):
    """x -> x @ kernel + bias on the last axis, or x * kernel + bias.

    Attributes:
      kernel: `[C, C]`, or `[C]` for a diagonal.
      bias: `[C]`, or None for zero.
      log_det: scalar, log|det kernel|, in nats at each position.
    """

    kernel: tf.Tensor
    bias: tf.Tensor | None
    log_det: tf.Tensor

    def then(self, other: "AffineMap") -> "AffineMap":
        """Returns this map followed by the other one, as one map."""
        if other.kernel.shape.rank == 1:
            kernel = self.kernel * other.kernel
            bias = None if self.bias is None else self.bias * other.kernel
        else:
            kernel = (
                self.kernel[:, tf.newaxis] * other.kernel
                if self.kernel.shape.rank == 1
                else matmul(self.kernel, other.kernel)
            )
            bias = None if self.bias is None else row_times(self.bias, other.kernel)
        if other.bias is not None:
            bias = other.bias if bias is None else bias + other.bias
        return AffineMap(kernel, bias, self.log_det + other.log_det)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Maps `[..., C]`."""
        if self.kernel.shape.rank == 1:
            y = x * self.kernel
            return y if self.bias is None else y + self.bias
        # Positions as rows of one matrix: a 1x1 convolution takes three times as long.
        rows = x if x.shape.rank == 2 else tf.reshape(x, [-1, x.shape[-1]])
        rows = matmul(rows, self.kernel)
        rows = rows if self.bias is None else tf.nn.bias_add(rows, self.bias)
        return rows if x.shape.rank == 2 else tf.reshape(rows, tf.shape(x))


class PositionAffine(KerasBijector):
    """Base of the bijectors that map the last axis alike at every position.

    `Chain` asks neighbours of this kind for their maps, multiplies those, which are
    small, and touches the events once.

    Implementing one: write `forward_map` and `inverse_map`.
    """

    @property
    def is_affine(self) -> bool:
        """True."""
        return True

    def keeps_order(self, order: np.ndarray) -> bool:
        """Returns whether the blocks are whole positions, whose channels it mixes."""
        channels = self._event_shape[-1]
        first = np.sort(order, axis=1)[:, :1]
        whole = first + np.arange(channels)
        return order.shape[1] == channels and np.array_equal(
            np.sort(order, axis=1), whole
        )

    @property
    def prepared_from(self) -> list[keras.Variable]:
        """The variables that nothing but the maps reads."""
        return [v for layer in self.keras_layers for v in layer.variables]

    @property
    def vectorizes(self) -> bool:
        """Whether `tf.vectorized_map` can compute the maps of many steps as one."""
        return True

    def forward_map(self) -> AffineMap:
        """Returns the map from the latent to the data side, from weights alone."""
        raise NotImplementedError(f"{type(self).__name__} has no forward map.")

    def inverse_map(self) -> AffineMap:
        """Returns the map from the data to the latent side, from weights alone."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse map.")

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and the log-det of a whole event, a scalar."""
        return self._apply(self.forward_map, x)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and the log-det of a whole event, a scalar."""
        return self._apply(self.inverse_map, y)

    def _apply(self, function, value):
        affine = prepared(function)
        return affine(value), math.prod(self._event_shape[:-1]) * affine.log_det


class FusedAffine(PositionAffine):
    """Neighbouring affine maps of the last axis, multiplied before they are applied.

    Args:
      bijectors: the data side first, all of one event shape.
      name: of the bijector.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm, InvertibleLinear
      >>> fused = FusedAffine([ActNorm((3,)), InvertibleLinear((3,))])
      >>> fused.inverse_and_log_det(tf.ones([5, 3]))[0].shape
      TensorShape([5, 3])
    """

    def __init__(self, bijectors: Sequence[PositionAffine], name: str = "fused_affine"):
        super().__init__(
            bijectors[0].event_shape,
            dtype=bijectors[0].dtype,
            parameters=dict(bijectors=bijectors, name=name),
            name=name,
            is_constant_jacobian=True,
        )
        self._bijectors = list(bijectors)

    @property
    def bijectors(self) -> tuple[PositionAffine, ...]:
        """The maps, the data side first."""
        return tuple(self._bijectors)

    @property
    def vectorizes(self) -> bool:
        """Whether all of the maps do."""
        return all(b.vectorizes for b in self._bijectors)

    @property
    def prepared_from(self) -> list[keras.Variable]:
        """The variables that nothing but the product reads."""
        return [v for b in self._bijectors for v in b.prepared_from]

    def forward_map(self) -> AffineMap:
        """Returns the product of the maps, from the latent side on."""
        maps = [b.forward_map() for b in reversed(self._bijectors)]
        return functools.reduce(AffineMap.then, maps)

    def inverse_map(self) -> AffineMap:
        """Returns the product of the maps, from the data side on."""
        maps = [b.inverse_map() for b in self._bijectors]
        return functools.reduce(AffineMap.then, maps)


def row_times(row: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Returns row @ matrix, `[C]`."""
    # A batched product of so few numbers takes ten times as long to start.
    return tf.reduce_sum(row[:, tf.newaxis] * matrix, axis=0)
