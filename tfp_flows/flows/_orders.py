"""The order in which an autoregressive recipe takes the positions of its events."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfp_flows.networks import AutoregressiveNetwork, Reordered

Order = str | Sequence[int] | np.ndarray


def ordered(
    builder: Callable[..., AutoregressiveNetwork],
    order: Order,
    event_shape: Sequence[int],
    *args: Any,
    owner: str,
    **kwargs: Any,
) -> AutoregressiveNetwork:
    """Builds a network that takes the positions of events in an order.

    Args:
      builder: from event_shape and more; its networks have an order of their own.
      order: "rows" (of images) or "natural", the network's own; "columns" of images,
        from left to right; "reversed", from the last position to the first; or the
        row-major numbers of the positions, the first one first.
      event_shape: `(*positions, C)`.
      *args: what else the builder takes.
      owner: of the recipe, for messages.
      **kwargs: what else the builder takes.

    Raises:
      ValueError: for an order that these events do not have.
    """
    shape = tuple(event_shape)
    count = math.prod(shape[:-1])
    if not isinstance(order, str):
        return Reordered(
            builder(shape, *args, **kwargs), _permutation(order, count, owner)
        )
    names = ["rows", "columns", "reversed"] if len(shape) == 3 else ["reversed"]
    if order not in (*names, "natural"):
        raise ValueError(
            f"{owner} has no order {order!r} for events of shape {shape}. Choose from "
            f"natural, {', '.join(names)}, or give the numbers of the {count} "
            "positions, the first one first."
        )
    if order == "columns":
        numbers = np.arange(count).reshape(shape[:-1])
        turned = (*reversed(shape[:-1]), shape[-1])
        inner = builder(turned, *args, **kwargs)
        return Reordered(inner, numbers.T.ravel(), shape)
    inner = builder(shape, *args, **kwargs)
    return Reordered(inner, np.arange(count)[::-1]) if order == "reversed" else inner


def _permutation(order, count, owner):
    numbers = np.asarray(order)
    is_integer = numbers.dtype.kind in "iu"
    if not is_integer or not np.array_equal(np.sort(numbers.ravel()), np.arange(count)):
        raise ValueError(
            f"{owner} needs an order with the number of each of the {count} positions "
            f"once, 0 to {count - 1} in row-major order, got {numbers.size} entries "
            f"of type {numbers.dtype}."
        )
    return numbers.ravel()
