"""The first baseline: one Gaussian with full covariance."""

from collections.abc import Sequence

from tfp_flows.bijectors import Chain, TriangularAffine
from tfp_flows.distributions import GaussianFlow, Model
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._recipe import recipe


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
    Values may be missing (NaN), see `GaussianFlow`.

    Args:
      event_shape: shape of one event.

    Returns:
      `GaussianFlow`, or `Dequantized` if `num_values` is given.

    Raises:
      ValueError: for a bad shape or number of values.

    Examples:
      >>> gaussian((3,)).sample(5, seed=1).shape
      TensorShape([5, 3])
    """
    frame = Frame.of("gaussian", locals())
    affine = TriangularAffine(frame.shape, dtype=dtype)
    return frame.wrapped(GaussianFlow(Chain([affine], name=frame.name)))
