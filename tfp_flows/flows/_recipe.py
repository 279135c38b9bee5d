"""Recipes remember how a flow was built, so that it can be built again."""

import dataclasses
import functools
import inspect
import json
import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from tfp_flows.distributions import Model
from tfp_flows.flows._documentation import TwoLines, documented
from tfp_flows.flows._unusable import Unusable, refuse

P = ParamSpec("P")
M = TypeVar("M", bound=Model)

_RECIPES: dict[str, Callable[..., Model]] = {}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The name and the arguments that a flow was built with, fit for JSON.

    Args:
      name: of a function in `tfp_flows.flows`.
      options: its arguments.

    Examples:
      >>> from tfp_flows import flows
      >>> recipe = flows.gaussian((2,)).recipe
      >>> recipe.name, recipe.options["event_shape"]
      ('gaussian', [2])
    """

    name: str
    options: dict[str, Any]


def recipe(*unusable: Unusable) -> Callable[[Callable[P, M]], Callable[P, M]]:
    """Registers a function that builds a model and notes its arguments on the result.

    A model that was built with an argument JSON cannot hold, such as a network builder,
    has the recipe None. All recipes take `name`; it is given to what they return. What
    the docstring does not say of options that recipes share is added to it.

    Args:
      *unusable: what finds options that the recipe has no use for, see `_unusable`.

    Examples:
      >>> from tfp_flows import flows
      >>> flows.build("gaussian", event_shape=(2,)).event_shape
      TensorShape([2])
    """

    def register(function: Callable[P, M]) -> Callable[P, M]:
        signature = inspect.signature(function)
        defaults = {k: v.default for k, v in signature.parameters.items()}
        function.__doc__ = documented(function)

        @functools.wraps(function)
        def build_and_note(*args: P.args, **kwargs: P.kwargs) -> M:
            if why := _unknown(function.__name__, signature, kwargs):
                raise TypeError(why)  # as Python does, which names no choices
            bound = signature.bind(*args, **kwargs)
            chosen = dict(bound.arguments)
            bound.apply_defaults()
            refuse(function.__name__, chosen, bound.arguments, defaults, unusable)
            model = function(*args, **kwargs)
            if chosen.get("name") is not None:
                model = model.copy(name=chosen["name"])
            model.rebuild = functools.partial(build_and_note, *args, **kwargs)
            model.recipe = _noted(function.__name__, chosen)
            return model

        build_and_note.__signature__ = TwoLines(list(signature.parameters.values()))  # type: ignore[attr-defined]
        _RECIPES[function.__name__] = build_and_note
        return build_and_note

    return register


def _noted(name, chosen):
    try:
        noted = json.dumps(_without_infinities(chosen), default=_plain)
        return Recipe(name, json.loads(noted))
    except TypeError:
        return None


def build(name: str, **options) -> Model:
    """Builds a flow by the name of its recipe.

    Args:
      name: of a recipe, such as "real_nvp".
      **options: its arguments.

    Returns:
      A flow with fresh weights.

    Raises:
      ValueError: for an unknown name or option.

    Examples:
      >>> build("real_nvp", event_shape=(2,), num_steps=1, hidden_units=(4,)).name
      'real_nvp'
    """
    if name not in _RECIPES:
        raise ValueError(f"Unknown flow {name!r}. Choose from {sorted(_RECIPES)}.")
    if why := _unknown(name, inspect.signature(_RECIPES[name]), options):
        raise ValueError(why)
    return _RECIPES[name](**options)


def _unknown(name, signature, options):
    """Says which options the recipe does not have, and which it has; None if all."""
    known = signature.parameters
    unknown = sorted(set(options) - set(known))
    if not unknown:
        return None
    return (
        f"flows.{name} has no option {', '.join(unknown)}. Choose from "
        f"{', '.join(known)}."
    )


def _without_infinities(value):
    """None for the ends of intervals that there are not: JSON has no infinity."""
    if isinstance(value, dict):
        return {k: _without_infinities(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_without_infinities(v) for v in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def _plain(value):
    """JSON form of what users pass for shapes: NumPy's numbers, and TensorShapes."""
    if hasattr(value, "as_list"):
        return value.as_list()
    if hasattr(value, "tolist"):  # arrays and single numbers
        return value.tolist()
    raise TypeError(f"{value!r} has no JSON form.")
