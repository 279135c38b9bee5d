"""The page: scores, diagnosis and pictures of a run in one file of HTML."""

import base64
import html
import io
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfp_flows import diagnostics, plots
from tfp_flows.distributions import Model
from train import files
from train.evaluation import Score

LEAST = 20  # events, below which nothing can be diagnosed
_TRAIN = 10  # training events for each test event, among which copies are looked for
_QUESTIONS = {
    "latent normality": "Are codes of test events independent standard normals?",
    "coverage": "Do regions of high density hold as much of the data as of samples?",
    "marginals": "Has each unit of the samples the distribution of the data's?",
    "c2st": "Can a classifier tell samples from data? 0.5 if not.",
    "memorisation": "Are samples nearer to training events than test events are?",
    "invertibility": "Does decoding undo encoding, and one log-det the other?",
    "precision": "What does the model's dtype lose against float64?",
    "decomposition": "Which units have the nats?",
    "effective dimension": "How many numbers do events really have?",
}
_PICTURES = {
    "samples": "Samples beside data",
    "interpolations": "Ways between test images",
    "completions": "Completed test images",
    "extremes": "The most and the least likely test images",
    "spectrogram": "Spectrograms",
    "curves": "Training",
}
_STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; } img { max-width: 100%; }
td, th { border-bottom: 1px solid #ccc; padding: .3em .7em; text-align: left;
  vertical-align: top; }
