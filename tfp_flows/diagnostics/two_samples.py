"""Samples beside data: can they be told apart, and were they copied?"""

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import stats
from sklearn import base, ensemble, neighbors

from tfp_flows.diagnostics.events import flat_pair, rows_of, unit_of
from tfp_flows.diagnostics.finding import Finding, shown


@dataclasses.dataclass(frozen=True)
class TwoSamples(Finding):
    """How well a classifier tells samples from held-out events.

    Args:
      accuracy: on events that it was not trained on; 0.5 if they are alike, 1 if it
        can tell them all apart.
      num_tests: events that the accuracy was counted on, half of them samples.

    Examples:
      >>> x = np.random.default_rng(0).normal(size=(400, 2))
      >>> 0.3 < c2st(x[:200], x[200:]).accuracy < 0.7
      True
    """

    accuracy: float
    num_tests: int

    @property
    def standard_error(self) -> float:
        """Of the accuracy, if samples and data are alike."""
        return 0.5 / math.sqrt(self.num_tests)

    @property
    def p_value(self) -> float:
        """Of "samples and data are alike", one-sided."""
        right = round(self.accuracy * self.num_tests)
        return float(stats.binomtest(right, self.num_tests, 0.5, "greater").pvalue)

    def __str__(self):
        return (
            f"a classifier is right in {self.accuracy:.3f} of {self.num_tests} events, "
            f"0.5 with standard error {self.standard_error:.3f} if samples and data "
            f"are alike; {shown(self.p_value)}"
        )


@dataclasses.dataclass(frozen=True)
class Marginals(Finding):
    """How far apart single units of samples and held-out events are.

    Args:
      distances: largest distance of the two distribution functions, `[D]`.
      p_values: of each unit, `[D]`, not corrected for their number; for integers too
        large, never too small.

    Examples:
      >>> x = np.random.default_rng(0).normal(size=(500, 3))
      >>> marginals(x[:250], x[250:]).distances.shape
      (3,)
    """

    distances: np.ndarray
    p_values: np.ndarray

    @property
    def worst(self) -> int:
        """Number of the unit that is furthest off, in row-major order."""
        return int(np.argmax(self.distances))

    @property
    def p_value(self) -> float:
        """The smallest p-value of a unit times their number (Bonferroni)."""
        return min(1.0, float(len(self.p_values) * self.p_values.min()))

    def __str__(self):
        return (
            f"unit {self.worst} of {len(self.distances)} is furthest off, by "
            f"{self.distances[self.worst]:.3f}; {shown(self.p_value)}"
        )


@dataclasses.dataclass(frozen=True)
class Memorisation(Finding):
    """Whether samples lie nearer to training events than new events do.

    Args:
      samples: distance of each sample to the nearest training event, `[M]`.
      held_out: the same of each held-out event, `[N]`.
      nearest: number of the training event that is nearest to each sample, `[M]`.

    Examples:
      >>> x = np.random.default_rng(0).normal(size=(400, 5))
      >>> memorisation(x[:100], x[:200], x[200:]).num_copies
      100
    """

    samples: np.ndarray
    held_out: np.ndarray
    nearest: np.ndarray

    @property
    def p_value(self) -> float:
        """Of "no nearer than new events are", one-sided (Mann and Whitney)."""
        test = stats.mannwhitneyu(self.samples, self.held_out, alternative="less")
        return float(test.pvalue)

    @property
    def nearer(self) -> float:
        """How often a sample is nearer than a held-out event; 0.5 is right."""
        statistic = stats.mannwhitneyu(self.samples, self.held_out).statistic
        return float(1.0 - statistic / (len(self.samples) * len(self.held_out)))

    @property
    def num_copies(self) -> int:
        """Number of samples that are training events."""
        return int(np.sum(self.samples == 0))

    def __str__(self):
        return (
            f"a sample is nearer to training events than a new event in "
            f"{self.nearer:.2f} of all pairs; {self.num_copies} of "
            f"{len(self.samples)} samples are copies; {shown(self.p_value)}"
        )


