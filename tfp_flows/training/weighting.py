"""Weights of examples: what they may be, and what they mean.

The loss of a batch is sum(w * nll) / sum(w) over all replicas, so that a weight of 2 is
the example twice. An example of weight 0 has no part in loss, gradients and metrics,
whatever its likelihood, but its values must be finite. A batch whose weights are all 0
has likelihood gradients of 0 and counts nowhere; data of that kind are refused.
Adapting, and the statistics that batch normalisation takes, do not look at weights.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import numeric


def check(weights: Any, count: int) -> None:
    """Refuses an array that holds no weights.

    Args:
      weights: what came as `sample_weight`.
      count: how many examples there are.

    Raises:
      ValueError: if they are not `[count]`, not finite, negative, or all zero.
    """
    numeric.check(weights, "sample_weight")
    values = np.asarray(weights)
    if values.shape != (count,):
        raise ValueError(
            f"sample_weight needs one weight for each of the {count} examples, of "
            f"shape ({count},), got {values.shape}."
        )
    bad = np.flatnonzero(is_bad(values))
    if bad.size:
        raise ValueError(
            f"sample_weight must be finite and not negative, got {values[bad[0]]} for "
            f"row {bad[0]}, and {bad.size} such rows. Drop the rows, or mend their "
            "weights."
        )
    if not values.any():
        raise ValueError(
            "sample_weight is 0 for all examples, which leaves nothing to train on or "
            "to evaluate. Give at least one a weight above 0."
        )


def is_bad(weights: Any) -> np.ndarray:
    """Returns which numbers are no weights: negative or not finite."""
    values = np.asarray(weights, np.float64)
    return ~(np.isfinite(values) & (values >= 0))


def in_step(weights: Any, x: Any) -> tf.Tensor | None:
    """Returns a batch's weights as a step wants them.

    Args:
      weights: `[B]`, or None.
      x: the batch, `[B, ...]`.

    Returns:
      float64 `[B]`, NaN in place of a number that is no weight, and of all if there is
      not one an example, which a graph may only learn from the data: the step is then
      not finite, and the guard treats it as any other such step. None if there are
      none.

    Raises:
      ValueError: if they are not `[B]`.
    """
    if weights is None or (isinstance(weights, tuple) and not weights):
        return None
    values = tf.cast(tf.convert_to_tensor(weights), tf.float64)
    batch = tf.TensorShape(x.shape[:1])
    if not values.shape.is_compatible_with(batch):
        raise ValueError(
            f"The third element of a batch must be one weight an example, of shape "
            f"{batch}, got {values.shape}."
        )
    if not (values.shape.is_fully_defined() and batch.is_fully_defined()):
        values = _one_each(values, tf.shape(x)[:1])
    is_good = tf.math.is_finite(values) & (values >= 0)
    return tf.where(is_good, values, math.nan)


def _one_each(values, batch):
    """Weights of a shape that the graph does not know: another would be broadcast."""
    is_one_each = tf.equal(tf.rank(values), 1) & tf.equal(tf.size(values), batch[0])
    none = tf.constant(math.nan, values.dtype)
    chosen = tf.cond(
        is_one_each,
        lambda: tf.reshape(values, [-1]),
        lambda: tf.fill(batch, none),
    )
    return tf.ensure_shape(chosen, [None])


def weighted(nll: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Returns w * nll of each example; 0 for a weight of 0 whatever its nll.

    Args:
      nll: `[B]`.
      weights: as from `in_step`.
    """
    if weights is None:
        return nll
    return tf.math.multiply_no_nan(nll, tf.cast(weights, nll.dtype))


def refuse_classes(options: Mapping[str, Any]) -> None:
    """Refuses weights of classes, which a flow has none of.

    Args:
      options: of `fit`.

    Raises:
      ValueError: if there are some.
    """
    if options.get("class_weight") is not None:
        raise ValueError(
            "A flow is trained on events, not on classes, and cannot use class_weight. "
            "Give each example its weight: sample_weight=."
        )
