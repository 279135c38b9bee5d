"""The second baseline: a mixture of Gaussians with full covariances."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import Chain
from tfp_flows.distributions import Flow, GaussianMixture, Model
from tfp_flows.flows.parts import checked_shape, finished
from tfp_flows.flows.recipe import recipe

tfb = tfp.bijectors


@recipe()
def gaussian_mixture(
    event_shape: Sequence[int],
    num_components: int = 10,
    *,
    num_values: int | None = None,
    covariance_floor: float = 1e-6,
    seed: int = 0,
    dtype: str = "float32",
    name: str | None = None,
) -> Model:
    """Builds a mixture of full-covariance Gaussians, for data of any scale.

    `adapt` fits it by expectation-maximisation; training by gradient works as well.

    Args:
      event_shape: shape of one event.
      num_components: of the mixture.
      num_values: number of integer values for discrete data; None for continuous.
      covariance_floor: added to the variances, as a share of the variance of each
        unit of the data.
      seed: of the beginnings of expectation-maximisation.
      dtype: of the events and weights.
      name: of the model; the recipe's if None.

    Returns:
      `Flow` whose latent variable is the event itself, or `Dequantized` if
      `num_values` is given.

    Raises:
      ValueError: for a bad shape or number.

    Example:
      >>> gaussian_mixture((3,), 2).log_prob([[0.0, 0.0, 0.0]]).shape
      TensorShape([1])
    """
    shape = checked_shape(event_shape, "gaussian_mixture")
    base = GaussianMixture(shape, num_components, covariance_floor, seed, dtype)
    # The mixture has a unit of its own. tfb.Identity has no dtype.
    identity = tfb.Shift(tf.zeros([], dtype))
    chain = Chain([identity], event_shape=shape, name="gaussian_mixture")
    return finished(Flow(chain, base), num_values)
