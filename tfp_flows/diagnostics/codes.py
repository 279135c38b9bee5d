"""Codes of held-out events: uniform, normal and independent if the model is right."""

import dataclasses
from typing import Any

import numpy as np
from scipy import special, stats

from tfp_flows.diagnostics.bands import UniformBand
from tfp_flows.diagnostics.events import Events
from tfp_flows.diagnostics.finding import DoesNotFit, Finding, shown
from tfp_flows.distributions import (
    Autoregressive,
    GaussianMixture,
    Model,
    StandardLogistic,
    StandardNormal,
    StudentT,
)


@dataclasses.dataclass(frozen=True)
class LatentNormality(Finding):
    """Whether codes of held-out events are independent standard normals.

    Args:
      pit: the codes as uniform numbers, `[N, D]`, D numbers in row-major order.
      distances: largest distance of each code's distribution function from that of a
        standard normal (Kolmogorov and Smirnov), `[D]`.
      p_values: of each code, `[D]`, not corrected for their number.
      radius_p_value: of |z|^2 against chi-squared with D degrees of freedom.
      correlation_p_value: of no correlation between any two codes; 1 if D = 1.
      band: of the distribution function of one code.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.gaussian((3,))
      >>> found = latent_normality(flow, flow.sample(500, seed=1))
      >>> found.pit.shape, found.p_values.shape
      ((500, 3), (3,))
    """

    pit: np.ndarray
    distances: np.ndarray
    p_values: np.ndarray
    radius_p_value: float
    correlation_p_value: float
    band: UniformBand

    @property
    def unit_p_value(self) -> float:
        """The smallest p-value of a code times their number, at most 1 (Bonferroni)."""
        return min(1.0, float(len(self.p_values) * self.p_values.min()))

    @property
    def p_value(self) -> float:
        """Of all three tests together: three times the smallest, at most 1."""
        three = self.unit_p_value, self.radius_p_value, self.correlation_p_value
        return min(1.0, 3.0 * min(three))

    @property
    def worst(self) -> int:
        """Number of the code that is furthest from a normal, in row-major order."""
        return int(np.argmax(self.distances))

    def __str__(self):
        return (
            f"code {self.worst} of {len(self.distances)} is furthest from normal, by "
            f"{self.distances[self.worst]:.3f} ({shown(self.unit_p_value)} of all "
            f"codes); radius {shown(self.radius_p_value)}; correlations "
            f"{shown(self.correlation_p_value)}"
        )


def latent_normality(
    model: Model, held_out: Any, *, context: Any = None, seed: int = 0
) -> LatentNormality:
    """Tests codes of held-out events: each by itself, their length, their correlations.

    Each code against a standard normal by Kolmogorov's and Smirnov's test, |z|^2
    against chi-squared, and the sum of squared correlations against what independent
    columns have (its exact mean and variance [1], as a gamma distribution).

    Integers get uniform noise, and the noise belongs to the model. Noise that is
    learned (variational) is right only as far as its bound is tight.

    Args:
      model: a flow with a normal, logistic, Student-t or `GaussianMixture` base, or
        `Autoregressive`; see `pit`.
      held_out: events that it was not trained on, `[N, *event_shape]`.
      context: `[N, *context_shape]` for a conditional model.
      seed: of the noise.

    Raises:
      ValueError: if the model has no such codes, or the events do not fit.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.gaussian((3,))
      >>> found = latent_normality(flow, 1.5 * flow.sample(500, seed=1))
      >>> found.p_value < 0.001, found.correlation_p_value > 0.01
      (True, True)

    References:
      [1] Schott. Testing for complete independence in high dimensions. Biometrika
          2005.
    """
    uniform = pit(model, held_out, context=context, seed=seed)
    uniform = uniform.reshape(len(uniform), -1)
    count, size = uniform.shape
    z = special.ndtri(np.clip(uniform, 1e-12, 1 - 1e-12))  # finite
    distances = _distances(uniform)
    radius = stats.kstest(np.square(z).sum(axis=1), "chi2", (size,))
    return LatentNormality(
        pit=uniform,
        distances=distances,
        # Of the limit, corrected for the count (Stephens, 1970): exact ones are slow.
        p_values=special.kolmogorov(
            distances * (np.sqrt(count) + 0.12 + 0.11 / np.sqrt(count))
        ),
        radius_p_value=float(radius.pvalue),
        correlation_p_value=_correlation_p_value(z),
        band=UniformBand.of(count),
    )


