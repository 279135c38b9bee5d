"""The second baseline: a mixture of Gaussians with full covariances."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import Chain
from tfp_flows.distributions import GaussianFlow, GaussianMixture, Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._recipe import recipe

tfb = tfp.bijectors


@recipe(unusable.of_real_numbers, unusable.of_whole_events)
def gaussian_mixture(
    event_shape: Sequence[int],
    num_components: int = 10,
    *,
    support: Any = "real",
    missing: bool = False,
    num_values: int | None = None,
    covariance_floor: float = 1e-6,
    seed: int = 0,
    dtype: str = "float32",
    name: str | None = None,
) -> Model:
    """Builds a mixture of full-covariance Gaussians, for data of any scale.

    `adapt` fits it by expectation-maximisation; training by gradient works as well.
    With `missing`, NaN is a value that is not there, in training and scoring too: it is
    integrated out in closed form, see `GaussianFlow`.

    Args:
      num_components: of the mixture.
      covariance_floor: added to the variances, as a share of the variance of each
        unit of the data.
      seed: of the beginnings of expectation-maximisation.

    Returns:
      `GaussianFlow` whose latent variable is the event itself or, with a support, what
      its map makes of the event; or `Dequantized` if `num_values` is given.

    Raises:
      ValueError: for a bad shape or number.

    Examples:
      >>> gaussian_mixture((3,), 2).log_prob([[0.0, 0.0, 0.0]]).shape
      TensorShape([1])
    """
    frame = Frame.of("gaussian_mixture", locals())
    shape = frame.shape
    base = GaussianMixture(shape, num_components, covariance_floor, seed, dtype)
    # The mixture has a unit of its own. tfb.Identity has no dtype.
    identity = tfb.Shift(tf.zeros([], dtype))
    support = frame.support_map()
    chain = Chain(
        support or [identity], event_shape=frame.data.event_shape, name=frame.name
    )
    return frame.wrapped(GaussianFlow(chain, base, missing=missing))
