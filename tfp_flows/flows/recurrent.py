"""Recurrent flows: sequences by LSTM or GRU networks."""

from collections.abc import Sequence
from typing import Any

from tfp_flows.distributions import Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import ANY_RANK, Frame
from tfp_flows.flows._orders import Order
from tfp_flows.flows._recipe import recipe
from tfp_flows.flows._sequences import scalar_map_for, sequence_model
from tfp_flows.networks import RecurrentNetwork
from tfp_flows.scalar_maps import ScalarMap


@recipe(unusable.of_other_maps, unusable.of_real_numbers)
def recurrent(
    event_shape: Sequence[int],
    units: Sequence[int] = (128,),
    cell: str = "lstm",
    *,
    support: Any = "real",
    num_values: int | None = None,
    one_hot: bool = True,
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
    """Builds a recurrent model of sequences of real numbers or of symbols.

    Real numbers: a masked autoregressive flow along time. The channels of one time
    step are independent of each other given the past; with `num_steps` of 2 or more,
    matrices between the steps mix them. Integers, such as characters: a categorical
    distribution for each unit, and an exact log_prob.

    Args:
      event_shape: `(T, C)`, time steps and channels; a text has one channel.
      units: widths of the recurrent layers of each network.
      cell: "lstm" or "gru".
      num_values: number of symbols; None for real numbers.
      one_hot: shows the network symbols as indicators; False for integers that are
        amounts.
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
      >>> symbols = sorted(set("to be or not to be"))
      >>> model = recurrent((18, 1), (16,), num_values=len(symbols))
      >>> text = "".join(symbols[i] for i in model.sample(seed=1)[:, 0])
      >>> len(text), set(text) <= set(symbols)
      (18, True)

    References:
      Graves. Generating sequences with recurrent neural networks. 2013.
          arXiv:1308.0850
    """
    frame = Frame.of("recurrent", locals(), keeps_circles=ANY_RANK)
    network = frame.builder(
        RecurrentNetwork, units=tuple(units), cell=cell, name=frame.name
    )
    unit = scalar_map_for(scalar_map, num_components, scale_bound, frame.name)
    return sequence_model(frame, network, unit, num_steps, one_hot, order)
