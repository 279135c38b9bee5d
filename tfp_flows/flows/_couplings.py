"""Flows of coupling layers, whatever the coupling and the shape of events."""

import functools
import math
from collections.abc import Callable

import keras

from tfp_flows.bijectors import ActNorm, Coupling, Multiscale
from tfp_flows.distributions import Model
from tfp_flows.flows._frame import Frame
from tfp_flows.networks import MLP, ConvResNet, ZeroDense, masks
from tfp_flows.scalar_maps import ByUnit, CircularSpline, ScalarMap


def coupling_flow(
    frame: Frame,
    scalar_map: ScalarMap,
    num_steps: int,
    *,
    num_levels: int | None,
    act_norm: bool,
    memory: str,
    network: Callable[[], keras.Layer] | None,
    circular_map: ScalarMap | None = None,
    steps_each: float = 1.0,
) -> Model:
    """Builds a flow of couplings on the two halves in turn.

    Vectors `(D,)`: `num_steps` couplings; of one unit, learned maps of it. Signals,
    images and volumes `(*positions, C)`: at each level half of `num_steps` couplings
    with checkerboard masks, a squeeze, the other half with channel masks, then half of
    the variables are factored out; see `Multiscale`.

    Args:
      frame: of the recipe.
      scalar_map: what the couplings do to each unit.
      num_steps: couplings, of each level for events with positions.
      num_levels: of those; up to two, as many as the sides allow, if None.
      act_norm: adds an act norm after every coupling.
      memory: of the backward pass, see `chain_of`.
      network: builder of a Keras layer for each step, or None for the default.
      circular_map: what the couplings do to angles; a `CircularSpline` if None.
      steps_each: what a coupling of vectors counts as in the depth of heads, see
        `gains`.

    Raises:
      ValueError: if the event has more than three axes of positions, or there are no
        steps.
    """
    shape, dtype = frame.shape, frame.data.dtype
    if len(shape) > 4 or num_steps < 1:
        raise ValueError(
            f"{frame.name} needs event_shape (D,), (T, C), (H, W, C) or (D, H, W, C) "
            f"and num_steps >= 1, got {shape} and {num_steps}. Flatten other events."
        )
    if len(shape) > 1 and num_levels is None:
        num_levels = _fitting_levels(shape)
    depth = num_steps * max(1, num_levels or 1)
    of_heads = math.ceil(depth * steps_each) if len(shape) == 1 else depth
    couple = functools.partial(
        _coupling,
        frame=frame,
        maps=(circular_map or CircularSpline(), scalar_map),
        context_shape=frame.data.context_shape,
        head=functools.partial(ZeroDense, depth=of_heads, dtype=dtype),
        dtype=dtype,
    )
    norm = functools.partial(_act_norm, frame, depth) if act_norm else None
    network = network or frame.builder(MLP if len(shape) == 1 else ConvResNet)
    steps = functools.partial(_steps, couple=couple, network=network, norm=norm)
    if len(shape) == 1:
        mask = masks.half if shape[0] > 1 else masks.nothing
        return frame.flow(steps(shape, num_steps, mask), memory=memory)
    if num_levels == 0:  # checkerboards alone
        return frame.flow(steps(shape, num_steps, masks.checkerboard), memory=memory)
    # A multi-scale body looks after its memory itself.
    return frame.flow([_multiscale(shape, num_steps, num_levels, steps, memory)])


def _coupling(shape, network, pattern, *, frame, maps, **options):
    """A coupling whose active angles have the first map, other units the second."""
    circles, (circular, scalar_map) = frame.circles, maps
    if not circles.any():
        return Coupling(shape, network, pattern, scalar_map, **options)
    scalar_map = ByUnit.where(circles[~pattern], circular, scalar_map)
    return Coupling(shape, network, pattern, scalar_map, angles=circles, **options)


def _act_norm(frame, depth, shape, name):
    """An act norm of all that are no angles, in a list; an empty list without any."""
    kind = functools.partial(ActNorm, depth=depth, dtype=frame.data.dtype, name=name)
    return frame.on_line(kind) if frame.circles.any() else [kind(shape)]


def _steps(shape, count, mask, *, couple, network, norm):
    """Couplings with the mask and its opposite in turn, and act norms."""
    parts = []
    for i in range(count):
        pattern, name = mask(shape, flip=bool(i % 2)), f"{mask.__name__}_coupling_{i}"
        parts.append(couple(shape, network(), pattern, name=name))
        if norm is not None:
            parts += norm(shape, name=f"act_norm_{i}")
    return parts


def _fitting_levels(shape):
    """Up to two, as many as the sides allow."""
    return max(n for n in (0, 1, 2) if all(side % 2**n == 0 for side in shape[:-1]))


def _multiscale(shape, num_steps, num_levels, steps, memory):
    """Checkerboards before each squeeze, halves of the channels after it."""
    coarse = Multiscale.level_shapes(shape, num_levels)
    before = [shape, *((*sides, c // 2) for *sides, c in coarse[:-1])]
    fine = [steps(s, num_steps - num_steps // 2, masks.checkerboard) for s in before]
    levels = [steps(s, max(1, num_steps // 2), masks.half) for s in coarse]
    return Multiscale(levels, shape, fine, memory=memory)
