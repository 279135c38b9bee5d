"""Squeezing and factoring-out: the multi-scale architecture."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.running.reversible_chain import chain_of
from tfp_flows.bijectors.squeeze import Squeeze
from tfp_flows.networks.grids import squeezed_shape

tfb = tfp.bijectors


class Multiscale(KerasBijector):
    """Levels of squeeze and steps, each leaving half of its channels behind [1].

    inverse, at each level: the fine steps, squeeze, the level's steps, then the first
    half of the channels is finished and the second half goes on to the next level;
    after the last level all parts return to their places: each finished half is put
    beside what came back from the deeper levels, and the squeeze is undone.

    So the latent event has the shape of the data, and a latent variable lies at the
    pixels it describes: at level k, in blocks of 2^k x 2^k pixels. Signals `(T, C)` and
    volumes `(D, H, W, C)` alike. log_det: the sum
    over all steps.

    Shapes: x, y `[*batch, *positions, C]` -> log_det `[*batch]`.

    Args:
      levels: for each level its steps, the data side first, on the squeezed events of
        that level (`Multiscale.level_shapes` tells their shapes).
      event_shape: `(*positions, channels)`, such as `(height, width, channels)`.
      fine: for each level the steps before its squeeze, where checkerboard couplings
        belong; none if None.
      priors: for each level but the last a bijector on that level's events that gives
        the finished half given the other one, such as an `AffineCoupling` with the
        mask `masks.half(shape, flip=True)`, so that the base stays a standard normal;
        none if None.
      memory: of each level's backward pass, see `chain_of`.
      name: of the bijector.

    Raises:
      ValueError: if there is no level, sides are not multiples of 2^levels, or there
        are not as many priors as levels but one.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm
      >>> shapes = Multiscale.level_shapes((4, 4, 1), 2)
      >>> shapes
      [(2, 2, 4), (1, 1, 8)]
      >>> flow = Multiscale([[ActNorm(s)] for s in shapes], (4, 4, 1))
      >>> flow.inverse(tf.zeros([5, 4, 4, 1])).shape
      TensorShape([5, 4, 4, 1])

    References:
      [1] Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017.
          arXiv:1605.08803
    """

    def __init__(
        self,
        levels: Sequence[Sequence[tfb.Bijector]],
        event_shape: Sequence[int],
        fine: Sequence[Sequence[tfb.Bijector]] | None = None,
        priors: Sequence[tfb.Bijector] | None = None,
        memory: str = "activations",
        name: str = "multiscale",
    ):
        parameters = dict(locals())
        if priors is not None:
            pairs = zip(levels, [[prior] for prior in priors] + [[]], strict=True)
            levels = [[*steps, *prior] for steps, prior in pairs]
        shapes = self.level_shapes(event_shape, len(levels))
        before = [tuple(event_shape), *(_kept(shape) for shape in shapes[:-1])]
        dtype = next(b.dtype for b in levels[0])
        chains = [
            chain_of(
                [*fine_steps, Squeeze(shape, dtype=dtype), *steps],
                memory,
                name=f"level_{i}",
            )
            for i, (fine_steps, shape, steps) in enumerate(
                zip(fine or [()] * len(levels), before, levels, strict=True)
            )
        ]
        context_shapes = {c.context_shape for c in chains} - {None}
        super().__init__(
            event_shape,
            context_shape=next(iter(context_shapes), None),
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=all(c.is_constant_jacobian for c in chains),
        )
        self._squeezes = [Squeeze(shape, dtype=dtype) for shape in before]
        self._chains = chains

    @staticmethod
    def level_shapes(
        event_shape: Sequence[int], num_levels: int
    ) -> list[tuple[int, ...]]:
        """Returns the squeezed event shape of each level.

        Args:
          event_shape: `(*positions, channels)` of the data.
          num_levels: number of levels.

        Returns:
          `num_levels` shapes, the finest level first.

        Raises:
          ValueError: if the sides are not multiples of 2^num_levels.
        """
        shape = tuple(int(n) for n in event_shape)
        if num_levels < 1 or len(shape) < 2:
            raise ValueError(
                f"Levels need events (*positions, channels), such as (height, width, "
                f"channels), and a number of them >= 1, got {shape} and {num_levels}."
            )
        if any(side % 2**num_levels for side in shape[:-1]):
            raise ValueError(_misfit(shape, num_levels))
        shapes = []
        for _ in range(num_levels):
            shapes.append(squeezed_shape(shape))
            shape = _kept(shapes[-1])
        return shapes

    @property
    def parts(self) -> tuple[KerasBijector, ...]:
        """The steps of each level, the finest first."""
        return tuple(self._chains)

    @property
    def is_adapted(self) -> bool:
        """Whether every step of every level is."""
        return all(chain.is_adapted for chain in self._chains)

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Adapts the steps in order, from the data side and the finest level on.

        Args:
          y: `[N, *event_shape]`.
          context: `[N, *context_shape]` for conditional steps.
        """
        for chain in self._chains:
            chain.adapt(y, context)
            y, _ = chain.inverse_and_log_det(y, context)
            y = y[..., y.shape[-1] // 2 :]

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        finished, total = [], 0.0
        for chain in self._chains:
            y, log_det = chain.inverse_and_log_det(y, context)
            total += log_det
            half, y = tf.split(y, 2, axis=-1)
            finished.append(half)
        for squeeze, half in zip(self._squeezes[::-1], finished[::-1], strict=True):
            y, _ = squeeze.forward_and_log_det(tf.concat([half, y], axis=-1))
        return y, total

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        finished, total = [], 0.0
        for squeeze in self._squeezes:
            x, _ = squeeze.inverse_and_log_det(x)
            half, x = tf.split(x, 2, axis=-1)
            finished.append(half)
        for chain, half in zip(self._chains[::-1], finished[::-1], strict=True):
            x = tf.concat([half, x], axis=-1)
            x, log_det = chain.forward_and_log_det(x, context)
            total += log_det
        return x, total


def _misfit(shape, num_levels):
    """Says which sizes and which numbers of levels fit."""
    block = 2**num_levels
    padded = tuple(-(-side // block) * block for side in shape[:-1])
    fitting = math.gcd(*shape[:-1], 2**30).bit_length() - 1
    fewer = f"choose {fitting} levels or fewer" if fitting else "crop them"
    return (
        f"{num_levels} levels need events (*positions, channels) whose sides are "
        f"multiples of {block}, got {shape}. Pad integer events to {padded}, which "
        f"recipes do with pad_to={padded}, or {fewer}."
    )


def _kept(squeezed):
    """Shape of the half that goes on to the next level; 2^n C is always even."""
    return (*squeezed[:-1], squeezed[-1] // 2)