.doubt { color: #b00020; font-weight: bold; } .none { color: #777; }
"""


class Asked(NamedTuple):
    """What a diagnosis says.

    Attributes:
      note: why there is none, or what is to be known about it.
      diagnosis: None if there is none.
    """

    note: str
    diagnosis: diagnostics.Diagnosis | None = None

    def plain(self) -> dict[str, Any]:
        """Returns it as plain data."""
        if self.diagnosis is None:
            return {"note": self.note}
        found, left_out = self.diagnosis.found, self.diagnosis.left_out
        return {
            "note": self.note,
            "num_events": self.diagnosis.num_events,
            "doubts": self.diagnosis.doubts(),
            "found": {name: str(finding) for name, finding in found.items()},
            "left_out": dict(left_out),
        }

    def text(self) -> str:
        """Returns it as Markdown."""
        head = "## Is this density believable?\n"
        if self.diagnosis is None:
            return f"{head}\n{self.note}\n"
        note = f"{self.note}\n\n" if self.note else ""
        return f"{head}\n{note}```\n{self.diagnosis}\n```\n"


def diagnose(flow: Model, splits: Any, config: Any, say: Callable) -> Asked:
    """Diagnoses a trained flow on test events; a bad model does not end the job.

    Every question needs events without gaps: of a table with some, such rows are taken.

    Args:
      flow: trained.
      splits: of the data.
      config: of the job, with `diagnosed`, the number of test events; 0 for none.
      say: prints a line.

    Returns:
      What was found, or why there is nothing.
    """
    if not config.diagnosed:
        return Asked("Nothing was diagnosed: config.diagnosed is 0.")
    if min(len(splits.test), len(splits.train)) < LEAST:
        return Asked(
            f"Nothing was diagnosed: fewer than {LEAST} events to test or train on."
        )
    begun = time.perf_counter()
    (x, context), _ = splits.test.sample(config.diagnosed, config.seed)
    (known, _), _ = splits.train.sample(_TRAIN * len(x), config.seed)
    whole, known = _without_gaps(x), known[_without_gaps(known)]
    note = _of_gaps(whole)
    if min(whole.sum(), len(known)) < LEAST:
        return Asked(f"Nothing was diagnosed. {note} {LEAST} are needed.")
    x, context = x[whole], None if context is None else context[whole]
    try:
        found = diagnostics.diagnose(flow, x, known, context=context, seed=config.seed)
    except ValueError as error:  # such as samples that are not finite
        return Asked(f"Nothing was diagnosed: {error}")
    doubts = ", ".join(found.doubts()) or "nothing"
    say(
        f"Diagnosed with {len(x)} test events in {time.perf_counter() - begun:.1f} s. "
        f"What speaks against the model: {doubts}. See report.html."
    )
    return Asked(note, found)


def _without_gaps(x):
    """Which events have all of their values, bool `[N]`."""
    if x.dtype.kind != "f":
        return np.ones(len(x), bool)
    return ~np.isnan(x).reshape(len(x), -1).any(axis=1)


def _of_gaps(whole):
    """Says what a diagnosis of rows without gaps may be wrong about; "" of no gaps."""
    if whole.all():
        return ""
    return (
        f"All of these questions need rows without gaps, as {whole.sum()} of "
        f"{len(whole)} test events are. Where it depends on the values themselves what "
        "is missing, these are unlike the others, and a doubt may come from that."
    )


def save(
    scores: Sequence[Score],
    note: str,
    diagnosis: Asked,
    workdir: pathlib.Path,
) -> None:
    """Writes `report.html` whole: nothing in it refers to another file.

    Args:
      scores: baselines, then flows; the last is the one that was diagnosed.
      note: how the scores were measured.
      diagnosis: as from `diagnose`.
      workdir: of the job, whose pictures are drawn already.
    """
    title = html.escape(f"{scores[-1].name}: report")
    parts = [f"<h1>{title}</h1>", _scores(scores), _paragraph(note)]
    parts += ["<h2>Is this density believable?</h2>", *_diagnosed(diagnosis)]
    for name, caption in _PICTURES.items():
        path = workdir / f"{name}.png"
        if path.exists():
            parts.append(_picture(path.read_bytes(), caption))
    body = "\n".join(parts)
    files.write_text(
        workdir / "report.html",
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n",
    )


def _scores(scores):
    head = ("model", "bits/dim on test", "standard error", "nats", "parameters")
    rows = [
        (s.name, f"{s.mean:.3f}", f"{s.standard_error:.3f}", f"{s.nats.mean():.2f}")
        + (f"{s.num_parameters:,}",)
        for s in scores
    ]
    return _table(head, rows)


def _diagnosed(asked):
    diagnosis, note = asked.diagnosis, [_paragraph(asked.note)] if asked.note else []
    if diagnosis is None:
        return note
    doubts = diagnosis.doubts()
    rows = [
        ("doubt" if name in doubts else "ok", name, _QUESTIONS[name], str(finding))
        for name, finding in diagnosis.found.items()
    ]
    rows += [
        ("none", name, _QUESTIONS[name], f"Left out: {why}")
        for name, why in diagnosis.left_out.items()
    ]
    summary = (
        f"{diagnosis.num_events} test events and {len(diagnosis.samples)} samples. "
        f"What speaks against the model: {', '.join(doubts) or 'nothing'}. Of right "
        "models one in a hundred has a doubt; with enough events every model has. "
        "Read the sizes."
    )
    table = _table(("", "diagnostic", "question", "found"), rows)
    return [_paragraph(summary), *note, table, *_figures(diagnosis.found)]


def _figures(found: Mapping[str, Any]):
    if "latent normality" in found:
        one = found["latent normality"]
        caption = "Codes of test events: quantiles, and departures with their band"
        yield _picture(_png(plots.latent_normality(one.pit, one.band)), caption)
    if "coverage" in found:
        one = found["coverage"]
        caption = "Coverage of regions of high density, with its band"
        yield _picture(_png(plots.coverage(one.content, one.band)), caption)
    if "decomposition" in found:
        one = found["decomposition"]
        caption = "Nats of each unit, given those before it"
        caption += (
            ", by the flow's linearisation at each event" if one.is_linearised else ""
        )
        yield _picture(_png(plots.shares(one.mean)), caption)


def _table(head, rows):
    def row(cells, kind="td"):
        mark = f' class="{cells[0]}"' if cells[0] in ("doubt", "none") else ""
        inside = "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in cells)
        return f"<tr{mark}>{inside}</tr>"

    return "\n".join(["<table>", row(head, "th"), *map(row, rows), "</table>"])


def _paragraph(text):
    return f"<p>{html.escape(text)}</p>"


def _picture(png, caption):
    data = base64.b64encode(png).decode()
    caption = html.escape(caption)
    image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<h2>{caption}</h2>\n{image}"


def _png(figure):
    file = io.BytesIO()
    figure.savefig(file, dpi=90, format="png")
    return file.getvalue()
