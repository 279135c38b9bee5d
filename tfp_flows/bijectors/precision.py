"""Matrix products that keep the precision of what they multiply."""

from typing import Any

import tensorflow as tf


def matmul(a: tf.Tensor, b: tf.Tensor, **kwargs: Any) -> tf.Tensor:
    """Returns `tf.matmul(a, b)`, of float32 in float32 on any GPU.

    GPUs since NVIDIA's Ampere multiply float32 matrices as TF32, with 10 bits after the
    point, unless TensorFlow is told otherwise. Networks may have it so: what they
    compute is theirs to choose. A bijector's own products may not: its inverse would
    be none, its log-det that of another matrix, and a backward pass that recomputes
    inputs from outputs would go astray within some ten steps. They are small, so there
    they are taken in float64.

    Args:
      a: `[..., N, K]`.
      b: `[..., K, M]`.
      **kwargs: of `tf.matmul`.

    Example:
      >>> print(matmul(tf.ones([2, 3]), tf.ones([3, 1])).numpy().tolist())
      [[3.0], [3.0]]
    """
    if not is_rounded(a.dtype):
        return tf.matmul(a, b, **kwargs)
    wide = tf.matmul(tf.cast(a, tf.float64), tf.cast(b, tf.float64), **kwargs)
    return tf.cast(wide, a.dtype)


def is_rounded(dtype: tf.DType) -> bool:
    """Whether TensorFlow may round numbers of this type before it multiplies them."""
    return (
        dtype == tf.float32
        and tf.config.experimental.tensor_float_32_execution_enabled()
        and bool(tf.config.list_physical_devices("GPU"))
    )
