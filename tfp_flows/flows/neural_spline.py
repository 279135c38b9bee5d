"""Neural spline flows: rational-quadratic couplings or autoregressive steps."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfp_flows.bijectors import SplineCoupling
from tfp_flows.distributions import Model
from tfp_flows.flows import unusable
from tfp_flows.flows.couplings import coupling_flow
from tfp_flows.flows.masked_autoregressive import masked_autoregressive_flow
from tfp_flows.flows.recipe import recipe


@recipe(unusable.of_other_events, unusable.with_own_network, unusable.without_integers)
def neural_spline(
    event_shape: Sequence[int],
    num_steps: int = 8,
    num_bins: int = 8,
    hidden_units: Sequence[int] = (256, 256),
    *,
    autoregressive: bool = False,
    num_values: int | None = None,
    pad_to: Sequence[int] | None = None,
    dequantization: str = "uniform",
    context_shape: Sequence[int] | None = None,
    num_levels: int | None = None,
    filters: int = 64,
    num_blocks: int = 2,
    activation: str = "relu",
    residual: bool = False,
    dropout: float = 0.0,
    act_norm: bool = True,
    bound: float = 4.0,
    alpha: float = 0.05,
    memory: str = "activations",
    network: Callable[[], keras.Layer] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds a neural spline flow for vectors or images [1].

    As `real_nvp`, with monotone splines in place of the affine maps: more can be done
    to each unit by fewer couplings, at little cost beside the networks. Train it
    compiled by XLA: twice as fast.

    With `autoregressive` the steps are masked autoregressive, as in `maf`, the orders
    natural and reversed in turn, for events of any shape: each unit is transformed
    given all before it, and samples are drawn position by position.

    Args:
      event_shape: `(D,)` or `(H, W, C)`.
      num_steps: couplings of a vector flow, or of each level of an image flow.
      num_bins: bins of each spline.
      hidden_units: widths of each coupling's network, vectors only.
      autoregressive: masked autoregressive steps in place of couplings. The options
        `pad_to`, `dropout`, `memory` and `network` are then refused, and those for
        images (`num_levels`, `filters`, `num_blocks`) not used.
      num_values: number of integer values for discrete data; None for continuous.
      pad_to: `(height, width)` that images are padded to with zeros, so that more
        levels fit; the likelihood stays a bound, see `Padded`. For discrete data.
      dequantization: "uniform", or "variational" for noise that a small flow learns,
        see `noise_flow`; for discrete data.
      context_shape: `(C,)` for a conditional flow.
      num_levels: of an image flow; up to two, as many as the sides allow, if None.
      filters: channels of each coupling's network, images only.
      num_blocks: residual blocks of each coupling's network, images only.
      activation: of the networks.
      residual: skip connections in the MLPs.
      dropout: rate in the networks, in training mode only.
      act_norm: adds an act norm after every coupling.
      bound: the splines act on [-bound, bound], see `RationalQuadratic`.
      alpha: margin of the pixels' logit, see `PixelLogit`.
      memory: of the backward pass, "activations" or "constant", see `chain_of`.
      network: builder of a Keras layer for each step, instead of the default.
      dtype: of the events and weights.
      network_dtype: Keras dtype policy of the networks, see `parts.network_policy`.
      name: of the model; the recipe's if None.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given, or `Padded` with `pad_to`.

    Raises:
      ValueError: for a bad shape or number.

    Example:
      >>> flow = neural_spline((4,), num_steps=2, num_bins=4, hidden_units=(8,))
      >>> flow.log_prob(flow.sample(5, seed=1)).shape
      TensorShape([5])

    References:
      [1] Durkan, Bekasov, Murray, Papamakarios. Neural spline flows. NeurIPS 2019.
          arXiv:1906.04032
    """
    shared: dict[str, Any] = {
        "num_values": num_values,
        "dequantization": dequantization,
        "alpha": alpha,
        "dtype": dtype,
        "network_dtype": network_dtype,
        "hidden_units": hidden_units,
        "activation": activation,
        "residual": residual,
    }
    spline: dict[str, Any] = {"num_bins": num_bins, "bound": bound}
    if autoregressive:
        _refuse(pad_to=pad_to, dropout=dropout, memory=memory, network=network)
        return masked_autoregressive_flow(
            "neural_spline",
            event_shape,
            num_steps,
            scalar_map="spline",
            scalar_map_options=spline,
            normalization="act_norm" if act_norm else None,
            order="alternating",
            context_shape=context_shape,
            seed=0,
            **shared,
        )
    return coupling_flow(
        "neural_spline",
        event_shape,
        num_steps,
        functools.partial(SplineCoupling, **spline),
        context_shape=context_shape,
        pad_to=pad_to,
        num_levels=num_levels,
        act_norm=act_norm,
        memory=memory,
        network=network,
        filters=filters,
        num_blocks=num_blocks,
        dropout=dropout,
        **shared,
    )


def _refuse(**options):
    """Options of couplings that an autoregressive flow would ignore."""
    usual = {"pad_to": None, "dropout": 0.0, "memory": "activations", "network": None}
    given = sorted(key for key, value in options.items() if value != usual[key])
    if given:
        raise ValueError(
            f"An autoregressive neural_spline has no {', '.join(given)}. Drop it, or "
            "take couplings: autoregressive=False."
        )
