"""Options that a recipe has no use for, given the others: refused, never ignored.

Each function takes all options of a recipe and returns those that nothing would read,
with what they are for.
"""

from collections.abc import Callable, Mapping
from typing import Any

Unusable = Callable[[Mapping[str, Any]], dict[str, str]]

_NETWORK_OPTIONS = (
    *("hidden_units", "activation", "residual", "dropout"),
    *("filters", "num_blocks", "kernel_size", "first_kernel_size", "gated"),
    *("num_layers", "units", "layer", "order", "block_size"),
)
_IN_NETWORK = "it is for the networks that the recipe builds, and network= is given"
_GRIDS = (
    "it is for events with positions, such as images (H, W, C); vectors have "
    "hidden_units"
)
_VECTORS = (
    "it is for vectors, events of shape (D,); those with positions have filters and "
    "num_blocks"
)


def of_real_numbers(options: Mapping[str, Any]) -> dict[str, str]:
    """Options of real numbers, with `num_values`."""
    if options["num_values"] is None:
        return {}
    reason = "it is for real numbers, and num_values makes events integers"
    return {"support": reason, "missing": reason}


def of_whole_events(options: Mapping[str, Any]) -> dict[str, str]:
    """Missing values of events that are mapped as a whole."""
    if not isinstance(options["support"], str) or options["support"] != "simplex":
        return {}
    return {
        "missing": "the entries of a simplex sum to one, so there is no density of some"
    }


def without_integers(options: Mapping[str, Any]) -> dict[str, str]:
    """Options of pixels, without `num_values`."""
    if options["num_values"] is not None:
        return {}
    reason = "it is for integers, and num_values is not given"
    return dict.fromkeys(("alpha", "histogram"), reason)


def with_own_network(options: Mapping[str, Any]) -> dict[str, str]:
    """Options of the networks that a recipe builds, where the user builds them."""
    if options["network"] is None:
        return {}
    # The noise of variational dequantization has networks that the recipe builds.
    has_noise = options.get("dequantization") == "variational"
    names = _NETWORK_OPTIONS if has_noise else (*_NETWORK_OPTIONS, "network_dtype")
    return dict.fromkeys(names, _IN_NETWORK)


def with_own_pixel_network(options: Mapping[str, Any]) -> dict[str, str]:
    """The same of pixel models, whose order is that of any network."""
    found = with_own_network(options)
    return {name: reason for name, reason in found.items() if name != "order"}


def of_other_events(options: Mapping[str, Any]) -> dict[str, str]:
    """Options of events with positions where they are vectors, and vice versa."""
    grids = ("filters", "num_blocks", "num_levels")
    if options.get("autoregressive"):
        couplings = (*grids, "pad_to", "dropout", "memory")
        return dict.fromkeys(couplings, "it is for couplings, autoregressive=False")
    shape = options["event_shape"]
    if hasattr(shape, "__len__") and len(shape) > 1:
        return dict.fromkeys(("hidden_units", "residual"), _VECTORS)
    return dict.fromkeys(grids, _GRIDS)


def of_vectors_or_grids(options: Mapping[str, Any]) -> dict[str, str]:
    """Options of a network of images where events are vectors, and vice versa."""
    shape = options["event_shape"]
    if hasattr(shape, "__len__") and len(shape) > 1:
        return dict.fromkeys(("hidden_units", "residual"), _VECTORS)
    return dict.fromkeys(("filters", "num_blocks"), _GRIDS)


def of_other_couplings(options: Mapping[str, Any]) -> dict[str, str]:
    """The bound of affine couplings, where another map is asked for."""
    if options["coupling"] == "affine":
        return {}
    return {"scale_bound": 'it is for coupling="affine"'}


def of_other_maps(options: Mapping[str, Any]) -> dict[str, str]:
    """Options of scalar maps, of another one or of integers, which have none."""
    if options["num_values"] is not None:
        names = ("scalar_map", "num_components", "scale_bound", "num_steps")
        reason = "it is for real numbers, and num_values makes the events integers"
        return dict.fromkeys(names, reason)
    found = {"one_hot": "it is for integers, and num_values is not given"}
    scalar_map = options["scalar_map"]
    if scalar_map not in ("mixture", "spline"):
        found["num_components"] = "it is for mixtures and splines"
    if scalar_map not in ("mixture", "affine"):
        found["scale_bound"] = "it is for affine maps and mixtures"
    return found


def of_fixed_orders(options: Mapping[str, Any]) -> dict[str, str]:
    """The seed of random orders and of a mixture's first means, without either."""
    if options["order"] == "random" or options.get("num_components"):
        return {}
    return {"seed": 'it is for order="random", or a mixture as base'}


def of_mixtures(options: Mapping[str, Any]) -> dict[str, str]:
    """The name of a base, where a mixture is asked for."""
    if options["num_components"] is None:
        return {}
    return {"base": "num_components makes the base a mixture"}


def of_other_elements(options: Mapping[str, Any]) -> dict[str, str]:
    """Options of mixtures of logistics where another element is asked for."""
    if options["element"] == "mixture":
        return {}
    return {"num_components": 'it is for element="mixture"'}


def refuse(
    name: str,
    given: Mapping[str, Any],
    options: Mapping[str, Any],
    defaults: Mapping[str, Any],
    unusable: tuple[Unusable, ...],
) -> None:
    """Raises for an option that was given, other than by default, and has no use.

    Args:
      name: of the recipe.
      given: the options as they were passed.
      options: all of them.
      defaults: of the recipe.
      unusable: functions of this module.

    Raises:
      ValueError: naming the option and what it is for.
    """
    for find in unusable:
        for option, reason in find(options).items():
            if option in given and _plain(given[option]) != defaults[option]:
                raise ValueError(
                    f"flows.{name} cannot use {option}={given[option]!r}: {reason}. "
                    "Drop it."
                )


def _plain(value):
    """Sequences as the tuples that defaults are."""
    is_sequence = hasattr(value, "__len__") and not isinstance(value, str)
    return tuple(value) if is_sequence else value


def chosen(table: Mapping[str, Any], choice: str, option: str, owner: str) -> Any:
    """Returns what a table has under a name.

    Raises:
      ValueError: with the names that there are.
    """
    if choice not in list(table):  # a list, say, has no hash
        raise ValueError(
            f"{owner} has no {option} {choice!r}. Choose from {', '.join(table)}."
        )
    return table[choice]
