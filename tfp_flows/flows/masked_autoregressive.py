"""Flows of masked autoregressive steps, whatever the map and the direction."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfp_flows.bijectors import (
    ActNorm,
    BatchNorm,
    Chain,
    Inverse,
    MaskedAutoregressive,
    ScalarMap,
)
from tfp_flows.distributions import Flow, GaussianMixture, Model
from tfp_flows.flows.choices import scalar_map_of
from tfp_flows.flows.parts import (
    checked_shape,
    context_map,
    data_map,
    finished,
    network_policy,
)
from tfp_flows.networks import MADE
from tfp_flows.networks.autoregressive import AutoregressiveNetwork

_NORMS = {"act_norm": ActNorm, "batch_norm": BatchNorm}
_ORDERS = {
    "natural": ("natural",),
    "alternating": ("natural", "reversed"),
    "random": ("random",),
}


def masked_autoregressive_flow(
    name: str,
    event_shape: Sequence[int],
    num_steps: int,
    *,
    inverse: bool = False,
    scalar_map: str | ScalarMap,
    scalar_map_options: Mapping[str, Any] | None,
    normalization: str | None,
    order: str,
    context_shape: Sequence[int] | None,
    num_values: int | None,
    dequantization: str,
    alpha: float,
    seed: int,
    dtype: Any,
    network_dtype: str | None,
    num_components: int | None = None,
    network: Callable[..., AutoregressiveNetwork] | None = None,
    **network_options,
) -> Model:
    """Builds a flow of masked autoregressive steps with MADE networks.

    The steps take the units in the orders of `order` in turn. A normalisation follows
    every step.

    Args:
      name: of the recipe.
      event_shape: shape of one event; images are taken pixel by pixel.
      num_steps: number of networks.
      inverse: whether to invert the steps, for an inverse autoregressive flow.
      scalar_map: a name or the map itself, see `scalar_map_of`.
      scalar_map_options: arguments of the map: of `Affine`, `RationalQuadratic`,
        `MixtureLogistic`.
      normalization: "act_norm", "batch_norm" or None.
      order: "alternating", "random" or "natural".
      context_shape: `(C,)` for a conditional flow.
      num_values: number of integer values for discrete data; None for continuous.
      dequantization: "uniform" or "variational", see `parts.finished`.
      alpha: margin of the pixels' logit, see `PixelLogit`.
      seed: of random orders and of a mixture's first means.
      dtype: of the events and weights.
      network_dtype: Keras dtype policy of the networks, see `parts.network_policy`.
      num_components: of a mixture of Gaussians as base; a standard normal if None.
      network: builder of each step's network from event_shape and num_params, with an
        order of its own; None for `MADE`.
      **network_options: of `MADE`.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given.

    Raises:
      ValueError: if there are no steps, or an option is not one of those named.
    """
    shape = checked_shape(event_shape, name)
    if num_steps < 1:
        raise ValueError(f"{name} needs num_steps >= 1, got {num_steps}.")
    unit_map = scalar_map_of(scalar_map, scalar_map_options, name)
    norm = _normalization(normalization, shape, num_steps, dtype, name)
    orders = _chosen(_ORDERS, order, "order", name)
    policy = network_policy(dtype, network_dtype)
    made = functools.partial(
        MADE, dtype=policy, depth=num_steps, name="made", **network_options
    )
    step = functools.partial(
        MaskedAutoregressive,
        scalar_map=unit_map,
        context_shape=context_shape,
        dtype=dtype,
    )
    body = []
    for i in range(num_steps):
        given = {"order": orders[i % len(orders)], "seed": seed + i}
        build = network or functools.partial(made, **given)
        one = build(shape, unit_map.num_params)
        part = step(one, name=f"autoregressive_{i}")
        body += [Inverse(part, name=f"inverse_{i}") if inverse else part, *norm(i)]
    body = [*data_map(shape, num_values, alpha, dtype), *body]
    contexts = context_map(context_shape, dtype)
    chain = Chain(body, context_bijector=contexts, name=name)
    base = None
    if num_components is not None:
        base = GaussianMixture(shape, num_components, seed=seed, dtype=dtype)
    flow = Flow(chain, base)
    return finished(flow, num_values, dequantization, network_dtype)


def _normalization(choice, shape, depth, dtype, name):
    """Returns a builder of what follows a step: a list of one bijector, or of none."""
    if choice is None:
        return lambda i: []
    kind = _chosen(_NORMS, choice, "normalization", name)
    return lambda i: [kind(shape, depth=depth, dtype=dtype, name=f"{choice}_{i}")]


def _chosen(table, choice, option, name):
    if choice not in table:
        raise ValueError(
            f"{name} has no {option} {choice!r}. Choose from {', '.join(table)}."
        )
    return table[choice]
