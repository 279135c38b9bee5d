"""Coupling layers: one part of an event is transformed given the other part."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.conditioner import Conditioner
from tfp_flows.bijectors.keras_bijector import OPPOSITE, KerasBijector
from tfp_flows.bijectors.shapes import as_shape
from tfp_flows.scalar_maps import ScalarMap


class Coupling(KerasBijector):
    """Transforms the active units given the passive ones; the couplings' base.

    forward:  y[passive] = x[passive];  y[active] = f(x[active]; params)
    inverse:  x[passive] = y[passive];  x[active] = f^-1(y[active]; params)
    params = head(network(passive units, context)), the same in both directions

    A mask whose passive units are the first or the last ones of the last axis is
    carried out by slices, and the network sees the passive ones only. For any other
    mask the network sees the whole event with the active units set to zero. Without
    passive units, as in one dimension, it sees ones, and the context if there is one: f
    is then a learned map of each unit.

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[*batch]`. Cost: one network
    call a direction. The identity at initialisation, since the head is zero.

    Args:
      event_shape: shape of one event, of any rank.
      network: Keras layer or model, see `Conditioner` for what it is given.
      mask: bool array that broadcasts to `event_shape`; True marks passive units.
      scalar_map: f, what happens to each active unit.
      context_shape: shape of one context, or None.
      head: last layer, as in `Conditioner`.
      angles: units that are angles, of which the network sees cosine and sine; bool
        array that broadcasts to `event_shape` of rank 1, or None for none.
      dtype: of the events.
      name: of the bijector.
      parameters: a subclass's constructor's arguments, for `copy`.

    Raises:
      ValueError: if the mask does not fit or has no active unit, or the network does
        not fit.

    Examples:
      >>> from tfp_flows.bijectors import SplineCoupling
      >>> from tfp_flows.networks import MLP, masks
      >>> coupling = SplineCoupling((4,), MLP((8,)), masks.half((4,)))
      >>> isinstance(coupling, Coupling)
      True
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        network: keras.Layer,
        mask: np.ndarray,
        scalar_map: ScalarMap,
        *,
        context_shape: Sequence[int] | None = None,
        head: Callable[[int], keras.Layer] | None = None,
        angles: np.ndarray | None = None,
        dtype: Any = tf.float32,
        name: str = "coupling",
        parameters: dict | None = None,
    ):
        parameters = dict(locals()) if parameters is None else parameters
        event_shape = as_shape(event_shape)
        mask = _checked_mask(mask, event_shape, name)
        split = _contiguous_split(mask)
        num_seen, num_active = _sizes(event_shape[-1], split)
        conditioner = Conditioner(
            network,
            (*event_shape[:-1], num_seen),
            num_active * scalar_map.num_params,
            context_shape,
            dtype,
            name,
            head,
            _seen_angles(angles, mask, split),
        )
        super().__init__(
            event_shape,
            context_shape=context_shape,
            layers=conditioner.layers,
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=scalar_map.keeps_volume,
        )
        self._mask, self._split_at = map(self._no_dependency, (mask, split))
        self._conditioner, self._scalar_map = conditioner, scalar_map

    @property
    def is_adapted(self) -> bool:
        """Whether network and head are, if they have data-dependent weights."""
        return self._conditioner.is_adapted(self._layers)

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Lets network and head set their data-dependent weights, before training.

        Args:
          y: `[N, *event_shape]`.
          context: `[N, *context_shape]` for a conditional coupling.
        """
        self._conditioner.adapt(self._layers, self._split(y)[0], context)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        return self._walk(self._scalar_map.forward, 1.0, x, context)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        return self._walk(self._scalar_map.inverse, -1.0, y, context)

    def _walk(self, function, sign, value, context):
        """The same in both directions: split, condition, transform, join, sum."""
        passive, active = self._split(value)
        raw = self._conditioner(self._layers, passive, context)
        params = tf.split(raw, self._scalar_map.num_params, -1)  # halves: no strides
        active, log_det = function(active, *params)
        # The sign after the sum: one operation less on every unit.
        return self._join(passive, active), sign * self._sum(log_det, value)

    def recompute(
        self,
        direction: str,
        out: Any,
        tape: tf.GradientTape,
        context: tf.Tensor | None = None,
    ):
        """Finds the input again with one network call: its input is in the output."""
        passive, active = map(tf.identity, self._split(out))
        tape.watch(passive)
        raw = self._conditioner(self._layers, passive, context)
        params = tf.split(raw, self._scalar_map.num_params, -1)
        there = getattr(self._scalar_map, direction)
        back = getattr(self._scalar_map, OPPOSITE[direction])
        sign = 1.0 if direction == "forward" else -1.0
        with tape.stop_recording():
            active = back(active, *params)[0]
        tape.watch(active)
        again, log_det = there(active, *params)
        log_det = sign * self._sum(log_det, out)
        pieces = [passive, active]
        join = lambda parts: self._join(*parts)  # noqa: E731
        return pieces, join, self._join(passive, again), log_det

    def _split(self, value):
        if not self._mask.any():  # ones, so that no kernel is without a gradient
            return tf.ones_like(value), value
        if self._split_at is None:
            return value * tf.constant(self._mask, value.dtype), value
        first, passive_first = self._split_at
        # One operation with one concatenation as gradient; two slices would each have
        # a gradient as large as the event.
        head, tail = tf.split(value, [first, value.shape[-1] - first], axis=-1)
        return (head, tail) if passive_first else (tail, head)

    def _join(self, passive, active):
        if self._split_at is None:
            return tf.where(tf.constant(self._mask), passive, active)
        _, passive_first = self._split_at
        return tf.concat([passive, active] if passive_first else [active, passive], -1)

    def _sum(self, log_det, value):
        batch_rank = value.shape.rank - len(self._event_shape)
        if log_det is None:
            return tf.zeros([], value.dtype)
        if self._split_at is None:
            log_det = tf.where(tf.constant(self._mask), tf.zeros_like(log_det), log_det)
        return tf.reduce_sum(log_det, axis=list(range(batch_rank, value.shape.rank)))


def _checked_mask(mask, event_shape, name):
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise ValueError(
            f"{name} needs a boolean mask (True marks passive units), got dtype "
            f"{mask.dtype}. Convert it with mask.astype(bool)."
        )
    try:
        mask = np.array(np.broadcast_to(mask, event_shape))
    except ValueError:
        raise ValueError(
            f"{name} needs a mask that broadcasts to event_shape {event_shape}, got "
            f"shape {mask.shape}."
        ) from None
    if mask.all():
        raise ValueError(
            f"{name} needs at least one active unit, got a mask that is True for all."
        )
    return mask


def _sizes(size, split):
    """Returns how many units of the last axis a network sees, and how many change."""
    if split is None:
        return size, size
    first, passive_first = split
    num_passive = first if passive_first else size - first
    return num_passive, size - num_passive


def _seen_angles(angles, mask, split):
    """Returns which of the units that a network sees are passive angles."""
    if angles is None or not mask.any():
        return ()
    angles = np.broadcast_to(np.asarray(angles, bool), mask.shape) & mask
    return np.flatnonzero(angles if split is None else angles[mask])


def _contiguous_split(mask):
    """Returns (split index, passive first?) of a mask that slices can do, or None."""
    last = mask.reshape(-1, mask.shape[-1])
    changes = np.flatnonzero(last[0, 1:] != last[0, :-1])
    if (last == last[0]).all() and len(changes) == 1:
        return int(changes[0]) + 1, bool(last[0, 0])
    return None
