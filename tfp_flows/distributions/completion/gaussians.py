"""Gaussians and their mixtures complete any mask in closed form.

With units u unknown, k known, and component j of weight w[j]:

p(j | x[k]) ~ w[j] N(x[k]; mean[j, k], S[j, kk])
p(x[u] | x[k], j) = N(mean[j, u] + A r, S[j, uu] - A A^T),  A = S[j, uk] C^-T,
                    r = C^-1 (x[k] - mean[j, k]),  C C^T = S[j, kk]

C, A and the factor of the conditional covariance are the blocks of one triangular
factor of S with the known units first. A QR of a factor of S gives it without squaring
the condition, as S itself would.

Behind a support whose map takes each unit by itself all of this holds of what that
makes of the units.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import noise
from tfp_flows.distributions.bases import StandardNormal
from tfp_flows.distributions.completion.question import Question
from tfp_flows.distributions.elements.element import as_real, inverse_cdf
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.gaussian_mixture import GaussianMixture
from tfp_flows.distributions.model import Model


class Gaussians(NamedTuple):
    """K Gaussians over D units, float64.

    Attributes:
      log_weight: `[K]`.
      mean: `[K, D]`.
      factor: `[K, D, D]`, any factor F of the covariance F F^T.
    """

    log_weight: tf.Tensor
    mean: tf.Tensor
    factor: tf.Tensor


def gaussians_of(model: Model) -> Gaussians | None:
    """Returns the Gaussians that a model is a mixture of, or None if it is not.

    Of a model with a support those of what the support's map makes of the units.
    """
    if isinstance(model, GaussianMixture):
        return _of_mixture(model)
    parts = affine_parts(model)
    if parts is None:
        return None
    if isinstance(model.distribution, StandardNormal):
        size = model.distribution.event_shape.num_elements()
        one = tf.zeros([1], tf.float64)
        base = Gaussians(one, tf.zeros([1, size], tf.float64), _eye(size)[None])
    elif isinstance(model.distribution, GaussianMixture):
        base = _of_mixture(model.distribution)
    else:
        return None
    return _pushed(base, parts, model.distribution)


def affine_parts(model: Model) -> list | None:
    """Returns the bijectors behind the support of an affine flow, the data side first.

    None for other models, and for supports that mix the units or have circles.
    """
    if not isinstance(model, Flow) or model.context_shape:
        return None
    parts = [model.bijector]
    if model.support is not None:
        parts = list(getattr(model.bijector, "bijectors", ()))
        is_first = bool(parts) and parts[0] is model.support
        if not is_first or not model.support.is_by_unit:
            return None
        parts = parts[1:]
    are_affine = all(getattr(part, "is_affine", False) for part in parts)
    return parts if are_affine else None


def _of_mixture(mixture):
    return Gaussians(*mixture.components(tf.float64))


def _eye(size):
    return tf.eye(size, dtype=tf.float64)


def _pushed(base, parts, distribution):
    """Returns the Gaussians on the data side of affine bijectors."""
    if not parts:
        return base
    size = base.mean.shape[-1]
    shape, dtype = distribution.event_shape.as_list(), distribution.dtype

    def forward(z):
        for part in reversed(parts):
            z, _ = part.forward_and_log_det(z)
        return z

    zero = tf.zeros([size, *shape], dtype)
    with tf.GradientTape() as tape:
        tape.watch(zero)
        out = tf.reshape(forward(zero), [size, size])
        # Row i is unit i of an event of its own: one backward pass for all.
        chosen = tf.reduce_sum(tf.linalg.diag_part(out))
    slope = tf.cast(tf.reshape(tape.gradient(chosen, zero), [size, size]), tf.float64)
    mean = tf.cast(tf.reshape(base.mean, [-1, *shape]), dtype)
    moved = forward(mean)
    # Far from 0 it is rounded; the way back, which is exact there, says by how much.
    back = moved
    for part in parts:
        back, _ = part.inverse_and_log_det(back)
    back, moved = (
        tf.cast(tf.reshape(v, [-1, size]), tf.float64) for v in (back, moved)
    )
    mean = moved + tf.linalg.matvec(slope, base.mean - back)
    return Gaussians(base.log_weight, mean, slope[None] @ base.factor)


def complete(
    question: Question, gaussians: Gaussians, seed: Any, temperature: Any
) -> tf.Tensor:
    """Draws the unknown units of each event.

    Args:
      question: any masks.
      gaussians: of its model.
      seed: as for `sample`.
      temperature: a number, factor of the noise about each component's mean.

    Returns:
      `[n * N, *event_shape]`.
    """
    asked, dtype = question.tiled(), question.model.dtype
    size, support = gaussians.mean.shape[-1], question.model.support
    x = asked.x
    if support is not None:
        gone = tf.constant(np.nan, dtype)
        x, _ = support.by_unit(tf.where(asked.known, x, gone))
    x = tf.cast(tf.reshape(x, [-1, size]), tf.float64)
    u = noise.uniform(
        [tf.shape(x)[0], size + 1], noise.salted(seed, "completion"), tf.float64
    )
    masks = asked.known.reshape([-1, size])
    kinds, kind_of_row = np.unique(masks, axis=0, return_inverse=True)
    if len(masks) == 1:
        drawn = _drawn(x, u, masks[0], gaussians, temperature)
    else:
        places = [np.flatnonzero(kind_of_row.ravel() == i) for i in range(len(kinds))]
        parts = [
            _drawn(tf.gather(x, p), tf.gather(u, p), mask, gaussians, temperature)
            for p, mask in zip(places, kinds, strict=True)
        ]
        back = np.argsort(np.concatenate(places))
        drawn = tf.gather(tf.concat(parts, axis=0), back)
    drawn = tf.reshape(tf.cast(drawn, dtype), tf.shape(asked.x))
    if support is not None:
        drawn, _ = support.forward_and_log_det(drawn)
    return tf.where(asked.known, asked.x, drawn)


def _drawn(x, u, mask, gaussians, temperature):
    """Draws events `[N, D]` of one mask `[D]` from uniform numbers `[N, D + 1]`."""
    count = int(mask.sum())
    places = np.argsort(~mask, kind="stable")  # known units first
    factor = tf.gather(gaussians.factor, places, axis=1)
    mean = tf.gather(gaussians.mean, places, axis=1)
    _, upper = tf.linalg.qr(tf.linalg.matrix_transpose(factor))
    lower = tf.linalg.matrix_transpose(upper)  # of the covariance, [K, D, D]
    x = tf.gather(x, places[:count], axis=1)
    inner = lower[:, :count, :count]
    centred = tf.transpose(x[None] - mean[:, None, :count], [0, 2, 1])
    white = tf.linalg.triangular_solve(inner, centred)  # [K, count, N]
    log_det = tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(inner))), axis=-1)
    log_weight = (
        gaussians.log_weight
        - log_det
        - 0.5 * tf.reduce_sum(tf.transpose(white, [2, 0, 1]) ** 2, axis=-1)
    )
    component = inverse_cdf(log_weight, u[:, 0])
    eps = as_real(temperature, tf.float64) * tf.math.ndtri(u[:, 1 + count :])
    white = tf.concat(
        [tf.transpose(white, [0, 2, 1]), tf.tile(eps[None], [white.shape[0], 1, 1])],
        axis=-1,
    )
    events = mean[:, None] + tf.einsum("kde,kne->knd", lower, white)
    chosen = tf.gather(tf.transpose(events, [1, 0, 2]), component, batch_dims=1)
    return tf.gather(chosen, np.argsort(places), axis=1)
