"""Exact models of integer images, pixel after pixel, whatever the network."""

from collections.abc import Callable

from tfp_flows.distributions import Model
from tfp_flows.distributions.elements import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Element,
)
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._orders import Order, ordered
from tfp_flows.networks import AutoregressiveNetwork


def pixel_model(
    frame: Frame,
    network: Callable[..., AutoregressiveNetwork],
    element: str,
    num_components: int,
    order: Order,
) -> Model:
    """Builds an autoregressive model of images, each channel after those before it.

    Args:
      frame: of the recipe, on events `(H, W, C)`.
      network: builds one from event_shape, num_params, num_features and `channels`:
        "ordered", or "joint" where the element models the channels of a pixel itself.
      element: "categorical", "mixture" or "bernoulli", see `element_of`.
      num_components: of the mixture.
      order: of the pixels, see `ordered`.

    Returns:
      `Autoregressive`, with the exact log_prob of the integers.

    Raises:
      ValueError: for a bad shape, number, element or order.
    """
    shape, num_values = frame.shape, frame.data.num_values
    if len(shape) != 3:
        raise ValueError(
            f"{frame.name} needs images (H, W, C), got events of shape {shape}. Write "
            "grey images as (H, W, 1), vectors as (1, D, 1)."
        )
    unit = element_of(element, num_values, num_components, shape[-1], frame.name)
    channels = "joint" if unit.block_size else "ordered"
    sizes = (unit.num_params, unit.num_features)
    one = ordered(network, order, shape, *sizes, owner=frame.name, channels=channels)
    return frame.exact(one, unit)


def element_of(
    element: str,
    num_values: int | None,
    num_components: int,
    num_channels: int,
    owner: str,
) -> Element:
    """Returns an element of integer pixels by its name.

    "categorical": a free probability for each value; "mixture": discretised logistics,
    the channels of a pixel together, for many values; "bernoulli": two values.

    Raises:
      ValueError: for an unknown name, or a number of values that does not fit.
    """
    if element == "bernoulli" and num_values in (None, 2):
        return Bernoulli()
    if element not in ("categorical", "mixture", "bernoulli"):
        raise ValueError(
            f"{owner} has no element {element!r}. Choose categorical, mixture or "
            "bernoulli."
        )
    if element == "bernoulli" or num_values is None or num_values < 2:
        wanted = "2 (binarised images)" if element == "bernoulli" else ">= 2"
        raise ValueError(
            f"{owner} with element {element!r} models integers and needs num_values "
            f"{wanted}, got {num_values}. For real numbers take flows.maf or a "
            "coupling flow."
        )
    if element == "categorical":
        return Categorical(num_values)
    return DiscretizedLogisticMixture(num_values, num_components, num_channels)
