"""Scores of flow and baselines on the test split, with standard errors."""

import dataclasses
import itertools
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows import flows
from tfp_flows.bijectors import evaluating
from tfp_flows.distributions import Model


@dataclasses.dataclass(frozen=True)
class Score:
    """How one model does on the test split.

    Args:
      name: of the model.
      bits: bits per dimension of each test event, `[N]`.
      num_parameters: trained numbers.
      train_seconds: of all epochs.
      sample_seconds: to draw 100 events, after compilation.
      num_dims: of one event.
      is_exact: whether `bits` are those of the model, or a bound for integers.
    """

    name: str
    bits: np.ndarray
    num_parameters: int
    train_seconds: float
    sample_seconds: float
    num_dims: int
    is_exact: bool

    @property
    def nats(self) -> np.ndarray:
        """Negative log-likelihood of each test event, `[N]`, in nats."""
        return self.bits * (self.num_dims * math.log(2.0))

    @property
    def mean(self) -> float:
        """Mean bits per dimension."""
        return float(self.bits.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean over test events."""
        return float(self.bits.std(ddof=1) / math.sqrt(len(self.bits)))

    def minus(self, other: "Score") -> tuple[float, float]:
        """Returns the mean of the paired differences and its standard error."""
        difference = self.bits - other.bits
        return (
            float(difference.mean()),
            float(difference.std(ddof=1) / math.sqrt(len(difference))),
        )


def bits_per_dim(flow: Model, part: Any, num_draws: int, batch_size: int = 500) -> Any:
    """Returns bits per dimension of each event of a part, `[N]`.

    A dequantized flow gives a bound for one draw of its noise; here it is averaged over
    `num_draws` draws with the seeds 0 .. num_draws - 1. Flows on real numbers and
    `Autoregressive` models are exact: one evaluation, no noise.

    Args:
      flow: any flow or autoregressive model.
      part: `Part` of a data set.
      num_draws: of the noise; an exact model needs none.
      batch_size: events at a time.
    """
    exact = flow.is_exact
    scale = -1.0 / (math.prod(part.event_shape) * math.log(2.0))

    def log_prob(x, context, seed):
        given = {} if context is None else {"context": context}
        with evaluating():
            return flow.log_prob(x, **given, **({} if exact else {"seed": seed}))

    traced = tf.function(log_prob, reduce_retracing=True)

    def draw(i):
        pieces = []
        for start in range(0, len(part), batch_size):
            end = min(start + batch_size, len(part))
            x, context = part.rows(np.arange(start, end))
            if flow.context_shape is None:  # baselines are not told
                context = None
            seed = tf.constant([i, start])
            # Gaussians see missing values where they are there to be looked at.
            whole = flow.takes_missing or not np.isnan(x).any()
            run = traced if whole else log_prob
            pieces.append(run(tf.constant(x), context, seed).numpy())
        return np.concatenate(pieces)

    draws = [draw(i) for i in range(1 if exact else num_draws)]
    return scale * np.mean(draws, axis=0)


def score(
    name: str, flow: Model, splits: Any, config: Any, history: Sequence[Mapping]
) -> Score:
    """Returns the score of a trained flow on the test split.

    Args:
      name: for the table.
      flow: trained.
      splits: of the data.
      config: of the job, with `num_draws`, which exact models leave unused, and
        `eval_batch_size`.
      history: the metrics of every epoch.
    """
    seconds = sum(row.get("seconds", 0.0) for row in history)
    size = config.eval_batch_size
    return _score(name, flow, splits.test, config.num_draws, seconds, size)


def _score(name, flow, part, num_draws, train_seconds, batch_size=500):
    parameters = sum(int(np.prod(v.shape)) for v in flow.trainable_variables)
    bits = bits_per_dim(flow, part, num_draws, batch_size)
    return Score(
        name=name,
        bits=bits,
        num_parameters=parameters,
        train_seconds=train_seconds,
        sample_seconds=_sample_seconds(flow, part),
        num_dims=math.prod(part.event_shape),
        is_exact=flow.is_exact,
    )


def _sample_seconds(flow, part, count: int = 100):
    """Draws twice: the first time is that of tracing."""
    given: dict[str, Any] = {}
    shape: Any = count
    if flow.context_shape is not None:
        context = np.resize(part.head(count).context, (count, *flow.context_shape))
        given, shape = {"context": tf.constant(context)}, ()
    draw = tf.function(lambda seed: flow.sample(shape, seed=seed, **given))
    seconds = []
    for i in range(2):
        start = time.perf_counter()
        tf.nest.map_structure(lambda v: v.numpy(), draw(tf.constant([0, i])))
        seconds.append(time.perf_counter() - start)
    return seconds[-1]


def baseline_scores(splits: Any, config: Any) -> list:
    """Returns test scores of what needs no training; the flow is held to the last one.

    Args:
      splits: of the data.
      config: of the job: `baselines.unigram` in place of Gaussians, see there.

    Raises:
      ValueError: if real numbers are to have a share each.
    """
    if not config.baselines.unigram:
        return gaussian_scores(splits, config)
    if splits.num_values is None:
        raise ValueError(
            f"config.baselines.unigram counts integers, but {config.data.name!r} holds "
            "real numbers. Set it to False."
        )
    return [_unigram_score(splits)]


def _unigram_score(splits):
    """Every unit for itself, with the shares that the values have in training."""
    start = time.perf_counter()
    counts = sum(
        np.bincount(x.ravel(), minlength=splits.num_values)
        for x, _ in splits.train.blocks()
    )
    shares = (counts + 1.0) / (counts + 1.0).sum()  # none is 0 (Laplace)
    counted = time.perf_counter()
    shape = 100, *splits.event_shape
    np.random.default_rng(0).choice(splits.num_values, shape, p=shares)
    drawn = time.perf_counter()
    bits_of = -np.log2(shares)
    bits = [
        bits_of[x].reshape(len(x), -1).mean(axis=1) for x, _ in splits.test.blocks()
    ]
    return Score(
        name="unigram",
        bits=np.concatenate(bits),
        num_parameters=splits.num_values - 1,
        train_seconds=counted - start,
        sample_seconds=drawn - counted,
        num_dims=math.prod(splits.event_shape),
        is_exact=True,
    )


def gaussian_scores(splits: Any, config: Any) -> list:
    """Fits a Gaussian and mixtures to the training part; the best mixture on valid.

    Contexts are not given to these baselines.

    Args:
      splits: of the data.
      config: of the job: `num_draws`, and in `baselines` `mixture_components` and
        `covariance_floors` to choose from (none: no mixture), `max_events` and
        `fit_draws`.

    Returns:
      Test scores of the Gaussian and, if there is a choice, of the chosen mixture.
    """
    num_draws, config = config.num_draws, config.baselines
    shape = {"event_shape": splits.event_shape, "num_values": splits.num_values}
    events, _ = splits.train.head(config.max_events)
    if splits.num_values is not None:
        # Every event with several draws of noise: small components overfit to one.
        draws = min(config.fit_draws, max(1, config.max_events // len(events)))
        events = np.repeat(events, draws, axis=0)

    def fitted(count, floor):
        mixture = flows.gaussian_mixture(
            **shape, num_components=count, covariance_floor=floor
        )
        seconds = _seconds_to_adapt(mixture, events)
        return (
            bits_per_dim(mixture, splits.valid, num_draws).mean(),
            count,
            mixture,
            seconds,
        )

    single = flows.gaussian(**shape)
    seconds = _seconds_to_adapt(single, events)
    scores = [_score("Gaussian", single, splits.test, num_draws, seconds)]
    grid = itertools.product(config.mixture_components, config.covariance_floors)
    fits = itertools.starmap(fitted, grid)
    best = min(fits, key=lambda fit: fit[0], default=None)
    if best is not None:
        _, count, mixture, seconds = best
        name = f"mixture of {count} Gaussians"
        scores.append(_score(name, mixture, splits.test, num_draws, seconds))
    return scores


def _seconds_to_adapt(flow, events):
    start = time.perf_counter()
    flow.adapt(events)
    return time.perf_counter() - start
