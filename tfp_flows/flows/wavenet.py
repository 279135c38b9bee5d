"""WaveNet: sequences by dilated causal convolutions."""

from collections.abc import Sequence
from typing import Any

from tfp_flows.distributions import Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import ANY_RANK, Frame
from tfp_flows.flows._orders import Order
from tfp_flows.flows._recipe import recipe
from tfp_flows.flows._sequences import scalar_map_for, sequence_model
from tfp_flows.networks import CausalConv
from tfp_flows.scalar_maps import ScalarMap


@recipe(unusable.of_other_maps, unusable.of_real_numbers)
def wavenet(
    event_shape: Sequence[int],
    num_layers: int = 16,
    filters: int = 64,
    *,
    support: Any = "real",
    num_values: int | None = None,
    one_hot: bool = False,
    dilation_cycle: int = 8,
    kernel_size: int = 2,
    skip_filters: int | None = None,
    num_steps: int = 1,
    order: Order = "natural",
    scalar_map: str | ScalarMap = "affine",
    num_components: int = 8,
    scale_bound: float = 2.0,
    context_shape: Sequence[int] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds a WaveNet over sequences of real numbers or of integers [1].

    Real numbers: a masked autoregressive flow along time. The channels of one time
    step are independent of each other given the past; with `num_steps` of 2 or more,
    matrices between the steps mix them. Integers: a categorical distribution for each
    unit, and an exact log_prob. Audio becomes integers by `mu_law.encode`, and samples
    become audio by `mu_law.decode` (`tfp_flows.distributions.mu_law`).

    Sampling takes one pass through ring buffers, see `CausalConv`.

    Args:
      event_shape: `(T, C)`, time steps and channels.
      num_layers: dilated layers of each network.
      filters: channels of each network.
      num_values: number of integer values, 256 for mu-law audio; None for real numbers.
      one_hot: shows the network integers as indicators, for symbols without an order.
      dilation_cycle: the dilation begins again at 1 after so many layers.
      kernel_size: taps of each layer.
      skip_filters: channels of the skip connections; None for `filters`.
      num_steps: of the flow, each with a network; for real numbers.
      order: of the time steps: "natural"; "reversed", for a known end; or the numbers
        of the time steps, each once, the first one first. The network sees the sequence
        flipped or permuted: exact for any order, but a permuted one has other
        neighbours.
      context_shape: `(K,)`, or `(T, K)` for a context at each time step.

    Returns:
      `Flow`, or `Autoregressive` if `num_values` is given.

    Raises:
      ValueError: for a bad shape or number.

    Examples:
      >>> model = wavenet((20, 1), 3, 8, num_values=256, dilation_cycle=3)
      >>> codes = model.sample(2, seed=1)
      >>> codes.shape, model.log_prob(codes).shape
      (TensorShape([2, 20, 1]), TensorShape([2]))

    References:
      [1] van den Oord et al. WaveNet: A generative model for raw audio. 2016.
          arXiv:1609.03499
    """
    frame = Frame.of("wavenet", locals(), keeps_circles=ANY_RANK)
    network = frame.builder(
        CausalConv,
        num_layers=num_layers,
        dilation_cycle=dilation_cycle,
        kernel_size=kernel_size,
        skip_filters=skip_filters,
        name=frame.name,
    )
    unit = scalar_map_for(scalar_map, num_components, scale_bound, frame.name)
    return sequence_model(frame, network, unit, num_steps, one_hot, order)