def c2st(
    samples: Any,
    held_out: Any,
    *,
    context: Any = None,
    classifier: Any = None,
    seed: int = 0,
) -> TwoSamples:
    """The classifier two-sample test (Lopez-Paz and Oquab, 2017) [1].

    As many samples as held-out events; the classifier learns on one half of both and
    is judged on the other, once, so that its standard error is that of a coin.

    Args:
      samples: of the model, `[M, *event_shape]`.
      held_out: events that the model was not trained on, `[N, *event_shape]`.
      context: `[N, ...]`, or a mapping of such: the context of each held-out event,
        under which the sample of the same number was drawn; shown to the classifier
        beside both.
      classifier: of scikit-learn; extremely randomised trees if None, which need no
        unit of the data and see no difference that is smooth and small in many units.
      seed: of the halves and the trees.

    Raises:
      ValueError: if shapes do not fit, there are too few, or not all are finite.

    Examples:
      >>> rng = np.random.default_rng(0)
      >>> a, b = rng.normal(size=(500, 2)), rng.normal(size=(500, 2))
      >>> c2st(a, b).p_value > 0.01, c2st(a, 3.0 * b).accuracy > 0.6
      (True, True)

    References:
      [1] Lopez-Paz, Oquab. Revisiting classifier two-sample tests. ICLR 2017.
          arXiv:1610.06545
    """
    samples, held_out = flat_pair(samples, held_out)
    if context is not None:
        samples, held_out = _with_context(samples, held_out, context)
    count = min(len(samples), len(held_out))
    rng = np.random.default_rng(seed)
    pair = [v[rng.permutation(len(v))[:count]] for v in (samples, held_out)]
    half = count // 2
    if classifier is None:
        classifier = ensemble.ExtraTreesClassifier(100, random_state=seed)
    classifier = base.clone(classifier)
    label = np.repeat([0, 1], half)
    classifier.fit(np.concatenate([v[:half] for v in pair]), label)
    right = [
        np.sum(classifier.predict(v[half:]) == number) for number, v in enumerate(pair)
    ]
    num_tests = 2 * (count - half)
    return TwoSamples(float(sum(right) / num_tests), num_tests)


def marginals(samples: Any, held_out: Any) -> Marginals:
    """Compares each unit of samples and data (Kolmogorov and Smirnov).

    Args:
      samples: of the model, `[M, *event_shape]`.
      held_out: events that the model was not trained on, `[N, *event_shape]`.

    Raises:
      ValueError: if shapes do not fit, there are too few, or not all are finite.

    Examples:
      >>> x = np.random.default_rng(0).normal(size=(500, 3))
      >>> found = marginals(x[:250] + [0.0, 1.0, 0.0], x[250:])
      >>> found.worst, found.p_value < 0.001
      (1, True)
    """
    samples, held_out = flat_pair(samples, held_out)
    test = stats.ks_2samp(samples, held_out, method="asymp")
    return Marginals(np.atleast_1d(test.statistic), np.atleast_1d(test.pvalue))


def memorisation(
    samples: Any, train: Any, held_out: Any, *, unit: Any = None
) -> Memorisation:
    """Compares how near samples and new events are to training events [1].

    A model that copies its training data, with noise or without, has samples that are
    nearer to them than new data are. Distances are Euclidean. A model that is bad in
    other ways has samples too far away, which this test does not see, and which hide
    copies.

    Args:
      samples: of the model, `[M, *event_shape]`.
      train: events that it was trained on, `[K, *event_shape]`.
      held_out: events that it was not trained on, `[N, *event_shape]`.
      unit: what units are divided by, a number or `[*event_shape]`; standard deviations
        of the training events if None. Pixels have a unit in common: 1.0.

    Raises:
      ValueError: if shapes do not fit, there are too few, or not all are finite.

    Examples:
      >>> x = np.random.default_rng(0).normal(size=(400, 5))
      >>> memorisation(x[:100] + 0.01, x[:200], x[200:]).p_value < 0.001
      True
      >>> memorisation(x[200:300], x[:200], x[300:]).p_value > 0.01
      True

    References:
      [1] Meehan, Chaudhuri, Dasgupta. A non-parametric test to detect data-copying in
          generative models. AISTATS 2020. arXiv:2004.05675
    """
    train = rows_of(train, "training events")
    samples, held_out = flat_pair(samples, held_out)
    known = train.reshape(len(train), -1).astype(np.float64)
    if known.shape[1] != samples.shape[1]:
        raise ValueError(
            f"Training events have shape {train.shape}, but samples have "
            f"{samples.shape[1]} units each. Give both as [N, *event_shape]."
        )
    unit = unit_of(known, unit)
    search = neighbors.NearestNeighbors(n_neighbors=1).fit(known / unit)
    distances, nearest = search.kneighbors(samples / unit)
    of_new, _ = search.kneighbors(held_out / unit)
    return Memorisation(distances[:, 0], of_new[:, 0], nearest[:, 0])


def _with_context(samples, held_out, context):
    parts = [np.asarray(part, np.float64) for part in tf.nest.flatten(context)]
    context = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    if not len(samples) == len(held_out) == len(context):
        raise ValueError(
            f"c2st got {len(samples)} samples, {len(held_out)} held-out events and "
            f"{len(context)} contexts. Draw one sample under each context: "
            "model.sample((), context=context)."
        )
    return tuple(np.concatenate([v, context], axis=1) for v in (samples, held_out))
