"""Where the nats are: -log p(x) as a sum over units or pixels."""

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.diagnostics.events import Events
from tfp_flows.diagnostics.finding import DoesNotFit, Finding
from tfp_flows.distributions import (
    Autoregressive,
    Model,
    StandardLogistic,
    StandardNormal,
)

_LARGEST = 256  # units of a flow, whose Jacobian has as many rows


@dataclasses.dataclass(frozen=True)
class Decomposition(Finding):
    """What each unit adds to -log p(x), given the units before it.

    Args:
      nats: of each event, `[N, *event_shape]`, without the last axis where the channels
        of a pixel are drawn together; the sum over units is -log p(x).
      num_dims: units of an event.
      is_linearised: whether shares are those of the flow's linearisation at x, see
        `decompose`, and not -log p(x_i | units before it).

    Examples:
      >>> found = Decomposition(np.full([10, 3], np.log(2.0)), num_dims=3)
      >>> print(found.bits_per_dim.round(3))
      [0.333 0.333 0.333]
    """

    nats: np.ndarray
    num_dims: int
    is_linearised: bool = False

    @property
    def mean(self) -> np.ndarray:
        """Mean over events, in nats, shaped as an event."""
        return self.nats.mean(axis=0)

    @property
    def standard_error(self) -> np.ndarray:
        """Of the mean, shaped as an event."""
        return self.nats.std(axis=0, ddof=1) / math.sqrt(len(self.nats))

    @property
    def bits_per_dim(self) -> np.ndarray:
        """Each unit's share of the mean bits/dim, shaped as an event."""
        return self.mean / (self.num_dims * math.log(2.0))

    def __str__(self):
        mean = self.mean.ravel()
        most, least = int(np.argmax(mean)), int(np.argmin(mean))
        found = (
            f"{mean.sum():.2f} nats, of which unit {most} has the most, "
            f"{mean[most]:.2f}, and unit {least} the least, {mean[least]:.2f}"
        )
        return f"{found}, by the flow's linearisations" if self.is_linearised else found


def decompose(
    model: Model, held_out: Any, *, context: Any = None, seed: int = 0
) -> Decomposition:
    """Returns -log p(x_i | units before it) of each unit, in nats.

    Exact for autoregressive models, and for flows that keep one order of the units (a
    Gaussian, a MAF of one step): there it is read off the Jacobian J = dz/dx.

    Other flows, couplings among them, say no more of a unit than what all units
    together have. For them it is what the flow's linearisation at x says: J = Q L with
    a rotation Q and a lower triangle L, so that z' = Q^T z depends on no later unit,
    and unit i has -log N(z'_i) - log |L_ii|. A standard normal does not change when
    it is rotated, so these shares add up to -log p(x), too; where J is a triangle, or
    the flow is affine, they are the exact ones. Units are in row-major order.

    Integers have the density of themselves with one draw of noise.

    Args:
      model: `Autoregressive`, or a flow of at most 256 units with a normal base.
      held_out: events, `[N, *event_shape]`.
      context: `[N, *context_shape]` for a conditional model.
      seed: of the noise.

    Raises:
      ValueError: if the model is neither, or the events do not fit.

    Examples:
      >>> from tfp_flows import flows
      >>> model = flows.pixel_cnn((2, 2, 1), 1, 8, num_values=2)
      >>> found = decompose(model, model.sample(20, seed=1))
      >>> print(found.bits_per_dim[..., 0].round(3))
      [[0.25 0.25]
       [0.25 0.25]]
    """
    events = Events.of(model, held_out, context)
    if isinstance(model, Autoregressive):
        log_prob, is_linearised = _of_positions(events), False
    else:
        log_prob, is_linearised = _of_latents(events, seed)
    return Decomposition(-log_prob, math.prod(model.event_shape), is_linearised)


def _of_positions(events):
    """By units where they are independent within a position, by pixels otherwise."""
    model = events.model
    element, shape = model.element, tuple(model.event_shape)

    def chunk(x, given, start):
        params = model.trace(x, **given)[0][1]
        units, fits = element.supported(x, model.real_dtype)
        if element.block_size is not None:
            return element.log_prob(params, units)
        log_prob = element.log_prob(params[..., None, :], units[..., None])
        return log_prob if fits is None else tf.where(fits, log_prob, -math.inf)

    if element.block_size not in (None, shape[-1]):
        raise DoesNotFit(
            f"{model.name} draws {element.block_size} units together, and its events "
            f"have shape {shape}. decompose needs the channels of a pixel as the last "
            "axis."
        )
    return events.each(chunk)


