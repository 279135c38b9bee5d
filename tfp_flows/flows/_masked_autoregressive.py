"""Flows of masked autoregressive steps, whatever the map and the direction."""

import functools
from collections.abc import Callable

import tensorflow_probability as tfp

from tfp_flows.bijectors import ActNorm, BatchNorm, Inverse, MaskedAutoregressive
from tfp_flows.distributions import Model
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._unusable import chosen
from tfp_flows.networks import MADE
from tfp_flows.networks.autoregressive_network import AutoregressiveNetwork
from tfp_flows.scalar_maps import ByUnit, CircularSpline, ScalarMap

tfd = tfp.distributions

_NORMS = {"act_norm": ActNorm, "batch_norm": BatchNorm}
_ORDERS = {
    "natural": ("natural",),
    "alternating": ("natural", "reversed"),
    "random": ("random",),
}


def masked_autoregressive_flow(
    frame: Frame,
    scalar_map: ScalarMap,
    num_steps: int,
    *,
    inverse: bool = False,
    normalization: str | None = "act_norm",
    order: str = "alternating",
    block_size: int = 1,
    seed: int = 0,
    network: Callable[..., AutoregressiveNetwork] | None = None,
    base: tfd.Distribution | None = None,
    circular_map: ScalarMap | None = None,
) -> Model:
    """Builds a flow of masked autoregressive steps, each with a network.

    The steps take the units in the orders of `order` in turn. A normalisation follows
    every step.

    Args:
      frame: of the recipe.
      scalar_map: what is done to each unit.
      num_steps: number of networks.
      inverse: whether to invert the steps, for an inverse autoregressive flow.
      normalization: "act_norm", "batch_norm" or None.
      order: "alternating", "random" or "natural".
      block_size: units that `MADE` transforms at once.
      seed: of random orders.
      network: builder of each step's network from event_shape and num_params, and the
        num_features 2 if there are angles, with an order of its own; None for `MADE`.
      base: of the latent events; a standard normal if None.
      circular_map: what is done to angles; a `CircularSpline` if None.

    Raises:
      ValueError: if there are no steps, or an option is not one of those named.
    """
    if num_steps < 1:
        raise ValueError(f"{frame.name} needs num_steps >= 1, got {num_steps}.")
    norm = _normalization(normalization, frame, num_steps)
    orders = chosen(_ORDERS, order, "order", frame.name)
    shape, dtype = frame.shape, frame.data.dtype
    made = frame.builder(MADE, block_size=block_size, depth=num_steps, name="made")
    circles = frame.circles
    scalar_map = ByUnit.where(circles, circular_map or CircularSpline(), scalar_map)
    # Of angles cosine and sine are shown.
    size = (shape, scalar_map.num_params, *([2] if circles.any() else []))
    angles = circles if circles.any() else None
    steps: list = []
    for i in range(num_steps):
        given = {"order": orders[i % len(orders)], "seed": seed + i}
        part = MaskedAutoregressive(
            network(*size) if network else made(*size, **given),
            scalar_map,
            context_shape=frame.data.context_shape,
            angles=angles,
            dtype=dtype,
            name=f"autoregressive_{i}",
        )
        steps += [Inverse(part, name=f"inverse_{i}") if inverse else part, *norm(i)]
    return frame.flow(steps, base)


def _normalization(choice, frame, depth):
    """Returns a builder of what follows a step: a list of one bijector, or of none."""
    if choice is None:
        return lambda i: []
    kind = chosen(_NORMS, choice, "normalization", frame.name)
    options = {"depth": depth, "dtype": frame.data.dtype}
    return lambda i: frame.on_line(
        functools.partial(kind, **options, name=f"{choice}_{i}")
    )
