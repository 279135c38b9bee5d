"""Models of sequences, whatever the network that runs along time."""

from collections.abc import Callable, Sequence
from typing import Any

from tfp_flows.bijectors import (
    ActNorm,
    Chain,
    InvertibleLinear,
    MaskedAutoregressive,
    ScalarMap,
    Standardize,
)
from tfp_flows.distributions import Autoregressive, Categorical, Flow, Model
from tfp_flows.flows.choices import scalar_map_of
from tfp_flows.flows.parts import checked_shape, context_map
from tfp_flows.networks.sequence_network import SequenceNetwork


def sequence_model(
    name: str,
    event_shape: Sequence[int],
    network: Callable[..., SequenceNetwork],
    *,
    num_values: int | None,
    one_hot: bool,
    num_steps: int,
    scalar_map: str | ScalarMap,
    num_components: int,
    scale_bound: float,
    context_shape: Sequence[int] | None,
    dtype: Any,
) -> Model:
    """Builds a flow over real sequences, or an exact model of integer ones.

    Real: `num_steps` masked autoregressive steps, all along time, so that z[t] is a
    function of x[.. t]. Each is preceded, on its data side, by an act norm over time
    and, from the second one on, by an invertible matrix that mixes the channels.
    Integers: a categorical distribution for each unit, given all earlier time steps.

    Args:
      name: of the recipe.
      event_shape: `(T, C)`.
      network: builds one from event_shape, num_params and num_features.
      num_values: number of integer values; None for real numbers.
      one_hot: shows the network integers as indicators, see `Categorical`.
      num_steps: of the flow; integers have one network.
      scalar_map: "affine", "mixture" or "spline".
      num_components: of mixtures; bins of splines.
      scale_bound: of affine maps and of those within mixtures, see `Affine`.
      context_shape: `(K,)` or `(T, K)`, or None.
      dtype: of the events and weights.

    Returns:
      `Flow`, or `Autoregressive` if `num_values` is given.

    Raises:
      ValueError: if the events are no sequences, or for an unknown map.
    """
    shape = checked_shape(event_shape, name)
    if len(shape) != 2 or num_steps < 1:
        raise ValueError(
            f"{name} needs event_shape (time steps, channels) and num_steps >= 1, got "
            f"{shape} and {num_steps}. Series of numbers have one channel, (T, 1)."
        )
    given = {"context_shape": context_shape, "dtype": dtype}
    contexts = context_map(context_shape, dtype)
    if num_values is not None:
        element = Categorical(num_values, one_hot)
        one = network(shape, element.num_params, element.num_features)
        return Autoregressive(one, element, context_bijector=contexts, **given)
    unit = _scalar_map(scalar_map, num_components, scale_bound, name)
    steps: list = [Standardize(shape, "channel", dtype=dtype)]
    for i in range(num_steps):
        steps.append(ActNorm(shape, depth=num_steps, dtype=dtype, name=f"act_norm_{i}"))
        if i and shape[1] > 1:
            steps.append(
                InvertibleLinear(
                    shape, seed=i, depth=num_steps, dtype=dtype, name=f"linear_{i}"
                )
            )
        one = network(shape, unit.num_params, depth=num_steps)
        steps.append(
            MaskedAutoregressive(one, unit, **given, name=f"autoregressive_{i}")
        )
    return Flow(Chain(steps, context_bijector=contexts, name=name))


def _scalar_map(scalar_map, num_components, scale_bound, name):
    """The map, with those of the recipe's options that are its own."""
    options = {
        "affine": {"scale_bound": scale_bound},
        "mixture": {"num_components": num_components, "scale_bound": scale_bound},
        "spline": {"num_bins": num_components},
    }
    named = options.get(scalar_map) if isinstance(scalar_map, str) else None
    return scalar_map_of(scalar_map, named, name)