def _of_latents(events, seed):
    name, flow = events.model.name, _flow(events.model)
    real, base = events.real(seed), flow.distribution
    size = math.prod(flow.event_shape)
    known = getattr(flow.bijector, "order", None)
    order = np.arange(size) if known is None else np.ravel(known)
    turns = isinstance(base, StandardNormal)

    # Traced once: outside of a graph each call of batch_jacobian is traced anew.
    @tf.function(autograph=False, reduce_retracing=True)
    def chunk(x, given):
        jacobian, z = _jacobian(flow, x, given)
        jacobian = tf.gather(tf.gather(jacobian, order, axis=1), order, axis=2)
        above = tf.reduce_max(tf.abs(jacobian - tf.linalg.band_part(jacobian, -1, 0)))
        latent = tf.gather(tf.reshape(z, [-1, size]), order, axis=1)
        diagonal = tf.linalg.diag_part(jacobian)
        if turns:
            latent, diagonal = _turned(latent, jacobian)
        log_prob = _log_base(base, latent) + tf.math.log(tf.abs(diagonal))
        log_prob = tf.gather(log_prob, np.argsort(order), axis=1)
        return tf.reshape(log_prob, tf.shape(x)), tf.fill(tf.shape(x)[:1], above)

    log_prob, above = real.each(lambda x, given, start: chunk(x, given))
    # The units of one position may depend on each other, and NaN is no triangle.
    keeps_order = known is not None and not above.any()
    if not (keeps_order or turns):
        raise DoesNotFit(
            f"{name} has no one order of its units, and its base {base.name} is "
            "another when it is rotated. decompose needs a standard normal base then."
        )
    return log_prob, not (keeps_order or getattr(flow.bijector, "is_affine", False))


def _jacobian(flow, x, given):
    """Returns dz/dx `[B, n, n]`, and z; flows that invert in a loop have one, too."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = flow.bijector.inverse(x, **given)
    # One after the other: what holds a loop of its own is not vectorised.
    found = tape.batch_jacobian(z, x, experimental_use_pfor=False)
    size = math.prod(flow.event_shape)
    return tf.reshape(found, [-1, size, size]), z


def _turned(z, jacobian):
    """Returns Q^T z `[B, n]` and the diagonal of L `[B, n]` for J = Q L.

    Q L is Q R of the columns in reverse, in float64: L spans many magnitudes.
    """
    wide = tf.cast(jacobian[..., ::-1], tf.float64)
    q, r = tf.linalg.qr(wide)
    latent = tf.linalg.matvec(q, tf.cast(z, tf.float64), transpose_a=True)
    diagonal = tf.linalg.diag_part(r)
    return tuple(tf.cast(v[..., ::-1], z.dtype) for v in (latent, diagonal))


def _flow(model):
    """Returns the flow inside whose Jacobian is asked, if that can be."""
    if getattr(model, "noise", None) is not None:
        raise DoesNotFit(
            f"{model.name} has learned noise, whose density has no shares."
        )
    flow = model.flow
    if flow is None or not isinstance(
        flow.distribution, (StandardNormal, StandardLogistic)
    ):
        raise DoesNotFit(
            f"{model.name} is no flow from normals or logistics, so none of its units "
            "has a share of its own. decompose needs one, or an autoregressive model."
        )
    if not model.event_shape == flow.event_shape == flow.distribution.event_shape:
        raise DoesNotFit(
            f"{model.name} has events of shape {model.event_shape} and codes of shape "
            f"{flow.distribution.event_shape}: a border, or what a simplex leaves "
            "out, has no share that is a unit's."
        )
    size = math.prod(flow.event_shape)
    if size > _LARGEST:
        raise DoesNotFit(
            f"{model.name} has events of {size} units; the Jacobian of a flow is "
            f"computed for at most {_LARGEST}."
        )
    return flow


def _log_base(distribution, z):
    """Log p of each z by itself, in the shape of z."""
    one = type(distribution)((1,), distribution.dtype)
    return one.log_prob(z[..., None])
