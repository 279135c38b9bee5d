"""Scalar maps by name or as they are, for all recipes alike."""

import inspect
from collections.abc import Mapping
from typing import Any

from tfp_flows.scalar_maps.affine import Affine
from tfp_flows.scalar_maps.mixture_logistic import MixtureLogistic
from tfp_flows.scalar_maps.rational_quadratic import RationalQuadratic
from tfp_flows.scalar_maps.scalar_map import ScalarMap
from tfp_flows.scalar_maps.shift import Shift

SCALAR_MAPS: dict[str, type[ScalarMap]] = {
    "additive": Shift,
    "affine": Affine,
    "mixture": MixtureLogistic,
    "spline": RationalQuadratic,
}


def scalar_map_of(
    choice: str | ScalarMap, options: Mapping[str, Any] | None, owner: str
) -> ScalarMap:
    """Returns a scalar map by its name, or the one that was given.

    Args:
      choice: a name of `SCALAR_MAPS`, or a `ScalarMap`.
      options: arguments of the map, if it is given by name.
      owner: of the recipe, for messages.

    Raises:
      ValueError: for an unknown name or option, or options of a map given whole.

    Examples:
      >>> scalar_map_of("spline", {"num_bins": 4}, "maf").num_params
      11
    """
    if isinstance(choice, ScalarMap):
        if options:
            raise ValueError(
                f"{owner} got options {dict(options)} for a scalar map that was given "
                "whole. Give them to the map itself, or choose it by name."
            )
        return choice
    if choice not in SCALAR_MAPS:
        raise ValueError(
            f"{owner} has no scalar map {choice!r}. Choose from "
            f"{', '.join(SCALAR_MAPS)}, or pass a ScalarMap."
        )
    given, kind = dict(options or {}), SCALAR_MAPS[choice]
    known = inspect.signature(kind).parameters
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"{owner}'s scalar map {choice!r} has no option {', '.join(unknown)}. "
            f"Choose from: {', '.join(known) or 'none'}."
        )
    return kind(**given)
