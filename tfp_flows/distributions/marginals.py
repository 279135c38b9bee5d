"""Gaussian densities of rows with missing values, differentiable and in any graph.

With the values k of a row that are there, and component j of mean m and covariance S,

p(x[k]) = sum_j w[j] N(x[k]; m[j, k], S[j, kk])

Every row has a factorisation of its own: that of S with the rows and columns of what is
missing in place of those of the identity, which add nothing.
"""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

_ENTRIES = 2**22  # of the factors of a block of rows, 32 MiB


def log_prob(x: tf.Tensor, gaussians: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns log p of the values that are there; 0 of a row with none.

    Gradients are finite, and 0 to what is missing. Infinite values have density 0.

    Cost: a factorisation of D^3 / 3 for each row and component, in float64; outside of
    graphs rows go in blocks, which bounds the memory.

    Shapes: x `[N, D]` -> `[N]`.

    Args:
      x: float64, NaN where missing.
      gaussians: log weights `[K]`, means `[K, D]` and factors `[K, D, D]` of the
        covariances, float64.

    Examples:
      >>> eye, zeros = tf.eye(2, dtype=tf.float64)[None], tf.zeros([1, 2], tf.float64)
      >>> rows = tf.constant([[0.0, np.nan], [np.nan, np.nan]], tf.float64)
      >>> print(log_prob(rows, (zeros[0, :1], zeros, eye)).numpy().round(3))
      [-0.919  0.   ]
    """
    log_weight, mean, factor = gaussians
    correlation, scale = _correlation(factor)
    most = max(1, _ENTRIES // math.prod(factor.shape))
    blocks = [x]
    if tf.executing_eagerly() and x.shape[0] > most:
        blocks = [x[i : i + most] for i in range(0, x.shape[0], most)]
    found = [_of_block(b, log_weight, mean, correlation, scale) for b in blocks]
    return tf.concat(found, axis=0)


def _correlation(factor):
    """Correlations `[K, D, D]` and standard deviations `[K, D]`.

    On the diagonal stands a little more than 1, as much as rounding may take from the
    others: no factorisation of them, or of a part, fails.
    """
    size = factor.shape[-1]
    covariance = tf.matmul(factor, factor, transpose_b=True)
    scale = tf.sqrt(tf.linalg.diag_part(covariance))
    correlation = covariance / (scale[:, :, None] * scale[:, None])
    more = 1.0 + 8.0 * size * np.finfo(np.float64).eps
    return tf.linalg.set_diag(correlation, tf.fill(tf.shape(scale), more)), scale


def _of_block(x, log_weight, mean, correlation, scale):
    zero = tf.zeros([], x.dtype)
    is_there, is_finite = ~tf.math.is_nan(x), tf.math.is_finite(x)
    there = tf.cast(is_there, x.dtype)[:, None]  # [N, 1, D]
    # Chosen before the difference is taken, so that no gradient meets NaN.
    centred = there * (tf.where(is_finite, x, zero)[:, None] - mean) / scale
    pairs = there[..., None] * there[..., None, :]
    masked = correlation * pairs + tf.linalg.diag(1.0 - there)
    lower = tf.linalg.cholesky(masked)  # [N, K, D, D]
    white = tf.linalg.triangular_solve(lower, centred[..., None])[..., 0]
    log_det = tf.math.log(tf.linalg.diag_part(lower)) + there * tf.math.log(scale)
    each = -0.5 * white**2 - log_det - 0.5 * there * math.log(2.0 * math.pi)
    total = tf.reduce_logsumexp(log_weight + tf.reduce_sum(each, -1), axis=1)
    # No unit of a row that is missing as a whole has a part in it.
    total = tf.where(tf.reduce_any(is_there, axis=1), total, zero)
    is_possible = tf.reduce_all(is_finite | ~is_there, axis=1)
    return tf.where(is_possible, total, tf.constant(-math.inf, x.dtype))
