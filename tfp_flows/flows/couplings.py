"""Flows of coupling layers, whatever the coupling: for vectors and for images."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfp_flows.bijectors import ActNorm, KerasBijector, Multiscale, chain_of
from tfp_flows.distributions import Flow, Model
from tfp_flows.flows.parts import (
    checked_shape,
    context_map,
    data_map,
    finished,
    network_policy,
    padded_shape,
)
from tfp_flows.networks import MLP, ConvResNet, ZeroDense, masks


def coupling_flow(
    name: str,
    event_shape: Sequence[int],
    num_steps: int,
    coupling: Callable[..., KerasBijector],
    *,
    context_shape: Sequence[int] | None,
    num_values: int | None,
    num_levels: int | None,
    act_norm: bool,
    alpha: float,
    network: Callable[[], keras.Layer] | None,
    dtype: Any,
    memory: str = "activations",
    dequantization: str = "uniform",
    pad_to: Sequence[int] | None = None,
    **network_options,
) -> Model:
    """Builds a flow of couplings on the two halves in turn.

    Vectors `(D,)`: `num_steps` couplings. Images `(H, W, C)`: at each level half of
    `num_steps` couplings with checkerboard masks, a squeeze, the other half with
    channel masks, then half of the variables are factored out; see `Multiscale`.

    Args:
      name: of the recipe.
      event_shape: `(D,)` or `(H, W, C)`.
      num_steps: couplings, of each level for images.
      coupling: builds one from event_shape, network, mask, context_shape, head, dtype
        and name.
      context_shape: shape of one context, or None.
      num_values: number of integer values for discrete data; None for continuous.
      num_levels: of an image flow; up to two, as many as the sides allow, if None.
      act_norm: adds an act norm after every coupling.
      alpha: margin of the pixels' logit, see `PixelLogit`.
      network: builder of a Keras layer for each step, or None for the default.
      dtype: of the events and weights.
      memory: of the backward pass, see `chain_of`.
      dequantization: "uniform" or "variational", see `parts.finished`.
      pad_to: `(height, width)` of padded images, see `Padded`.
      **network_options: of the default networks, see `_default_network`.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given, or `Padded` with `pad_to`.

    Raises:
      ValueError: if the event is neither a vector nor an image, or there are no steps.
    """
    given = checked_shape(event_shape, name)
    shape = padded_shape(given, pad_to, num_values, name)
    if len(shape) not in (1, 3) or num_steps < 1:
        raise ValueError(
            f"{name} needs event_shape (D,) or (H, W, C) and num_steps >= 1, got "
            f"{shape} and {num_steps}. Flatten other events."
        )
    if len(shape) == 3 and num_levels is None:
        num_levels = _image_levels(shape)
    depth = num_steps * max(1, num_levels or 1)
    steps = functools.partial(
        _steps,
        coupling=functools.partial(coupling, context_shape=context_shape),
        head=functools.partial(ZeroDense, depth=depth, dtype=dtype),
        network=network or _default_network(shape, dtype, **network_options),
        norm=functools.partial(ActNorm, depth=depth, dtype=dtype) if act_norm else None,
        dtype=dtype,
    )
    if len(shape) == 1:
        body = steps(shape, num_steps, masks.half)
    else:
        body = _image_steps(shape, num_steps, num_levels, steps, memory)
    data = data_map(shape, num_values, alpha, dtype)
    # A multi-scale body looks after its memory itself.
    outer = "activations" if isinstance(body[-1], Multiscale) else memory
    contexts = context_map(context_shape, dtype)
    chain = chain_of([*data, *body], outer, context_bijector=contexts, name=name)
    policy = network_options["network_dtype"]
    return finished(Flow(chain), num_values, dequantization, policy, given)


def _default_network(
    shape,
    dtype,
    *,
    hidden_units,
    filters,
    num_blocks,
    activation,
    residual,
    dropout,
    network_dtype,
):
    policy = network_policy(dtype, network_dtype)
    if len(shape) == 1:
        return functools.partial(
            MLP, hidden_units, activation, residual, dropout, dtype=policy
        )
    return functools.partial(
        ConvResNet, filters, num_blocks, activation, dropout, dtype=policy
    )


def _steps(shape, count, mask, *, coupling, network, head, norm, dtype):
    """Couplings with the mask and its opposite in turn, and act norms."""
    parts = []
    for i in range(count):
        name = f"{mask.__name__}_coupling_{i}"
        pattern = mask(shape, flip=bool(i % 2))
        parts.append(
            coupling(shape, network(), pattern, head=head, dtype=dtype, name=name)
        )
        if norm is not None:
            parts.append(norm(shape, name=f"act_norm_{i}"))
    return parts


def _image_levels(shape):
    """Up to two, as many as the sides allow."""
    return max(n for n in (0, 1, 2) if all(side % 2**n == 0 for side in shape[:2]))


def _image_steps(shape, num_steps, num_levels, steps, memory):
    """The multi-scale architecture; checkerboards alone when no level fits."""
    if num_levels == 0:
        return steps(shape, num_steps, masks.checkerboard)
    coarse = Multiscale.level_shapes(shape, num_levels)
    before = [shape, *((h, w, c // 2) for h, w, c in coarse[:-1])]
    fine = [steps(s, num_steps - num_steps // 2, masks.checkerboard) for s in before]
    levels = [steps(s, max(1, num_steps // 2), masks.half) for s in coarse]
    return [Multiscale(levels, shape, fine, memory=memory)]
