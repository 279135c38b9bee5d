"""Masked autoregressive flows: density in one call of each network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfp_flows.distributions import GaussianMixture, Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import ANY_RANK, Frame
from tfp_flows.flows._masked_autoregressive import masked_autoregressive_flow
from tfp_flows.flows._recipe import recipe
from tfp_flows.networks.autoregressive_network import AutoregressiveNetwork
from tfp_flows.scalar_maps import ScalarMap, scalar_map_of


@recipe(
    unusable.with_own_network,
    unusable.without_integers,
    unusable.of_real_numbers,
    unusable.of_mixtures,
    unusable.of_fixed_orders,
)
def maf(
    event_shape: Sequence[int],
    num_steps: int = 5,
    hidden_units: Sequence[int] = (256, 256),
    *,
    support: Any = "real",
    base: str = "normal",
    num_values: int | None = None,
    dequantization: str = "uniform",
    context_shape: Sequence[int] | None = None,
    scalar_map: str | ScalarMap = "affine",
    scalar_map_options: Mapping[str, Any] | None = None,
    normalization: str | None = "act_norm",
    num_components: int | None = None,
    order: str = "alternating",
    block_size: int = 1,
    activation: str = "relu",
    residual: bool = False,
    alpha: float = 0.05,
    seed: int = 0,
    network: Callable[..., AutoregressiveNetwork] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds a masked autoregressive flow [1].

    `num_steps` times: a MADE network, and each unit transformed given those before
    it. Density and training take one call of each network. Samples take one pass
    through the positions of each step, about the arithmetic of a call; see
    `MaskedAutoregressive`. Compiled by XLA, both are several times faster.

    All activations are kept for the backward pass: to recompute a step's input from
    its output would be to sample.

    Args:
      event_shape: shape of one event; images are taken pixel by pixel.
      num_steps: number of networks.
      hidden_units: widths of each network.
      normalization: after every step,
        "act_norm", "batch_norm" as in [1], or None.
      num_components: of a mixture of Gaussians as base; `base` if None.
      residual: skip connections in the networks.
      seed: of random orders and of the mixture's first means.
      network: builder of each step's network, called with event_shape and num_params,
        such as `functools.partial(networks.RecurrentNetwork, units=(64,))` for
        sequences; its order is its own. With periodic features it is given
        num_features=2 as third argument. `MADE` if None.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given.

    Raises:
      ValueError: for a bad shape, number or name.

    Examples:
      >>> flow = maf((4,), num_steps=2, hidden_units=(8,))
      >>> flow.log_prob(flow.sample(5, seed=1)).shape
      TensorShape([5])

    References:
      [1] Papamakarios, Pavlakou, Murray. Masked autoregressive flow for density
          estimation. NeurIPS 2017. arXiv:1705.07057
    """
    frame = Frame.of("maf", locals(), keeps_circles=ANY_RANK)
    return masked_autoregressive_flow(
        frame,
        scalar_map_of(scalar_map, scalar_map_options, frame.name),
        num_steps,
        normalization=normalization,
        order=order,
        block_size=block_size,
        seed=seed,
        network=network,
        base=_mixture(frame, num_components, seed),
    )


def _mixture(frame, num_components, seed):
    """The base of as many Gaussians, or None."""
    if num_components is None:
        return None
    if frame.circles.any():
        raise ValueError(
            f"maf got num_components={num_components} and a support with circles, on "
            "which a normal variable has no place. Drop num_components: the base of "
            "an angle is uniform."
        )
    dtype = frame.data.dtype
    return GaussianMixture(frame.shape, num_components, seed=seed, dtype=dtype)
