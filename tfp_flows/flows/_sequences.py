"""Models of sequences, whatever the network that runs along time."""

import functools
from collections.abc import Callable
from typing import Any

from tfp_flows.bijectors import ActNorm, InvertibleLinear, MaskedAutoregressive
from tfp_flows.distributions import Model
from tfp_flows.distributions.elements import Categorical
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._orders import Order, ordered
from tfp_flows.networks.sequence_network import SequenceNetwork
from tfp_flows.scalar_maps import ByUnit, CircularSpline, ScalarMap, scalar_map_of


def sequence_model(
    frame: Frame,
    network: Callable[..., SequenceNetwork],
    scalar_map: ScalarMap,
    num_steps: int,
    one_hot: bool,
    order: Order,
) -> Model:
    """Builds a flow over real sequences, or an exact model of integer ones.

    Real: `num_steps` masked autoregressive steps, all along time, so that z[t] is a
    function of x[.. t]. Each is preceded, on its data side, by an act norm over time
    and, from the second one on, by an invertible matrix that mixes the channels, but
    for those that are angles.
    Integers: a categorical distribution for each unit, given all earlier time steps.

    Args:
      frame: of the recipe, on events `(T, C)`.
      network: builds one from event_shape, num_params and num_features.
      scalar_map: what is done to each real number.
      num_steps: of the flow; integers have one network.
      one_hot: shows the network integers as indicators, see `Categorical`.
      order: of the time steps, see `ordered`.

    Raises:
      ValueError: if the events are no sequences, or there are no steps.
    """
    shape, data = frame.shape, frame.data
    if len(shape) != 2 or num_steps < 1:
        raise ValueError(
            f"{frame.name} needs event_shape (time steps, channels) and num_steps >= "
            f"1, got {shape} and {num_steps}. Series of numbers have one channel, "
            "(T, 1)."
        )
    if data.num_values is not None:
        unit = Categorical(data.num_values, one_hot)
        sizes = (unit.num_params, unit.num_features)
        one = ordered(network, order, shape, *sizes, owner=frame.name)
        return frame.exact(one, unit)
    shared: dict[str, Any] = {"depth": num_steps, "dtype": data.dtype}
    given: dict[str, Any] = {"context_shape": data.context_shape, "dtype": data.dtype}
    circles, shown = frame.circles, 1
    if circles.any():  # of angles cosine and sine are shown
        scalar_map = ByUnit.where(circles, CircularSpline(), scalar_map)
        given["angles"], shown = circles, 2
    steps: list = []
    for i in range(num_steps):
        norm = functools.partial(ActNorm, **shared, name=f"act_norm_{i}")
        steps += frame.on_line(norm)
        if i and (~circles).sum() > 1:
            mix = functools.partial(InvertibleLinear, **shared, name=f"linear_{i}")
            steps += frame.on_line(functools.partial(mix, seed=i))
        own: dict[str, Any] = {"owner": frame.name, "depth": num_steps}
        one = ordered(network, order, shape, scalar_map.num_params, shown, **own)
        steps.append(
            MaskedAutoregressive(one, scalar_map, **given, name=f"autoregressive_{i}")
        )
    return frame.flow(steps)


def scalar_map_for(
    choice: str | ScalarMap, num_components: int, scale_bound: float, owner: str
) -> ScalarMap:
    """Returns a scalar map with those of a recipe's options that are its own.

    Args:
      choice: as in `scalar_map_of`.
      num_components: of mixtures; bins of splines.
      scale_bound: of affine maps and of those within mixtures, see `Affine`.
      owner: of the recipe.
    """
    options: dict[str, dict[str, Any]] = {
        "affine": {"scale_bound": scale_bound},
        "mixture": {"num_components": num_components, "scale_bound": scale_bound},
        "spline": {"num_bins": num_components},
    }
    named = options.get(choice) if isinstance(choice, str) else None
    return scalar_map_of(choice, named, owner)
