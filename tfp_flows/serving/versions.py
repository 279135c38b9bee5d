"""Looks after the versions of a model: lists, labels, compares and prunes them.

    python -m tfp_flows.serving.versions list --base=served/digits
    python -m tfp_flows.serving.versions label --base=served/digits canary=3 stable=2
    python -m tfp_flows.serving.versions compare --base=served/digits 2 3
    python -m tfp_flows.serving.versions prune --base=served/digits --keep=3

`compare` runs both versions in the C++ runtime on the same rows, those of `--rows`, an
npz of inputs of `log_prob` by name such as `x` and `context`, or the first version's
golden ones. It prints the mean difference of log_prob with its standard error. `prune`
removes all but the newest, and never a labelled one.

Exit status: 2 and one line for a version that is not there, or rows that do not fit.
"""

import argparse
import json
import math
import pathlib
import shutil
import sys
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tfp_flows.serving import (
    c_api,
    card_check,
    check,
    golden,
    labels,
    publishing,
)

_SIGNATURE = "log_prob"
# What NumPy raises for a file that is no npz.
_NO_ROWS = (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)


class Drift(NamedTuple):
    """How log_prob differs between two versions.

    Attributes:
      mean: of the second minus the first, in nats.
      standard_error: of the mean over rows; NaN for a single row.
      num_rows: that are valid in both.
      num_invalid: that are not.
    """

    mean: float
    standard_error: float
    num_rows: int
    num_invalid: int


def compare(
    first: pathlib.Path,
    second: pathlib.Path,
    rows: Mapping[str, np.ndarray] | None = None,
) -> Drift:
    """Runs two versions on the same rows, in a process without TensorFlow's Python.

    Args:
      first: directory of a version.
      second: directory of another.
      rows: inputs of `log_prob` by name; None for the golden ones of the first.

    Raises:
      ValueError: if the rows do not fit, or none is valid in both.
      CheckError: if a version must not be loaded.
    """
    for directory in (first, second):
        _check(directory)
    inputs = golden.load(first)[_SIGNATURE].inputs if rows is None else rows
    answers = [_answers(directory, inputs) for directory in (first, second)]
    good = answers[0]["valid"] & answers[1]["valid"]
    if not good.any():
        raise ValueError(f"None of {len(good)} rows is valid in both versions.")
    old, new = (answer[_SIGNATURE][good].astype(np.float64) for answer in answers)
    change = new - old
    count = len(change)
    spread = change.std(ddof=1) / math.sqrt(count) if count > 1 else math.nan
    return Drift(float(change.mean()), float(spread), count, int((~good).sum()))


def prune(base: pathlib.Path, keep: int) -> list[int]:
    """Removes old versions; the newest and labelled ones stay.

    Args:
      base: directory of the versions.
      keep: how many of the newest stay, at least 1.

    Returns:
      The numbers that were removed.

    Raises:
      ValueError: if `keep` is below 1.
    """
    if keep < 1:
        raise ValueError(f"prune keeps the newest version at least, got keep={keep}.")
    stay = {*labels.read(base).values()}
    removed = [v for v in publishing.directories(base)[:-keep] if v not in stay]
    for version in removed:
        # A server sees a version whole or not at all, also when it goes.
        gone = base / f".tmp-{uuid.uuid4().hex}"
        (base / str(version)).rename(gone)
        if gone.is_symlink():
            gone.unlink()
        else:
            shutil.rmtree(gone)
    return removed


def _check(directory):
    try:
        check.check_unloaded(directory)
    except check.CheckError as error:
        what = f"Version {directory.name} must not be loaded: {error}"
        raise check.CheckError(what) from error


def _answers(directory, inputs):
    session = c_api.Session(directory)
    try:
        return session.run(_SIGNATURE, inputs)
    except c_api.CApiError as error:
        shapes = {name: np.shape(value) for name, value in inputs.items()}
        raise ValueError(
            f"Version {directory.name} does not take rows {shapes}: {error}"
        ) from error
    finally:
        session.close()


def _listed(base):
    """Yields a line for each version: number, labels, when and by what it was made."""
    labelled = labels.read(base)
    for version in publishing.directories(base):
        names = ",".join(sorted(k for k, v in labelled.items() if v == version))
        try:
            card = card_check.read(base / str(version))
            made = card["library_versions"]
            what = f"{card['kind']} {card['event_shape']} tfp_flows {made['tfp_flows']}"
        except (OSError, ValueError, KeyError) as error:
            what = f"no card that can be read: {error}"
        yield f"{version}\t{names or '-'}\t{what}"


def _label(base, entries):
    labelled = {**labels.read(base), **labels.parse(entries)}
    there = publishing.directories(base)
    for label, version in labelled.items():
        if version not in there:
            raise ValueError(f"There is no version {version} to be called {label!r}.")
    labels.write(base, labelled)
    return json.dumps(labelled)


def _compared(base, first, second, rows):
    given = None
    if rows is not None:
        given = _read_rows(rows)
    drift = compare(base / str(first), base / str(second), given)
    return (
        f"log_prob of {second} minus that of {first}: {drift.mean:+.6g} +- "
        f"{drift.standard_error:.2g} nats over {drift.num_rows} rows, "
        f"{drift.num_invalid} not valid"
    )


def _read_rows(path):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _NO_ROWS as error:
        raise ValueError(
            f"{path!r} is no .npz of arrays by name: {error}. Write it with "
            "np.savez(path, x=x)."
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the command line says; returns the exit status."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    base = pathlib.Path(asked.base)
    try:
        if not base.is_dir():
            raise ValueError(f"There is no directory {asked.base!r}.")
        if asked.command == "list":
            lines = list(_listed(base))
        elif asked.command == "label":
            lines = [_label(base, asked.entries)]
        elif asked.command == "compare":
            lines = [_compared(base, asked.first, asked.second, asked.rows)]
        else:
            lines = [f"removed {version}" for version in prune(base, asked.keep)]
    except (ValueError, OSError, c_api.CApiError, check.CheckError) as error:
        parser.error(str(error))
    print("\n".join(lines))
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m tfp_flows.serving.versions",
        description="Lists, labels, compares and prunes the versions of a model.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    made = {
        name: commands.add_parser(name)
        for name in ("list", "label", "compare", "prune")
    }
    for command in made.values():
        command.add_argument("--base", required=True, help="such as served/digits")
    made["label"].add_argument("entries", nargs="+", help="such as canary=3")
    made["compare"].add_argument("first", type=int)
    made["compare"].add_argument("second", type=int)
    made["compare"].add_argument("--rows", help=".npz of log_prob's inputs by name")
    made["prune"].add_argument("--keep", type=int, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
