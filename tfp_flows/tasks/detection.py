"""Detection: which events a model did not expect, at a known rate of false alarms."""

import numbers
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Autoregressive, Model, noise
from tfp_flows.tasks.codes import Conditioned
from tfp_flows.tasks.densities import Densities

_METHODS = ("log_prob", "typicality", "likelihood_ratio", "density_of_states")


class AnomalyDetector:
    """Scores events and turns scores into p-values by split-conformal calibration [1].

    p(x) = (1 + number of calibration events that score at least as high) / (1 + their
    number). For an event from where the calibration events are from, P(p <= rate) <=
    rate, whatever the model: a bad one detects less, and gives no more false alarms.

    Scores, higher is stranger:
      log_prob           -log p(x)
      typicality         |log p(x) - its mean over the reference| [2]
      likelihood_ratio   log background(x) - log p(x) [3]
      density_of_states  -log of a kernel density of log p(x) and, for a flow, log p(z),
                         over the reference [4]

    The reference are samples of the model, so that every calibration event calibrates.
    A plain likelihood finds blank and smooth images likelier than the data. Each of the
    others sees some of what it misses, none sees all.

    Args:
      model: trained.
      calibration: events that the model was not trained on, `[N, *event_shape]`.
      method: one of the scores.
      background: for the likelihood ratio: a simple model of the same events, or one
        of events made from them, such as noisy or turned ones. What is as likely to
        both is no part of the score.
      reference: events in place of samples, such as training data.
      context: the one context `[*context_shape]` of a conditional model.
      num_samples: of the model, for the reference.
      seed: of samples and noise.

    Raises:
      ValueError: if the method is unknown, a background is missing or not wanted, or
        the events have another shape.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.gaussian((2,))
      >>> detector = AnomalyDetector(flow, flow.sample(99, seed=1))
      >>> print(detector.p_value([[0.0, 0.0], [9.0, 9.0]]))
      [1. 0.01]

    References:
      [1] Bates, Candes, Lei, Romano, Sesia. Testing for outliers with conformal
          p-values. Annals of Statistics 2023. arXiv:2104.08279
      [2] Nalisnick, Matsukawa, Teh, Lakshminarayanan. Detecting out-of-distribution
          inputs to deep generative models using typicality. 2019. arXiv:1906.02994
      [3] Ren et al. Likelihood ratios for out-of-distribution detection. NeurIPS 2019.
          arXiv:1906.02845
      [4] Morningstar et al. Density of states estimation for out-of-distribution
          detection. AISTATS 2021. arXiv:2006.09273
    """

    def __init__(
        self,
        model: Model,
        calibration: Any,
        method: str = "log_prob",
        *,
        background: Model | None = None,
        reference: Any = None,
        context: Any = None,
        num_samples: int = 1000,
        seed: int = 0,
    ):
        _check_method(method, background)
        self._asked = Conditioned.of(model, context)
        self._method = method
        salted = noise.salted(seed, "detect")
        self._densities = Densities(self._asked, salted)
        if background is not None:
            other = Conditioned.of(background, None)
            _check_alike(other.model.event_shape, self._asked.model.event_shape)
            self._background = Densities(other, salted)
        if method in ("typicality", "density_of_states"):
            if reference is None:
                kwargs = self._asked.kwargs
                reference = model.sample(num_samples, seed=salted, **kwargs)
            reference = self._asked.checked(reference, "reference events")
            # A copy: TFP's cache knows what was just drawn.
            self._reference = self._densities.of_many(tf.identity(reference))
            _check_scores(self._reference.sum(axis=1), "reference events", model.name)
        self._calibration = self._asked.checked(calibration, "calibration events")
        scores = self.score(self._calibration)
        _check_scores(scores, "calibration events", model.name)
        self._scores = np.sort(scores)

    def score(self, x: Any) -> np.ndarray:
        """Returns how strange events are, `[N]`, higher is stranger.

        Args:
          x: `[N, *event_shape]`.
        """
        x = self._asked.checked(x, "events", least=0)
        densities = self._densities.of_many(x)
        if self._method == "log_prob":
            return -densities[:, 0]
        if self._method == "typicality":
            return np.abs(densities[:, 0] - self._reference[:, 0].mean())
        if self._method == "likelihood_ratio":
            return self._background.of_many(x)[:, 0] - densities[:, 0]
        return -_log_kernel_density(densities, self._reference)

    def p_value(self, x: Any) -> np.ndarray:
        """Returns the conformal p-value of events, `[N]`.

        Args:
          x: `[N, *event_shape]`.
        """
        count = len(self._scores)
        # What has no score, as NaN, is as strange as can be.
        score = np.nan_to_num(self.score(x), nan=np.inf)
        at_least = count - np.searchsorted(self._scores, score, side="left")
        return (1.0 + at_least) / (1.0 + count)

    def detect(self, x: Any, rate: float = 0.05) -> np.ndarray:
        """Returns which events are anomalies, bool `[N]`.

        Args:
          x: `[N, *event_shape]`.
          rate: of false alarms that is allowed.

        Raises:
          ValueError: if there are too few calibration events for the rate.
        """
        least = 1.0 / (1.0 + len(self._scores))
        if not isinstance(rate, numbers.Real) or not least <= rate < 1:
            raise ValueError(
                f"{len(self._scores)} calibration events know rates of false alarms "
                f"from {least:.3g} to 1, got {rate!r}. A rate needs 1 / rate - 1 "
                "calibration events at least."
            )
        return self.p_value(x) <= rate

    def attributions(self, x: Any) -> np.ndarray:
        """Returns what each unit adds: its conditional surprise above the usual.

        -log p(x[i] | units before it) minus its mean over the calibration events, in
        nats: exact for autoregressive models, and the sum over units is -log p(x) but
        for a constant.

        Args:
          x: `[N, *event_shape]`.

        Returns:
          `[N, *event_shape]`, without the last axis where the model draws the channels
          of a pixel together.

        Raises:
          ValueError: if the model is not autoregressive.
        """
        model = self._asked.model
        if not isinstance(model, Autoregressive):
            raise ValueError(
                f"{model.name} has no conditional surprise of single units. "
                "attributions needs an Autoregressive model, such as flows.pixel_cnn."
            )
        x = self._asked.checked(x, "events")
        usual = self._surprise(self._calibration).mean(axis=0)
        return self._surprise(x) - usual

    def _surprise(self, x):
        model, context = self._asked.model, self._asked.context
        params = model.trace(x, context)[0][1]
        units, fits = model.element.supported(x, model.real_dtype)
        if model.element.block_size is not None:
            return -model.element.log_prob(params, units).numpy()
        surprise = -model.element.log_prob(params[..., None, :], units[..., None])
        if fits is not None:  # what is no value at all
            surprise = tf.where(fits, surprise, np.inf)
        return surprise.numpy()


