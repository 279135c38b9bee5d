"""Recipes remember how a flow was built, so that it can be built again."""

import dataclasses
import functools
import inspect
import json
from collections.abc import Callable
from typing import Any

from tfp_flows.distributions import Model

_RECIPES: dict[str, Callable[..., Model]] = {}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The name and the arguments that a flow was built with, fit for JSON.

    Args:
      name: of a function in `tfp_flows.flows`.
      options: its arguments.
    """

    name: str
    options: dict[str, Any]


def recipe(function: Callable[..., Model]) -> Callable:
    """Registers a function that builds a flow and notes its arguments on the result.

    A model that was built with an argument JSON cannot hold, such as a network builder,
    has the recipe None. All recipes take `name`; it is given to what they return.
    """

    @functools.wraps(function)
    def build_and_note(*args, **kwargs):
        model = function(*args, **kwargs)
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
        if bound.get("name") is not None:
            model = model.copy(name=bound["name"])
        model.rebuild = functools.partial(build_and_note, *args, **kwargs)
        try:
            options = json.loads(json.dumps(bound, default=_plain))
            model.recipe = Recipe(function.__name__, options)
        except TypeError:
            model.recipe = None
        return model

    _RECIPES[function.__name__] = build_and_note
    return build_and_note


def build(name: str, **options) -> Model:
    """Builds a flow by the name of its recipe.

    Args:
      name: of a recipe, such as "real_nvp".
      **options: its arguments.

    Returns:
      A flow with fresh weights.

    Raises:
      ValueError: for an unknown name or option.

    Example:
      >>> build("real_nvp", event_shape=(2,), num_steps=1, hidden_units=(4,)).name
      'real_nvp'
    """
    if name not in _RECIPES:
        raise ValueError(f"Unknown flow {name!r}. Choose from {sorted(_RECIPES)}.")
    known = inspect.signature(_RECIPES[name]).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"flows.{name} has no option {', '.join(unknown)}. Its options are "
            f"{', '.join(known)}."
        )
    return _RECIPES[name](**options)


def _plain(value):
    """JSON form of what users pass for shapes: NumPy integers and TensorShapes."""
    if hasattr(value, "as_list"):
        return value.as_list()
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} has no JSON form.")
