"""The report: a table of scores, how they were measured, and what is known."""

import json
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from train import files, settings
from train.evaluation import Score

_BINARIZED = {
    "": "",
    "threshold": "Images binarised: 1 from half of the range.",
    "stochastic": "Images binarised: 1 with the probability of the grey level, drawn "
    "once for each with seed {}.",
}


def table(scores: Sequence[Score], note: str = "", reference: int = 1) -> str:
    """Returns the scores as a Markdown table, a paired difference below.

    Nats are those of a whole event: bits/dim times D ln 2, with standard error.

    Args:
      scores: baselines, then flows.
      note: how they were measured, a sentence for the end.
      reference: position of the score that the last one is held against.
    """
    lines = [
        "| model | bits/dim on test | standard error | nats | parameters | "
        "training, s | 100 samples, s |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {s.name} | {s.mean:.3f} | {s.standard_error:.3f} | "
            f"{s.nats.mean():.2f} ({_error(s.nats):.2f}) | {s.num_parameters:,} | "
            f"{s.train_seconds:.0f} | {s.sample_seconds:.3f} |"
            for s in scores
        ),
    ]
    against = scores[reference]
    difference, error = scores[-1].minus(against)
    return "\n".join(lines) + (
        f"\n\n{scores[-1].name} minus {against.name}, paired by test event: "
        f"{difference:.3f} bits/dim, standard error {error:.3f}. {note}".rstrip()
        + "\n"
    )


def save(
    scores: Sequence[Score],
    workdir: pathlib.Path,
    say: Callable,
    note: str = "",
    reference: int = 1,
    changes: Sequence[settings.Change] = (),
) -> dict:
    """Prints the table and writes `report.md` and `report.json`.

    Args:
      scores: baselines, then flows.
      workdir: of the job.
      say: prints a line.
      note: how the scores were measured.
      reference: as for `table`.
      changes: of the settings while the run was going on.

    Returns:
      The report as plain data.
    """
    note = " ".join(filter(None, [note, settings.noted(changes)]))
    text = table(scores, note, reference)
    say(text)
    difference, error = scores[-1].minus(scores[reference])
    report = {
        "scores": [_plain(s) for s in scores],
        "difference": {
            "to": scores[reference].name,
            "mean": difference,
            "standard_error": error,
        },
        "num_test_events": len(scores[0].bits),
        "note": note,
        "changes": [change._asdict() for change in changes],
    }
    files.write_text(workdir / "report.md", text)
    files.write_text(workdir / "report.json", json.dumps(report, indent=2) + "\n")
    return report


def add(report: dict, name: str, plain: Any, text: str, workdir: pathlib.Path) -> None:
    """Adds a part to `report.md` and `report.json`.

    Args:
      report: as from `save`; gets the part, too.
      name: of the part.
      plain: the part as plain data.
      text: the part as Markdown.
      workdir: of the job.
    """
    report[name] = plain
    written = (workdir / "report.md").read_text()
    files.write_text(workdir / "report.md", f"{written}\n{text}")
    files.write_text(workdir / "report.json", json.dumps(report, indent=2) + "\n")


def _plain(score):
    return {
        "name": score.name,
        "bits_per_dim": score.mean,
        "standard_error": score.standard_error,
        "nats": float(score.nats.mean()),
        "nats_standard_error": _error(score.nats),
        "is_exact": score.is_exact,
        "num_parameters": score.num_parameters,
        "train_seconds": score.train_seconds,
        "sample_seconds": score.sample_seconds,
    }


def how_measured(scores: Sequence[Score], splits: Any, config: Any) -> str:
    """Says which numbers are exact and which are bounds, and what the data are.

    Args:
      scores: of all models.
      splits: of the data.
      config: of the job.
    """
    if splits.num_values is None:
        note = "Densities of real numbers, so bits/dim depend on their unit."
        if splits.columns is not None:
            note += _of_few_values(splits.columns, config)
        return (
            note if splits.process is None else f"{note} {_known(scores[-1], splits)}"
        )
    exact = ", ".join(s.name for s in scores if s.is_exact)
    bounds = ", ".join(s.name for s in scores if not s.is_exact)
    given = [(config.flow.name, config.flow), *config.rivals.items()]
    learned = [
        name
        for name, model in given
        if model.options.get("dequantization") == "variational"
    ]
    exception = f" ({', '.join(learned)}: of learned noise)" if learned else ""
    sentences = [
        f"Exact, in one evaluation without noise: {exact}." if exact else "",
        f"The variational bound of uniform dequantization{exception}, averaged over "
        f"{config.num_draws} draws of noise with the seeds 0 to "
        f"{config.num_draws - 1}: {bounds}."
        if bounds
        else "",
        _BINARIZED[config.data.binarize].format(config.data.seed),
        _of_sound(scores[-1], splits) if splits.audio else "",
    ]
    return " ".join(filter(None, sentences))


def _of_few_values(columns, config):
    """Says what of a table makes densities and probabilities hard to compare."""
    modelled = columns.without(config.data.condition_on)
    names = [c.name for c in modelled if c.kind in ("category", "boolean")]
    if not names:
        return ""
    return (
        " Gaussians and rivals take codes for real numbers: where a column has few "
        f"values ({', '.join(names)}), their density can be as high as you like and "
        "says nothing against probabilities."
    )


def _known(score, splits):
    """Holds a model of sequences against the process that they come from."""
    nll, steps = _nats_a_step(score, splits)
    known = [splits.process.log_prob(x) for x, _ in splits.test.blocks()]
    excess = nll + np.concatenate(known) / steps
    error, excess_error = _error(nll), _error(excess)
    return (
        f"Entropy rate of the process: {splits.process.entropy_rate:.4f} nats a step; "
        f"{score.name}: {nll.mean():.4f} nats a step, standard error {error:.4f}, "
        f"which is {excess.mean():.4f} (standard error {excess_error:.4f}) above the "
        "process's own density of the same sequences."
    )


def _of_sound(score, splits):
    """Holds a model of codes against the noise that nobody can foresee."""
    nll, _ = _nats_a_step(score, splits)
    return (
        f"{score.name}: {nll.mean():.4f} nats a step, standard error "
        f"{_error(nll):.4f}; the noise on the tones alone has "
        f"{splits.audio.floor:.4f}, below which no model is on average."
    )


def _nats_a_step(score, splits):
    steps = splits.event_shape[0]
    return score.nats / steps, steps


def _error(values):
    """Returns the standard error of the mean."""
    return float(values.std(ddof=1) / math.sqrt(len(values)))
