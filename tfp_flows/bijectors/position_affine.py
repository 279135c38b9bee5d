"""Affine maps of the last axis, the same at every position, and their fusion."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tfp_flows.bijectors import folding
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.precision import matmul


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
            bias = None if self.bias is None else _row_times(self.bias, other.kernel)
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

    Implementing one: write `_forward_map` and `_inverse_map`.
    """

    @property
    def vectorizes(self) -> bool:
        """Whether `tf.vectorized_map` can compute the maps of many steps as one."""
        return True

    def _forward_map(self) -> AffineMap:
        raise NotImplementedError(f"{type(self).__name__} has no forward map.")

    def _inverse_map(self) -> AffineMap:
        raise NotImplementedError(f"{type(self).__name__} has no inverse map.")

    def _forward_and_log_det(self, x, context=None):
        return apply(folding.once(self._forward_map), x, self._event_shape)

    def _inverse_and_log_det(self, y, context=None):
        return apply(folding.once(self._inverse_map), y, self._event_shape)


def apply(
    affine: AffineMap, x: tf.Tensor, event_shape: Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the mapped events and the log-det of a whole event."""
    return affine(x), math.prod(event_shape[:-1]) * affine.log_det


def _row_times(row, matrix):
    # A batched product of so few numbers takes ten times as long to start.
    return tf.reduce_sum(row[:, tf.newaxis] * matrix, axis=0)
