"""Models that hold the context of another one, taken apart: for what asks them."""

from typing import Any

from tfp_flows.distributions.embedded import Embedded
from tfp_flows.distributions.given import Given
from tfp_flows.distributions.model import Model
from tfp_flows.distributions.rows import check_context


def inside_of(model: Model, context: Any) -> tuple[Model, Any]:
    """Returns the model inside of `Given` and `Embedded`, and the context it sees.

    Args:
      model: any.
      context: `[*batch, *context_shape]`, a mapping of such where contexts have parts,
        or None.

    Raises:
      ValueError: if the context is missing, not wanted, or does not fit.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.maf((2,), 1, (8,), context_shape=(1,))
      >>> model, context = inside_of(flow.given([3.0]), None)
      >>> model is flow, context.numpy()
      (True, array([3.], dtype=float32))
    """
    while isinstance(model, Given) and context is None:
        model, context = model.inner, model.context
    if isinstance(model, Embedded) and context is not None:
        return model.inner, model.embed(context)
    check_context(context, model.context_shape, model.name)
    return model, context