def _check_method(method, background):
    if method not in _METHODS:
        raise ValueError(
            f"AnomalyDetector has no method {method!r}. Choose one of "
            f"{', '.join(_METHODS)}."
        )
    if (background is None) == (method == "likelihood_ratio"):
        raise ValueError(
            f"AnomalyDetector got method={method!r} and background={background!s:.40}. "
            "The likelihood ratio needs a background model, the others take none."
        )


def _check_scores(scores, title, name):
    bad = np.flatnonzero(np.isnan(scores))
    if len(bad):
        raise ValueError(
            f"{len(bad)} of {len(scores)} {title} have no density, NaN, under {name}, "
            f"the first one at row {bad[0]}: no rank among them means anything. Drop "
            "or mend them."
        )
    if not np.isfinite(scores).any():
        raise ValueError(
            f"None of the {title} is possible under {name}: their log-densities are "
            "-inf. Give events in the unit, and of the values, that the model was "
            "trained on."
        )


def _check_alike(of_background, of_model):
    if of_background != of_model:
        raise ValueError(
            f"The background has events {of_background}, the model of {of_model}. "
            "Train it on the same."
        )


def _log_kernel_density(points, reference):
    """Log-density `[N]` of Gaussian kernels on points `[M, S]`, by Scott's rule."""
    count, size = reference.shape
    deviation = reference.std(axis=0)
    width = np.where(deviation > 0, deviation, 1.0) * count ** (-1.0 / (size + 4))
    logs = []
    parts = max(1, -(-len(points) // 1000))  # bounds the memory
    for part in np.array_split(points, parts):
        apart = (part[:, None] - reference) / width  # [N, M, S]
        exponent = -0.5 * (apart**2).sum(axis=-1)
        largest = exponent.max(axis=1, keepdims=True)
        logs.append(np.log(np.exp(exponent - largest).mean(axis=1)) + largest[:, 0])
    return np.concatenate(logs)
