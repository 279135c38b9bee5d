"""Inverse autoregressive flows: samples in one call of each network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfp_flows.distributions import Model
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
    unusable.of_fixed_orders,
)
def iaf(
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
    order: str = "alternating",
    block_size: int = 1,
    seed: int = 0,
    activation: str = "relu",
    residual: bool = False,
    alpha: float = 0.05,
    network: Callable[..., AutoregressiveNetwork] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds an inverse autoregressive flow [1].

    A masked autoregressive flow the other way round: sampling, and the density of the
    flow's own samples, take one call of each network, as variational inference wants.
    The density of other events goes position by position, through the networks'
    steps: about the arithmetic of one call for a value, but a gradient keeps the record
    of every step in memory. To fit data by maximum likelihood take `maf`.

    Args:
      event_shape: shape of one event; images are taken pixel by pixel.
      num_steps: number of networks.
      hidden_units: widths of each network.
      normalization: after every step,
        "act_norm", "batch_norm" or None.
      residual: skip connections in the networks.
      network: builder of each step's network, called with event_shape and num_params,
        such as `functools.partial(networks.RecurrentNetwork, units=(64,))` for
        sequences; its order is its own. With periodic features it is given
        num_features=2 as third argument. `MADE` if None.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given.

    Raises:
      ValueError: for a bad shape, number or name.

    Examples:
      >>> flow = iaf((4,), num_steps=2, hidden_units=(8,))
      >>> flow.log_prob(flow.sample(5, seed=1)).shape
      TensorShape([5])

    References:
      [1] Kingma, Salimans, Jozefowicz, Chen, Sutskever, Welling. Improving variational
          inference with inverse autoregressive flow. NeurIPS 2016. arXiv:1606.04934
    """
    frame = Frame.of("iaf", locals(), keeps_circles=ANY_RANK)
    return masked_autoregressive_flow(
        frame,
        scalar_map_of(scalar_map, scalar_map_options, frame.name),
        num_steps,
        inverse=True,
        normalization=normalization,
        order=order,
        block_size=block_size,
        seed=seed,
        network=network,
    )
