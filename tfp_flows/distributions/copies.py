"""Copies and pickles of models: the recipe again, with the same weights."""

from collections.abc import Callable, Sequence
from typing import Any


def restored(rebuild: Callable[[], Any], values: Sequence[Any]) -> Any:
    """Returns a model that was built again, with these weights.

    Args:
      rebuild: makes it.
      values: arrays, in the order of `raw_variables`.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.maf((2,), 1, (4,))
      >>> weights = [v.numpy() for v in flow.raw_variables]
      >>> restored(flow.rebuild, weights).event_shape
      TensorShape([2])
    """
    model = rebuild()
    for variable, value in zip(model.raw_variables, values, strict=True):
        variable.assign(value)
    return model
