"""Glow: act norm, invertible 1x1 convolutions and couplings at several scales."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras

from tfp_flows.bijectors import (
    ActNorm,
    AffineCoupling,
    Chain,
    Coupling,
    InvertibleConv1x1,
    Multiscale,
    Repeat,
)
from tfp_flows.distributions import Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._recipe import recipe
from tfp_flows.networks import GlowNet, masks, zero_conv
from tfp_flows.scalar_maps import ScalarMap, scalar_map_of


@recipe(unusable.with_own_network, unusable.without_integers)
def glow(
    event_shape: Sequence[int],
    num_levels: int = 3,
    num_steps: int = 8,
    filters: int = 128,
    *,
    dropout: float = 0.0,
    num_values: int | None = None,
    pad_to: Sequence[int] | None = None,
    dequantization: str = "uniform",
    context_shape: Sequence[int] | None = None,
    coupling: str | ScalarMap = "affine",
    coupling_options: Mapping[str, Any] | None = None,
    linear: str = "lu",
    initial: str = "rotation",
    learned_prior: bool = True,
    histogram: str | None = None,
    alpha: float = 0.05,
    memory: str = "constant",
    seed: int = 0,
    network: Callable[[], keras.Layer] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds Glow for images, signals or volumes [1].

    At each level: a squeeze, `num_steps` times act norm, invertible 1x1 convolution
    and coupling, then half of the channels are factored out under a normal prior whose
    mean and scale are learned from the other half; see `Multiscale` for the place of
    the latent variables.

    Args:
      event_shape: `(H, W, C)`, H and W multiples of 2^num_levels, or padded to such;
        `(T, C)` and `(D, H, W, C)` alike.
      num_levels: number of scales.
      num_steps: steps of each level.
      filters: channels of each coupling's network.
      pad_to: `(height, width)` that images are padded to with zeros, for sizes that the
        levels do not fit; the likelihood stays a bound, see `Padded`. For discrete
        data.
      context_shape: `(K,)` for a conditional flow, such as class labels.
      coupling: "affine", "additive", "mixture" (of logistics, as in Flow++) or "spline"
        (rational-quadratic), or a `ScalarMap`, such as `scalar_maps.Affine(1.0)`.
      coupling_options: arguments of the coupling, such as `{"num_components": 4}`.
      linear: parametrisation of the 1x1 convolutions, see `InvertibleLinear`.
      initial: what they begin with, "rotation", "permutation" or "identity". Rotations
        mix the pixels; where those have sharp edges, as many empty ones do, couplings
        do better on the pixels themselves: a permutation leaves them apart.
      learned_prior: whether means and scales of the latent variables are learned,
        given the deeper levels.
      histogram: "pixel" or "channel" to equalise the histogram of each pixel, or of
        each channel, first, which suits images with many equal pixels; see
        `PixelHistogram`.
      memory: of the backward pass: "constant" recomputes what it needs, so that memory
        does not grow with `num_steps`; "activations" stores it, which saves about
        a quarter of the time. See `Repeat`.
      seed: of the 1x1 convolutions' initial rotations.
      network: builder of a Keras layer for each step, instead of `GlowNet`.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given, or `Padded` with `pad_to`.

    Raises:
      ValueError: for a bad shape, number or name.

    Examples:
      >>> flow = glow((8, 8, 1), num_levels=2, num_steps=1, filters=8, num_values=17)
      >>> flow.sample(2, seed=1).shape
      TensorShape([2, 8, 8, 1])

    References:
      [1] Kingma, Dhariwal. Glow: Generative flow with invertible 1x1 convolutions.
          NeurIPS 2018. arXiv:1807.03039
    """
    frame = Frame.of("glow", locals())
    if num_steps < 1:
        raise ValueError(f"glow needs num_steps >= 1, got {num_steps}.")
    unit_map = scalar_map_of(coupling, coupling_options, frame.name)
    # One name for all: TensorFlow keeps some 30 KiB for each name of a variable.
    network = network or frame.builder(GlowNet, name="glow_net")
    parts = _Parts(frame, num_levels * num_steps, unit_map, network, linear, initial)
    shapes = Multiscale.level_shapes(frame.shape, num_levels)
    levels: list[list] = [
        [Repeat(parts.step(s, seed + i), num_steps, memory, name="glow_steps")]
        for i, s in enumerate(shapes)
    ]
    priors = [parts.prior(shape) for shape in shapes[:-1]] if learned_prior else None
    levels[-1] += [parts.norm(shapes[-1], name="top_prior")] if learned_prior else []
    return frame.flow([Multiscale(levels, frame.shape, priors=priors)])


class _Parts(NamedTuple):
    """What the steps of all levels are made of.

    Attributes:
      frame: of the recipe.
      depth: steps that an event passes through.
      unit_map: of the couplings.
      network: builder of the couplings' networks.
      linear: parametrisation of the 1x1 convolutions.
      initial: what those begin with.
    """

    frame: Frame
    depth: int
    unit_map: ScalarMap
    network: Callable[[], keras.Layer]
    linear: str
    initial: str

    @property
    def _couple(self) -> dict[str, Any]:
        dtype = self.frame.data.dtype
        return {"head": zero_conv(dtype, depth=self.depth), "dtype": dtype}

    def norm(self, shape, **name):
        return ActNorm(shape, depth=self.depth, dtype=self.frame.data.dtype, **name)

    def step(self, shape, first_seed):
        """Returns a builder of act norm, 1x1 convolution and coupling, step i."""
        context_shape, mask = self.frame.data.context_shape, masks.half(shape)

        def build(i):
            linear = InvertibleConv1x1(
                shape,
                self.linear,
                self.initial,
                seed=first_seed + 1000 * i,
                depth=self.depth,
                dtype=self.frame.data.dtype,
            )
            coupling = Coupling(
                shape,
                self.network(),
                mask,
                self.unit_map,
                context_shape=context_shape,
                **self._couple,
            )
            return Chain([self.norm(shape), linear, coupling], name="glow_step")

        return build

    def prior(self, shape):
        """Shifts and scales the finished half given the other one."""
        # No hidden layer: the head sees the other half itself.
        network = keras.layers.Identity(dtype=self.frame.data.dtype)
        mask = masks.half(shape, flip=True)
        return AffineCoupling(shape, network, mask, **self._couple, name="prior")
