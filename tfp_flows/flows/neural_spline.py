"""Neural spline flows: rational-quadratic couplings or autoregressive steps."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfp_flows.distributions import Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._couplings import coupling_flow
from tfp_flows.flows._frame import ANY_RANK, VECTORS, Frame
from tfp_flows.flows._masked_autoregressive import masked_autoregressive_flow
from tfp_flows.flows._recipe import recipe
from tfp_flows.scalar_maps import CircularSpline, RationalQuadratic


@recipe(
    unusable.of_other_events,
    unusable.with_own_network,
    unusable.without_integers,
    unusable.of_real_numbers,
)
def neural_spline(
    event_shape: Sequence[int],
    num_steps: int = 8,
    num_bins: int = 8,
    hidden_units: Sequence[int] = (256, 256),
    *,
    autoregressive: bool = False,
    support: Any = "real",
    base: str = "normal",
    num_values: int | None = None,
    pad_to: Sequence[int] | None = None,
    dequantization: str = "uniform",
    context_shape: Sequence[int] | None = None,
    bound: float = 4.0,
    min_bin: float = 0.25,
    min_derivative: float = 0.1,
    num_levels: int | None = None,
    filters: int = 64,
    num_blocks: int = 2,
    activation: str = "relu",
    residual: bool = False,
    dropout: float = 0.0,
    act_norm: bool = True,
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
      event_shape: `(D,)`, `(T, C)`, `(H, W, C)` or `(D, H, W, C)`.
      num_bins: bins of each spline.
      autoregressive: masked autoregressive steps in place of couplings. The options
        `pad_to`, `dropout` and `memory` are then refused, and so are those for
        images (`num_levels`, `filters`, `num_blocks`).
      bound: the splines act on [-bound, bound], see `RationalQuadratic`.
      min_bin: smallest bin, as a share of an even one.
      min_derivative: smallest slope at a bin's edge.
      network: builder of a Keras layer for each coupling; with `autoregressive`, of an
        `AutoregressiveNetwork` from event_shape and num_params, as in `maf`.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given, or `Padded` with `pad_to`.

    Raises:
      ValueError: for a bad shape or number.

    Examples:
      >>> flow = neural_spline((4,), num_steps=2, num_bins=4, hidden_units=(8,))
      >>> flow.log_prob(flow.sample(5, seed=1)).shape
      TensorShape([5])

    References:
      [1] Durkan, Bekasov, Murray, Papamakarios. Neural spline flows. NeurIPS 2019.
          arXiv:1906.04032
    """
    circles = ANY_RANK if autoregressive else VECTORS
    frame = Frame.of("neural_spline", locals(), keeps_circles=circles)
    spline = RationalQuadratic(num_bins, bound, min_bin, min_derivative)
    circle = CircularSpline(num_bins, min_bin, min_derivative)
    build: Callable[..., Model] = coupling_flow
    own = {"num_levels": num_levels, "act_norm": act_norm, "memory": memory}
    if autoregressive:
        build = masked_autoregressive_flow
        own = {"normalization": "act_norm" if act_norm else None}
    return build(frame, spline, num_steps, network=network, circular_map=circle, **own)
