"""A flow whose density is Gaussian, or a mixture of Gaussians: values may miss."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import incomplete, marginals
from tfp_flows.distributions.completion.gaussians import affine_parts, gaussians_of
from tfp_flows.distributions.expectation_maximisation import Mixture
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.model import Model


class GaussianFlow(Flow):
    """An affine flow of a standard normal or a `GaussianMixture`: values may miss.

    As `Flow`, and where values of an event are missing (NaN), `log_prob` is the
    marginal density of those that are there, in closed form, and `adapt` fits to them
    by expectation-maximisation, see `incomplete`: nothing is filled in. A support whose
    map takes each unit by itself may lie on the data side.

    With `missing` that is so everywhere: in graphs, under XLA, in `FlowModel`'s `fit`,
    `evaluate` and `predict`, with gradients of the weights and of what is there, see
    `marginals`. Without it events with NaN have a marginal density in eager mode alone,
    and no gradient; in a traced function, as `FlowModel` runs them, log_prob NaN.

    Args:
      bijector: affine, without context; with a support in front of it a `Chain`.
      distribution: `StandardNormal`, if None, or `GaussianMixture`.
      name: of the distribution.
      missing: whether NaN is a value that is missing in every mode.

    Raises:
      ValueError: if values are to be missing, and the flow has no closed form.

    Examples:
      >>> from tfp_flows.bijectors import TriangularAffine
      >>> flow = GaussianFlow(TriangularAffine((2,)), missing=True)
      >>> log_prob = tf.function(flow.log_prob)
      >>> print(log_prob([[0.0, 0.0], [np.nan, 0.0]]).numpy().round(3))
      [-1.838 -0.919]
    """

    def __init__(
        self,
        bijector: Any,
        distribution: Any = None,
        name: str | None = None,
        missing: bool = False,
    ):
        parameters = dict(locals())
        self._missing = missing
        super().__init__(bijector, distribution, name, parameters)
        if missing and gaussians_of(self) is None:
            raise ValueError(
                f"{self.name} takes missing values only if it is affine behind a "
                "support that keeps units apart, without circles, and of a standard "
                "normal or a GaussianMixture. Take flows.gaussian(..., missing=True)."
            )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return super()._parameter_properties(dtype, num_classes)

    @property
    def takes_missing(self) -> bool:
        """Whether NaN is a value that is missing in every mode."""
        return self._missing

    @property
    def cure_of_missing(self) -> str:
        """What to do about events with NaN."""
        return (
            "Drop or mend such rows, or build the model with missing=True, which "
            "integrates out what is NaN."
        )

    @property
    def prefers_graph(self) -> bool:
        """Whether XLA does it no good: of many small factorisations it makes loops."""
        return self._missing

    def _log_prob(self, x, **kwargs):
        if self._missing:
            return self._marginal(x)
        if not tf.executing_eagerly() or not np.isnan(x).any():
            return super()._log_prob(x, **kwargs)
        mixture = self._mixture()
        if mixture is None:  # no closed form, or weights that are none
            return super()._log_prob(x, **kwargs)
        rows, log_slope = self._on_line(x)
        with np.errstate(all="ignore"):  # of infinite values, as beyond eager mode
            found = incomplete.log_prob(rows.numpy(), mixture)
        return self._of_events(tf.constant(found) + log_slope, x)

    def _marginal(self, x):
        rows, log_slope = self._on_line(x)
        found = marginals.log_prob(rows, gaussians_of(self)) + log_slope
        nothing = tf.constant(-math.inf, found.dtype)
        impossible = tf.math.is_inf(log_slope) & (log_slope < 0)
        return self._of_events(tf.where(impossible, nothing, found), x)

    def _on_line(self, x):
        """Rows `[N, D]` as the Gaussians have them, and log|dx/dy| of each, float64."""
        x, size = tf.cast(x, self.dtype), self.event_shape.num_elements()
        log_slope = tf.zeros_like(x)
        if self.support is not None:
            x, log_slope = self.support.by_unit(x)
        rows, log_slope = (
            tf.cast(tf.reshape(v, [-1, size]), tf.float64) for v in (x, log_slope)
        )
        return rows, tf.reduce_sum(log_slope, axis=-1)

    def _of_events(self, found, x):
        """Gives the log densities of rows the batch shape of events x."""
        batch = tf.shape(x)[: x.shape.rank - self.event_shape.rank]
        return tf.cast(tf.reshape(found, batch), self.dtype)

    def _mixture(self):
        """The Gaussians as arrays; None if there are none, or not finite ones."""
        found = gaussians_of(self)
        if found is None or not np.isfinite(found.factor).all():
            return None
        log_weight, mean, factor = (v.numpy() for v in found)
        return Mixture(
            np.exp(log_weight - np.logaddexp.reduce(log_weight)), mean, factor
        )

    def _adapt(self, x, context, seed):
        parts = affine_parts(self)
        if parts is None or not np.isnan(x).any():
            return super()._adapt(x, context, seed)
        if self.support is not None:
            self.support.check(x)
            x, _ = self.support.by_unit(tf.convert_to_tensor(x))
        if not all(part.is_adapted for part in parts):
            rows = np.reshape(x, [-1, self.event_shape.num_elements()])
            rows = _like(rows.astype(np.float64), self.name)
            x = rows.astype(self.dtype.as_numpy_dtype).reshape([-1, *self.event_shape])
        x = tf.convert_to_tensor(x)
        for part in parts:
            part.adapt(x)
            x, _ = part.inverse_and_log_det(tf.identity(x))
        if isinstance(self.distribution, Model):
            self.distribution._adapt(x, None, seed)
        return None


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
