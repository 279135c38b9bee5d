"""The first baseline: one Gaussian with full covariance."""

from collections.abc import Sequence

from tfp_flows.bijectors import Chain, TriangularAffine
from tfp_flows.distributions import Flow, Model
from tfp_flows.flows.parts import checked_shape, finished
from tfp_flows.flows.recipe import recipe


@recipe()
def gaussian(
    event_shape: Sequence[int],
    *,
    num_values: int | None = None,
    dtype: str = "float32",
    name: str | None = None,
) -> Model:
    """Builds a full-covariance Gaussian as a flow: x = mean + L z.

    `adapt` gives the maximum-likelihood estimate; training by gradient works as well.

    Args:
      event_shape: shape of one event.
      num_values: number of integer values for discrete data; None for continuous.
      dtype: of the events and weights.
      name: of the model; the recipe's if None.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given.

    Raises:
      ValueError: for a bad shape or number of values.

    Example:
      >>> gaussian((3,)).sample(5, seed=1).shape
      TensorShape([5, 3])
    """
    shape = checked_shape(event_shape, "gaussian")
    chain = Chain([TriangularAffine(shape, dtype=dtype)], name="gaussian")
    return finished(Flow(chain), num_values)
