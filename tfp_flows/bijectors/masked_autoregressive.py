"""Masked autoregressive flows: each unit is transformed given those before it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.conditioner import one_batch_axis
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.shapes import broadcast_batch
from tfp_flows.networks.autoregressive_network import (
    AutoregressiveNetwork,
    as_many,
    generate,
    never_empty,
)
from tfp_flows.scalar_maps.by_unit import ByUnit
from tfp_flows.scalar_maps.scalar_map import ScalarMap


class MaskedAutoregressive(KerasBijector):
    """Transforms each unit given the units before it (Papamakarios et al., 2017) [1].

    inverse:  x[i] = f^-1(y[i]; params_i(y[before i])), all units in one network call
    forward:  y[i] = f(x[i]; params_i(y[before i])), position after position
    log_det:  sum over all units of log|df/dx|, in nats

    Density and training take one call of the network. Sampling goes through its
    `step`, in one `tf.while_loop`: the arithmetic of about one call, where running
    the network again for each position would take as many calls as there are.
    `Inverse` (or `tfb.Invert`) of it is the inverse autoregressive flow: sampling in
    one call, density of foreign events by steps. Both directions are differentiable;
    through the steps a gradient keeps the record of every step in memory.

    Of units that are angles the network sees cosine and sine, so that nothing jumps
    where a circle closes, and of others the value and 0.

    With a network in reduced precision, samples are as exact as its rounding, since
    `step` and `call` may round differently.

    Shapes: x, y `[*batch, *event_shape]`, context `[*batch', *context_shape]` ->
    log_det `[*batch]`.

    Args:
      network: autoregressive, with `num_params` of the scalar map, and `num_features`
        of 1, or 2 if there are angles; built here if it is not yet. The identity at
        initialisation, since its last layer is zero.
      scalar_map: f, what happens to each unit. A `ByUnit` chooses among the units of
        the last axis.
      context_shape: shape of one context, or None.
      angles: which units are angles, a bool array that broadcasts to the event shape,
        or None for none.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: if the network is not autoregressive, or its params are not those of
        the map.

    Examples:
      >>> from tfp_flows.scalar_maps import Affine
      >>> from tfp_flows.networks import MADE
      >>> maf = MaskedAutoregressive(MADE((5,), 2, hidden_units=(16,)), Affine())
      >>> maf.inverse(maf.forward(tf.ones([3, 5]))).shape
      TensorShape([3, 5])

    References:
      [1] Papamakarios, Pavlakou, Murray. Masked autoregressive flow for density
          estimation. NeurIPS 2017. arXiv:1705.07057
    """

    def __init__(
        self,
        network: AutoregressiveNetwork,
        scalar_map: ScalarMap,
        *,
        context_shape: Sequence[int] | None = None,
        angles: np.ndarray | None = None,
        dtype: Any = tf.float32,
        name: str = "masked_autoregressive",
    ):
        parameters = dict(locals())
        _check(network, scalar_map, 1 if angles is None else 2, name)
        if not network.built:
            contexts = [] if context_shape is None else [(None, *context_shape)]
            network.build((None, *network.features_shape), *contexts)
        super().__init__(
            network.event_shape,
            context_shape=context_shape,
            layers={"network": network},
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=scalar_map.keeps_volume,
        )
        self._scalar_map = scalar_map
        if angles is not None:
            angles = np.broadcast_to(np.asarray(angles, bool), network.event_shape)
        self._angles = self._no_dependency(angles)

    @property
    def order(self) -> np.ndarray:
        """The network's."""
        return self._layers["network"].order

    def keeps_order(self, order: np.ndarray) -> bool:
        """Returns whether it is the network's own."""
        return np.array_equal(order, self.order)

    @property
    def is_adapted(self) -> bool:
        """Whether the network is, if it has data-dependent weights."""
        return getattr(self._layers["network"], "is_adapted", True)

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Lets the network set its data-dependent weights, if it has any.

        A trained one stays: from other centres its weights would say something else.

        Args:
          y: `[N, *event_shape]`.
          context: `[N, *context_shape]` for a conditional bijector.
        """
        network = self._layers["network"]
        if hasattr(network, "adapt") and not getattr(network, "is_trained", False):
            shown = self._shown(tf.convert_to_tensor(y), self._angles)
            network.adapt(shown, self._own(context))

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        rows, context = self._rows(y, context)
        shown = self._shown(rows, self._angles)
        params = self._layers["network"].separate(shown, context)
        params = [tf.cast(p, self.dtype) for p in params]
        x, log_slope = self._scalar_map.inverse(rows, *params)
        log_slope = tf.zeros_like(x) if log_slope is None else log_slope
        return self._like(y, x, log_slope, -1.0)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        events, context = self._rows(x, context)
        rows, context = never_empty(events), never_empty(context)
        network = self._layers["network"]
        blocks = network.to_blocks(rows)

        def draw(params, i):
            params = tf.unstack(tf.cast(params, self.dtype), axis=-1)
            scalar_map, angles = self._of_block(i)
            y, log_slope = scalar_map.forward(blocks[i], *params)
            log_slope = tf.zeros_like(y) if log_slope is None else log_slope
            shown = self._shown(y, angles)
            return tf.cast(shown, network.compute_dtype), [y, log_slope]

        batch = rows.shape[0] if rows.shape[0] is not None else tf.shape(rows)[0]
        found = generate(network, batch, draw, [self.dtype, self.dtype], context)
        y, log_slope = (as_many(part, events) for part in found)
        return self._like(x, y, log_slope, 1.0)

    def _shown(self, y, angles):
        """What the network sees of units, those of one side by side."""
        if self._angles is None:
            return y
        zero = tf.zeros_like(y)
        cosine = tf.where(angles, tf.cos(tf.where(angles, y, zero)), y)
        sine = tf.where(angles, tf.sin(tf.where(angles, y, zero)), zero)
        shape = tf.concat([tf.shape(y)[:-1], [2 * y.shape[-1]]], axis=0)
        return tf.reshape(tf.stack([cosine, sine], axis=-1), shape)

    def _of_block(self, i):
        """Returns the map of the units of a position, and which of them are angles."""
        if self._angles is None:
            return self._scalar_map, None
        units = self._angles.ravel()[self._layers["network"].order]
        angles = tf.gather(tf.constant(units), i)
        if isinstance(self._scalar_map, ByUnit):
            return self._scalar_map.at(angles), angles
        return self._scalar_map, angles

    def _rows(self, value, context):
        """Returns events and contexts with one batch axis, as networks want them."""
        ndims, context = len(self._event_shape), self._own(context)
        if context is not None:
            context_ndims = len(self._context_shape)
            context = broadcast_batch(context, context_ndims, value, ndims)
            context = one_batch_axis(context, context_ndims)
        return one_batch_axis(value, ndims), context

    def _like(self, value, rows, log_slope, sign):
        """Gives events and log-dets the batch dimensions of the value."""
        log_det = sign * tf.reduce_sum(log_slope, list(range(1, rows.shape.rank)))
        if value.shape.rank == rows.shape.rank:
            return rows, log_det
        batch = tf.shape(value)[: value.shape.rank - len(self._event_shape)]
        return tf.reshape(rows, tf.shape(value)), tf.reshape(log_det, batch)


def _check(network, scalar_map, num_features, name):
    if not isinstance(network, AutoregressiveNetwork):
        raise ValueError(
            f"{name} needs an AutoregressiveNetwork such as MADE, got "
            f"{type(network).__name__}. Other networks can go into a Coupling."
        )
    wanted = scalar_map.num_params, num_features
    if (network.num_params, network.num_features) != wanted:
        raise ValueError(
            f"{name} needs a network with num_params={scalar_map.num_params}, as its "
            f"{type(scalar_map).__name__} wants, and num_features={num_features}"
            f"{', cosine and sine of angles' * (num_features - 1)}, got "
            f"{network.num_params} and {network.num_features}."
        )
