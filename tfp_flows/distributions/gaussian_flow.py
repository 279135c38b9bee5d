"""A flow whose density is Gaussian, or a mixture of Gaussians: values may miss."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import incomplete
from tfp_flows.distributions.completion.gaussians import gaussians_of
from tfp_flows.distributions.expectation_maximisation import Mixture
from tfp_flows.distributions.flow import Flow


class GaussianFlow(Flow):
    """An affine flow of a standard normal or a `GaussianMixture`.

    As `Flow`, and where values of an event are missing (NaN), `log_prob` is the
    marginal density of those that are there, in closed form, and `adapt` fits to them
    by expectation-maximisation, see `incomplete`. Both work on numbers that are there:
    in a traced function, as `FlowModel` runs them, an event with NaN has log_prob NaN.

    Args:
      bijector: affine, without context.
      distribution: `StandardNormal`, if None, or `GaussianMixture`.
      name: of the distribution.

    Examples:
      >>> from tfp_flows.bijectors import TriangularAffine
      >>> flow = GaussianFlow(TriangularAffine((2,)))
      >>> print(flow.log_prob([[0.0, 0.0], [np.nan, 0.0]]).numpy().round(3))
      [-1.838 -0.919]
    """

    def __init__(
        self, bijector: Any, distribution: Any = None, name: str | None = None
    ):
        super().__init__(bijector, distribution, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return super()._parameter_properties(dtype, num_classes)

    def _log_prob(self, x, **kwargs):
        if not tf.executing_eagerly() or not np.isnan(x).any():
            return super()._log_prob(x, **kwargs)
        mixture = self._mixture()
        if not np.isfinite(mixture.factor).all():  # weights that are none
            return super()._log_prob(x, **kwargs)
        rank = self.event_shape.rank
        size = self.event_shape.num_elements()
        rows = np.reshape(tf.cast(x, tf.float64), [-1, size])
        with np.errstate(all="ignore"):  # of infinite values, as beyond eager mode
            found = incomplete.log_prob(rows, mixture)
            found = found.astype(self.dtype.as_numpy_dtype)
        return tf.constant(found.reshape(x.shape[: x.shape.rank - rank]))

    def _mixture(self):
        log_weight, mean, factor = (v.numpy() for v in gaussians_of(self))
        return Mixture(
            np.exp(log_weight - np.logaddexp.reduce(log_weight)), mean, factor
        )

    def _adapt(self, x, context, seed):
        rows = np.reshape(x, [-1, self.event_shape.num_elements()])
        if not np.isnan(rows).any() or not hasattr(self.bijector, "adapt"):
            return super()._adapt(x, context, seed)
        if not self.bijector.is_adapted:
            rows = _like(rows.astype(np.float64), self.name)
            x = rows.astype(self.dtype.as_numpy_dtype).reshape([-1, *self.event_shape])
        return super()._adapt(tf.constant(x), context, seed)


def _like(rows, owner):
    """Returns complete rows with mean and covariance of the most likely Gaussian."""
    incomplete.check(rows, owner)
    mean, unit = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    rng = np.random.default_rng(0)  # not used: there is one component
    try:
        found = incomplete.fit((rows - mean) / unit, 1, 0.0, unit, rng)
        rest = np.diag(found.factor[0]) ** 2
    except np.linalg.LinAlgError:
        rest = np.zeros(1)
    if rest.min() < 1e-12:  # of the variance, not told by the other units
        raise ValueError(
            f"{owner} needs data of full rank to adapt, got {len(rows)} events of "
            f"{len(unit)} units of which some are constant or follow from others, "
            "among the values that are there. Drop those units, or give more events."
        )
    size = len(unit)
    apart = np.sqrt(size) * unit[:, None] * found.factor[0]
    apart = np.concatenate([apart, -apart], axis=1).T
    return mean + unit * found.mean[0] + apart