def pit(
    model: Model, held_out: Any, *, context: Any = None, seed: int = 0
) -> np.ndarray:
    """Returns the probability integral transform of events, in the model's own order.

    For a flow the distribution function of its base at each z, for a base that is a
    mixture of Gaussians P(Z_i <= z_i | units before it); for an autoregressive model
    P(X_i <= x_i | units before it), for integers a uniform number between that and
    P(X_i < x_i | ...). Independent and uniform if the model is right.

    Args:
      model: see `latent_normality`.
      held_out: `[N, *event_shape]`.
      context: `[N, *context_shape]` for a conditional model.
      seed: of the noise.

    Returns:
      In [0, 1]; `[N, *latent_shape]` for a flow, `[N, *event_shape]` otherwise.

    Raises:
      ValueError: as `latent_normality`.

    Examples:
      >>> from tfp_flows import flows
      >>> print(pit(flows.gaussian((1,)), [[0.0]] * 20)[0])
      [0.5]
    """
    events = Events.of(model, held_out, context)
    if isinstance(model, Autoregressive):
        return _pit_of_units(events, seed)
    real = events.real(seed)
    base = real.model.distribution
    known = StandardNormal, StandardLogistic, StudentT, GaussianMixture
    if not isinstance(base, known):
        raise DoesNotFit(
            f"{model.name} has the base {base.name}, whose units are neither "
            "independent normal, logistic or Student-t variables nor of a mixture of "
            "Gaussians. Use coverage, marginals and c2st."
        )
    z = real.each(lambda x, given, start: real.model.encode(x, **given))
    z = np.nan_to_num(z.astype(np.float64), nan=np.inf)  # outside of the support
    if isinstance(base, GaussianMixture):
        return _pit_of_mixture(base, z.reshape(len(z), -1)).reshape(z.shape)
    if isinstance(base, StudentT):
        return special.stdtr(np.asarray(base.df, np.float64), z)
    return special.ndtr(z) if isinstance(base, StandardNormal) else special.expit(z)


def _pit_of_mixture(mixture, z):
    """P(Z_i <= z_i | units before it), `[N, D]`: sum_k p(k | those units) Phi(w_ki)."""
    log_weight, mean, factor = (np.asarray(v, np.float64) for v in mixture.components())
    is_there = np.isfinite(z).all(axis=1, keepdims=True)
    centred = np.where(is_there, z, 0.0).T - mean[..., None]  # [K, D, N]
    white = np.linalg.solve(factor, centred)
    log_scale = np.log(np.diagonal(factor, axis1=1, axis2=2))[..., None]
    # Of all units before each one: what they say of the component.
    log_density = np.cumsum(-0.5 * white**2 - log_scale, axis=1)
    before = np.pad(log_density[:, :-1], [(0, 0), (1, 0), (0, 0)])
    share = special.softmax(log_weight[:, None, None] + before, axis=0)
    uniform = np.sum(share * special.ndtr(white), axis=0).T
    return np.where(is_there, uniform, 1.0)


def _pit_of_units(events, seed):
    model = events.model
    element = model.element
    if element.block_size is not None:
        raise DoesNotFit(
            f"{model.name} draws the {element.block_size} channels of a pixel "
            "together, and they have no distribution function each. Use coverage, "
            "marginals and c2st."
        )

    def both(x, given, start):
        params = model.trace(x, **given)[0][1]
        units, _ = element.supported(x, model.real_dtype)
        return element.cdf(params, units)

    less, at_most = events.each(both)
    v = np.random.default_rng((seed, 1)).random(less.shape)
    return np.clip(less + v * (at_most - less).astype(np.float64), 0.0, 1.0)


def _distances(uniform):
    """Kolmogorov's and Smirnov's distance from uniform of each column, `[D]`."""
    count = len(uniform)
    ordered = np.sort(uniform, axis=0)
    step = np.arange(count)[:, None] / count
    return np.maximum(step + 1 / count - ordered, ordered - step).max(axis=0)


def _correlation_p_value(z):
    count, size = z.shape
    if size == 1:
        return 1.0
    spread = z.std(axis=0)
    white = (z - z.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    # |R|^2 of D x D by the smaller of the two Gram matrices.
    gram = white.T @ white if size < count else white @ white.T
    total = np.square(gram / count).sum()
    own = np.square(np.square(white).mean(axis=0)).sum()
    squares = (total - own) / 2  # of all pairs
    n, pairs = count - 1, size * (size - 1) / 2
    mean = pairs / n
    variance = 2 * pairs * (n - 1) / (n**2 * (n + 2))
    return float(stats.gamma.sf(squares, mean**2 / variance, scale=variance / mean))
