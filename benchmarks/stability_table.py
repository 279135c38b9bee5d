"""The runs of `benchmarks.stability` as lines and as a page."""

import json
import math
import pathlib
from typing import Any

import numpy as np

_HEAD = """# Plain Adam on every recipe

`python -m benchmarks.stability` trains fresh models with `keras.optimizers.Adam(rate)`,
batch 32, four epochs, without warm-up or clipping, on raw data. Nats an event.

- first: mean loss of the freshly adapted, untrained model on the training data.
- last: first, plus the mean rise over the last epoch of what batches lose above the
  untrained model on the same events; the worst of the seeds in brackets.
- excess: the most by which a batch's loss, of any seed, was above what the untrained
  model has on the same events; allowed are 5 % and 1 nat for every 10 dimensions.
- tuned: last of one run of the same model before layers had gains, with what the jobs
  needed then: AdamW with a cosine decay from 2e-3, weight decay, clipping and, for
  Glow, a warm-up.
- Gaussian: loss of the full-covariance Gaussian of the training data.

"""


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the runs of a file; none if there is no file."""
    if not path.exists():
        return []
    return [json.loads(text) for text in path.read_text().splitlines()]


def line(run: dict[str, Any]) -> str:
    """Returns one run in words."""
    judged = "" if is_good(run) else "  <- not as wanted"
    return (
        f"{run['recipe']}, {run['size']}, {run['data']}, rate {run['rate']:g}, seed "
        f"{run['seed']}: {run['first']:.2f} -> {run['last']:.2f}, excess "
        f"{run['excess']:.2f} of {run['allowed']:.2f}{judged}"
    )


def is_good(run: dict[str, Any]) -> bool:
    """Whether a run ended below where it began, at 1e-3 without excess."""
    # A closed-form fit has nothing left to gain: what the noise of a batch says.
    slack = 0.01 * abs(run["first"]) if run["recipe"].startswith("gaussian") else 0.0
    is_lower = run["last"] <= run["first"] + slack
    return is_lower and (run["rate"] > 1e-3 or run["excess"] <= run["allowed"])


def rows_of(page: pathlib.Path) -> dict[tuple, str]:
    """Returns the rows of a page, if there is one, by recipe, data, size and rate."""
    found = {}
    for text in page.read_text().splitlines() if page.exists() else ():
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        if len(cells) == 12 and cells[4].isdigit():
            found[(*cells[:3], float(cells[3]))] = text
    return found


def num_seeds(row: str) -> int:
    """Returns how many seeds a row is of."""
    return int(row.split("|")[5])


def write(
    runs: pathlib.Path,
    page: pathlib.Path,
    planned: dict[tuple, int],
    reference: pathlib.Path | None = None,
) -> None:
    """Writes a table with a row for each recipe, size, data and rate.

    Rows that the page has already stay, unless there are runs for them; what tuned
    models reach is added to all.

    Args:
      runs: what `benchmarks.stability` wrote.
      page: a Markdown file.
      planned: recipe, data, size and rate -> seeds that make the table whole.
      reference: what `benchmarks.stability --tuned` wrote, of whatever version.
    """
    tuned = {_model(run): run for run in read(reference)} if reference else {}
    groups: dict[tuple, list] = {}
    for run in read(runs):
        groups.setdefault((*_model(run), run["rate"]), []).append(run)
    rows = rows_of(page)
    before = {key[:3]: row.split("|")[10] for key, row in rows.items()}
    rows |= {key: _row(key, group) for key, group in groups.items()}
    for key, row in rows.items():
        cells = row.split("|")
        cells[10] = _tuned(tuned.get(key[:3])) or before.get(key[:3], "  ")
        rows[key] = "|".join(cells)
    good = sum(row.endswith("| yes |") for row in rows.values())
    held = {key: num_seeds(row) for key, row in rows.items()}
    count = sum(min(held.get(key, 0), wanted) for key, wanted in planned.items())
    lines = [
        f"{good} of {len(rows)} rows are as wanted: no run NaN, none ended above where "
        "it began, and at 1e-3 no batch above what is allowed. They hold "
        f"{count} of the {sum(planned.values())} runs that make the table whole, and "
        f"{sum(held.values()) - count} more.",
        "",
        *_beside_tuned(rows),
        "| recipe | data | size | rate | seeds | first | last | excess | allowed | "
        "tuned | Gaussian | as wanted |",
        "|" + "---|" * 12,
        *(rows[key] for key in sorted(rows)),
    ]
    page.write_text(_HEAD + "\n".join(lines) + "\n")


def _model(run):
    return run["recipe"], run["data"], run["size"]


def _tuned(run):
    """What a tuned run reached, as a cell; nothing if there is none."""
    if run is None:
        return ""
    if math.isnan(run["last"]):
        return " not finite "
    return f" {run['last']:.2f} " if abs(run["last"]) < 1e6 else f" {run['last']:.0e} "


def _beside_tuned(rows):
    """Counts in how many rows plain Adam ends as low as the tuned one, by rate."""
    found: dict[float, list[bool]] = {}
    for key, row in rows.items():
        last, tuned = (row.split("|")[i].split() for i in (7, 10))
        if tuned:  # "not finite" is a number above all others
            number = math.inf if tuned[0] == "not" else float(tuned[0])
            found.setdefault(key[3], []).append(float(last[0]) <= number)
    counts = [
        f"in {sum(good)} of {len(good)} rows at {rate:g}"
        for rate, good in sorted(found.items(), reverse=True)
    ]
    return [f"Last is at most tuned {', '.join(counts)}.", ""] if counts else []


def _row(key, group):
    recipe, data, size, rate = key
    last = np.array([run["last"] for run in group])
    worst = max(group, key=lambda r: _or_inf(r["excess"] - r["allowed"]))
    first = np.mean([run["first"] for run in group])
    cells = [
        recipe,
        data,
        size,
        f"{rate:g}",
        str(len(group)),
        f"{first:.2f}",
        f"{last.mean():.2f} ({_worst(last):.2f})",
        f"{worst['excess']:.2f}",
        f"{worst['allowed']:.2f}",
        "",  # of the tuned one
        "" if math.isnan(group[0]["gaussian"]) else f"{group[0]['gaussian']:.2f}",
        "yes" if all(map(is_good, group)) else "**no**",
    ]
    return f"| {' | '.join(cells)} |"


def _or_inf(value):
    return math.inf if math.isnan(value) else value


def _worst(values):
    return math.nan if np.isnan(values).any() else values.max()
