"""The report: flow and baselines on the test split, with standard errors."""

import dataclasses
import itertools
import json
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows import flows


@dataclasses.dataclass(frozen=True)
class Score:
    """How one model does on the test split.

    Args:
      name: of the model.
      bits: bits per dimension of each test event, `[N]`.
      num_parameters: trained numbers.
    """

    name: str
    bits: np.ndarray
    num_parameters: int

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


def bits_per_dim(flow: Any, part: Any, num_draws: int, batch_size: int = 500) -> Any:
    """Returns bits per dimension of each event of a part, `[N]`.

    A flow on integers gives a bound for one draw of the dequantization noise; here it
    is averaged over `num_draws` draws with the seeds 0 .. num_draws - 1.

    Args:
      flow: any flow.
      part: `Part` of a data set.
      num_draws: of the noise; a continuous flow needs none.
      batch_size: events at a time.
    """
    discrete = flow.num_values is not None
    scale = -1.0 / (np.prod(part.x.shape[1:]) * math.log(2.0))

    @tf.function(reduce_retracing=True)
    def log_prob(x, context, seed):
        given = {} if context is None else {"context": context}
        return flow.log_prob(x, **given, **({"seed": seed} if discrete else {}))

    def draw(i):
        pieces = []
        for start in range(0, len(part), batch_size):
            rows = slice(start, start + batch_size)
            context = None if part.context is None else part.context[rows]
            seed = tf.constant([i, start])
            pieces.append(log_prob(tf.constant(part.x[rows]), context, seed).numpy())
        return np.concatenate(pieces)

    draws = [draw(i) for i in range(num_draws if discrete else 1)]
    return scale * np.mean(draws, axis=0)


def score(name: str, flow: Any, part: Any, num_draws: int) -> Score:
    """Returns the score of a trained flow on a part."""
    parameters = sum(int(np.prod(v.shape)) for v in flow.trainable_variables)
    return Score(name, bits_per_dim(flow, part, num_draws), parameters)


def gaussian_scores(splits: Any, config: Any, num_draws: int) -> list:
    """Fits a Gaussian and mixtures to the training part; the best mixture on valid.

    Contexts are not given to these baselines.

    Args:
      splits: of the data.
      config: `mixture_components` and `covariance_floors` to choose from,
        `max_events` and `fit_draws`.
      num_draws: of the dequantization noise.

    Returns:
      Test scores of the Gaussian and of the chosen mixture.
    """
    shape = {"event_shape": splits.event_shape, "num_values": splits.num_values}
    plain = dataclasses.replace(splits.test, context=None)
    valid = dataclasses.replace(splits.valid, context=None)
    events = splits.train.x[: config.max_events]
    if splits.num_values is not None:
        # Every event with several draws of noise: small components overfit to one.
        draws = min(config.fit_draws, max(1, config.max_events // len(events)))
        events = np.repeat(events, draws, axis=0)

    def fitted(count, floor):
        mixture = flows.gaussian_mixture(
            **shape, num_components=count, covariance_floor=floor
        )
        mixture.adapt(events)
        return bits_per_dim(mixture, valid, num_draws).mean(), count, mixture

    single = flows.gaussian(**shape)
    single.adapt(events)
    grid = itertools.product(config.mixture_components, config.covariance_floors)
    _, count, mixture = min(itertools.starmap(fitted, grid), key=lambda fit: fit[0])
    return [
        score("Gaussian", single, plain, num_draws),
        score(f"mixture of {count} Gaussians", mixture, plain, num_draws),
    ]


def table(scores: Sequence[Score], note: str = "") -> str:
    """Returns the scores as a Markdown table, the mixture's paired difference below.

    Args:
      scores: Gaussian, mixture, then flows.
      note: how they were measured, a sentence for the end.
    """
    lines = [
        "| model | bits/dim on test | standard error | parameters |",
        "|---|---|---|---|",
        *(
            f"| {s.name} | {s.mean:.3f} | {s.standard_error:.3f} | "
            f"{s.num_parameters:,} |"
            for s in scores
        ),
    ]
    difference, error = scores[-1].minus(scores[1])
    return "\n".join(lines) + (
        f"\n\n{scores[-1].name} minus {scores[1].name}, paired by test event: "
        f"{difference:.3f} bits/dim, standard error {error:.3f}. {note}".rstrip()
        + "\n"
    )


def save(
    scores: Sequence[Score], workdir: pathlib.Path, say: Callable, note: str = ""
) -> dict:
    """Prints the table and writes `report.md` and `report.json`.

    Args:
      scores: Gaussian, mixture, then flows.
      workdir: of the job.
      say: prints a line.
      note: how the scores were measured.

    Returns:
      The report as plain data.
    """
    text = table(scores, note)
    say(text)
    difference, error = scores[-1].minus(scores[1])
    report = {
        "scores": [
            {
                "name": s.name,
                "bits_per_dim": s.mean,
                "standard_error": s.standard_error,
                "num_parameters": s.num_parameters,
            }
            for s in scores
        ],
        "difference_to_mixture": {"mean": difference, "standard_error": error},
        "num_test_events": len(scores[0].bits),
        "note": note,
    }
    (workdir / "report.md").write_text(text)
    (workdir / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    return report
