"""The first baseline: one Gaussian with full covariance."""

from collections.abc import Sequence
from typing import Any

from tfp_flows.bijectors import Chain, TriangularAffine
from tfp_flows.distributions import GaussianFlow, Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._recipe import recipe


@recipe(unusable.of_real_numbers, unusable.of_whole_events)
def gaussian(
    event_shape: Sequence[int],
    *,
    support: Any = "real",
    missing: bool = False,
    num_values: int | None = None,
    dtype: str = "float32",
    name: str | None = None,
) -> Model:
    """Builds a full-covariance Gaussian as a flow: x = mean + L z.

    With a `support` that of what the support's map makes of x.

    `adapt` gives the maximum-likelihood estimate; training by gradient works as well.
    With `missing`, NaN is a value that is not there, in training and scoring too: it is
    integrated out in closed form, see `GaussianFlow`.

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
    support = frame.support_map()
    chain = Chain([*support, affine], name=frame.name)
    return frame.wrapped(GaussianFlow(chain, missing=missing))
