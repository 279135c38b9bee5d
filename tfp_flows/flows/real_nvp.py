"""RealNVP: affine couplings, for vectors and for images."""

import functools
from collections.abc import Callable, Sequence

import keras
import tensorflow_probability as tfp

from tfp_flows.bijectors import ActNorm, AffineCoupling, Chain, Multiscale
from tfp_flows.distributions import Flow
from tfp_flows.flows.parts import (
    checked_shape,
    finished,
    network_policy,
    pixel_map,
)
from tfp_flows.flows.recipe import recipe
from tfp_flows.networks import MLP, ConvResNet, masks

tfd = tfp.distributions


@recipe
def real_nvp(
    event_shape: Sequence[int],
    num_steps: int = 8,
    hidden_units: Sequence[int] = (256, 256),
    *,
    num_values: int | None = None,
    context_shape: Sequence[int] | None = None,
    num_levels: int | None = None,
    filters: int = 64,
    num_blocks: int = 2,
    activation: str = "relu",
    residual: bool = False,
    dropout: float = 0.0,
    act_norm: bool = True,
    scale_bound: float = 2.0,
    alpha: float = 0.05,
    network: Callable[[], keras.Layer] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
) -> tfd.Distribution:
    """Builds RealNVP for vectors or images [1].

    Vectors `(D,)`: `num_steps` affine couplings on the two halves in turn, each with
    an MLP, each followed by an act norm. Images `(H, W, C)`: at each level half of
    `num_steps` couplings with checkerboard masks, a squeeze, the other half with
    channel masks, each with a convolutional residual network, then half of the
    variables are factored out; see `Multiscale` for the place of the latent variables.

    Args:
      event_shape: `(D,)` or `(H, W, C)`.
      num_steps: couplings of a vector flow, or of each level of an image flow.
      hidden_units: widths of each coupling's network, vectors only.
      num_values: number of integer values for discrete data; None for continuous.
      context_shape: `(C,)` for a conditional flow.
      num_levels: of an image flow; up to two, as many as the sides allow, if None.
      filters: channels of each coupling's network, images only.
      num_blocks: residual blocks of each coupling's network, images only.
      activation: of the networks.
      residual: skip connections in the MLPs.
      dropout: rate in the networks, in training mode only.
      act_norm: adds an act norm after every coupling.
      scale_bound: of the couplings, see `AffineCoupling`.
      alpha: margin of the pixels' logit, see `PixelLogit`.
      network: builder of a Keras layer for each step, instead of the default.
      dtype: of the events and weights.
      network_dtype: Keras dtype policy of the networks, see `parts.network_policy`.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given.

    Raises:
      ValueError: for a bad shape or number.

    Example:
      >>> flow = real_nvp((4,), num_steps=2, hidden_units=(8,))
      >>> flow.log_prob(flow.sample(5, seed=1)).shape
      TensorShape([5])

    References:
      [1] Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017.
          arXiv:1605.08803
    """
    shape = checked_shape(event_shape, "real_nvp")
    if len(shape) not in (1, 3) or num_steps < 1:
        raise ValueError(
            f"real_nvp needs event_shape (D,) or (H, W, C) and num_steps >= 1, got "
            f"{shape} and {num_steps}. Flatten other events."
        )
    if network is None:
        policy = network_policy(dtype, network_dtype)
        if len(shape) == 1:
            network = functools.partial(
                MLP, hidden_units, activation, residual, dropout, dtype=policy
            )
        else:
            network = functools.partial(
                ConvResNet, filters, num_blocks, activation, dropout, dtype=policy
            )
    steps = functools.partial(
        _steps,
        network=network,
        act_norm=act_norm,
        scale_bound=scale_bound,
        context_shape=context_shape,
        dtype=dtype,
    )
    if len(shape) == 1:
        body = steps(shape, num_steps, masks.half)
    else:
        body = _image_steps(shape, num_steps, num_levels, steps)
    chain = Chain([*pixel_map(shape, num_values, alpha, dtype), *body], name="real_nvp")
    return finished(Flow(chain, name="real_nvp"), num_values)


def _steps(shape, count, mask, *, network, act_norm, dtype, **options):
    """Couplings with the mask and its opposite in turn, and act norms."""
    parts = []
    for i in range(count):
        name = f"{mask.__name__}_coupling_{i}"
        pattern = mask(shape, flip=bool(i % 2))
        parts.append(
            AffineCoupling(shape, network(), pattern, dtype=dtype, name=name, **options)
        )
        if act_norm:
            parts.append(ActNorm(shape, dtype=dtype, name=f"act_norm_{i}"))
    return parts


def _image_steps(shape, num_steps, num_levels, steps):
    """The multi-scale architecture; checkerboards alone when no level fits."""
    if num_levels is None:
        fits = [n for n in (1, 2) if shape[0] % 2**n == 0 and shape[1] % 2**n == 0]
        num_levels = max(fits, default=0)
    if num_levels == 0:
        return steps(shape, num_steps, masks.checkerboard)
    coarse = Multiscale.level_shapes(shape, num_levels)
    before = [shape, *((h, w, c // 2) for h, w, c in coarse[:-1])]
    fine = [steps(s, num_steps - num_steps // 2, masks.checkerboard) for s in before]
    levels = [steps(s, max(1, num_steps // 2), masks.half) for s in coarse]
    return [Multiscale(levels, shape, fine)]
