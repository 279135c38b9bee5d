"""Matrix products that keep the precision of what they multiply."""

from typing import Any

import tensorflow as tf


def matmul(a: tf.Tensor, b: tf.Tensor, **kwargs: Any) -> tf.Tensor:
    """Returns `tf.matmul(a, b)`, of float32 in float32 on any GPU or TPU.

    GPUs since NVIDIA's Ampere multiply float32 matrices as TF32, with 10 bits after the
    point, unless TensorFlow is told otherwise; TPUs as bfloat16, with 7. Networks may
    have it so: what they compute is theirs to choose. A bijector's own products may
    not: its inverse would be none, its log-det that of another matrix, and a backward
    pass that recomputes inputs from outputs would go astray within some ten steps. They
    are small, so a GPU takes them in float64, and a TPU as six products of parts that
    bfloat16 holds exactly.

    Args:
      a: `[..., N, K]`.
      b: `[..., K, M]`.
      **kwargs: of `tf.matmul`.

    Examples:
      >>> print(matmul(tf.ones([2, 3]), tf.ones([3, 1])).numpy().tolist())
      [[3.0], [3.0]]
    """
    if not is_rounded(a.dtype):
        return tf.matmul(a, b, **kwargs)
    if _on_tpu():
        a_parts, b_parts = _parts(a), _parts(b)
        # The smallest first; what is left out is below float32's last digit.
        pairs = ((2, 0), (1, 1), (0, 2), (1, 0), (0, 1), (0, 0))
        return tf.add_n([tf.matmul(a_parts[i], b_parts[j], **kwargs) for i, j in pairs])
    wide = tf.matmul(tf.cast(a, tf.float64), tf.cast(b, tf.float64), **kwargs)
    return tf.cast(wide, a.dtype)


def is_rounded(dtype: tf.DType) -> bool:
    """Whether TensorFlow may round numbers of this type before it multiplies them."""
    has_tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    on_gpu = has_tf32 and bool(tf.config.list_physical_devices("GPU"))
    return dtype == tf.float32 and (on_gpu or _on_tpu())


def _on_tpu():
    return bool(tf.config.list_logical_devices("TPU"))


def _parts(x):
    """Takes float32's 24 bits apart into three times 8; the parts' sum is x."""
    parts = []
    for _ in range(3):
        # By bits: XLA may leave out a cast to bfloat16 and back.
        upper = tf.bitcast(tf.bitcast(x, tf.int32) & -(1 << 16), tf.float32)
        parts.append(x - tf.stop_gradient(x - upper))  # upper, with x's gradient
        x = x - parts[-1]
    return parts
