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
_NO_ORDER = (
    "{} has no one order of its units, so none of them has a share of log p(x) of its "
    "own. decompose needs an autoregressive model, a Gaussian or a MAF of one step."
)


@dataclasses.dataclass(frozen=True)
class Decomposition(Finding):
    """What each unit adds to -log p(x), given the units before it.

    Args:
      nats: of each event, `[N, *event_shape]`, without the last axis where the channels
        of a pixel are drawn together; the sum over units is -log p(x).
      num_dims: units of an event.

    Examples:
      >>> found = Decomposition(np.full([10, 3], np.log(2.0)), num_dims=3)
      >>> print(found.bits_per_dim.round(3))
      [0.333 0.333 0.333]
    """

    nats: np.ndarray
    num_dims: int

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
        return (
            f"{mean.sum():.2f} nats, of which unit {most} has the most, "
            f"{mean[most]:.2f}, and unit {least} the least, {mean[least]:.2f}"
        )


def decompose(
    model: Model, held_out: Any, *, context: Any = None, seed: int = 0
) -> Decomposition:
    """Returns -log p(x_i | units before it) of each unit, in nats.

    Exact for autoregressive models. For a flow all of whose steps keep one order (a
    Gaussian, a MAF of one step) from the base at z_i and the diagonal of dz/dx; of
    integers then the bound of one draw of noise. For other flows, couplings among them,
    no unit has a share of its own: another order would give it another.

    Args:
      model: `Autoregressive`, or a flow with one order.
      held_out: events, `[N, *event_shape]`.
      context: `[N, *context_shape]` for a conditional model.
      seed: of the noise.

    Raises:
      ValueError: if the model has no order, or the events do not fit.

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
        nats = -_of_positions(events)
    else:
        nats = -_of_latents(events, seed)
    return Decomposition(nats, math.prod(model.event_shape))


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
    name, real = events.model.name, events.real(seed)
    if getattr(events.model, "noise", None) is not None:
        raise DoesNotFit(f"{name} has learned noise, whose density has no shares.")
    flow = real.model
    _check_order(name, flow, events.model)

    size = math.prod(flow.event_shape)
    order = getattr(flow.bijector, "order", None)
    order = np.arange(size) if order is None else np.ravel(order)

    # Traced once: outside of a graph each call of batch_jacobian is traced anew.
    @tf.function(autograph=False, reduce_retracing=True)
    def chunk(x, given):
        with tf.GradientTape() as tape:
            tape.watch(x)
            z = flow.bijector.inverse(x, **given)
        jacobian = tf.reshape(tape.batch_jacobian(z, x), [-1, size, size])
        ordered = tf.gather(tf.gather(jacobian, order, axis=1), order, axis=2)
        above = tf.reduce_max(tf.abs(ordered - tf.linalg.band_part(ordered, -1, 0)))
        log_diagonal = tf.math.log(tf.abs(tf.linalg.diag_part(jacobian)))
        log_diagonal = tf.reshape(log_diagonal, tf.shape(z))
        log_prob = _log_base(flow.distribution, z) + log_diagonal
        return log_prob, tf.fill(tf.shape(x)[:1], above)

    log_prob, above = real.each(lambda x, given, start: chunk(x, given))
    if above.max() > 0:  # also units of one position that depend on each other
        raise DoesNotFit(_NO_ORDER.format(name))
    return log_prob


def _check_order(name, flow, model):
    """Refuses flows whose Jacobian is not triangular in one order of the units."""
    order = getattr(flow.bijector, "order", None)
    keeps_one = order is not None or getattr(flow.bijector, "is_affine", False)
    is_plain = isinstance(flow.distribution, (StandardNormal, StandardLogistic))
    if not (keeps_one and is_plain):
        raise DoesNotFit(_NO_ORDER.format(name))
    if flow.event_shape != model.event_shape:
        raise DoesNotFit(f"{name} pads its events, and the border has a share, too.")
    size = math.prod(flow.event_shape)
    if size > _LARGEST:
        raise DoesNotFit(
            f"{name} has events of {size} units; the Jacobian of a flow is computed "
            f"for at most {_LARGEST}."
        )


def _log_base(distribution, z):
    """Log p of each z by itself, in the shape of z."""
    one = type(distribution)((1,), distribution.dtype)
    return one.log_prob(z[..., None])
