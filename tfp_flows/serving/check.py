"""The gate: is this directory a model that TF Serving will serve correctly?

    python -m tfp_flows.serving.check served/digits/1

Nothing is trusted. Before anything is loaded the checksums of all files are compared
(`manifest`), then every operation of the graph with a list of allowed ones
(`operations`), then the card with the graph and the golden rows (`card_check`). Then
the model runs in the C++ runtime that TF Serving uses (see `c_api`), in a process
without TensorFlow's Python. It replays the golden rows, alone, together and beside bad
rows, sends wrong shapes and unequal batches, which must be refused, and no rows at all
(`replay`), and runs the warm-up record by record. It judges the model as a client sees
it: a model that only works in Python does not pass. It is no test with the server
itself: there is no listener, no batching and no version manager here.

Exit status: 0 and one line if all is well; 1 and one line that says what is wrong.
"""

import argparse
import os
import pathlib
import sys
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

from tfp_flows.serving import (
    batching_file,
    c_api,
    card_check,
    checkpoint,
    golden,
    manifest,
    meta_graph,
    replay,
    warm_up,
)
from tfp_flows.serving.replay import CheckError, line

# What is raised for a file that is not what it should be, is cut, or is another's.
_DAMAGED = (
    *(OSError, ValueError, KeyError, IndexError, AttributeError, EOFError, TypeError),
    *(zipfile.BadZipFile, zlib.error, RecursionError, NotImplementedError),
)


def check_directory(directory: str | os.PathLike) -> str:
    """Checks one version directory, in a process without TensorFlow's Python.

    Args:
      directory: that holds `saved_model.pb`, `variables/` and `assets.extra/`.

    Returns:
      One line that says what was checked.

    Raises:
      CheckError: if the model must not be served.

    Examples:
      >>> check_directory("served/digits/1")  # doctest: +SKIP
    """
    card, rows = check_unloaded(directory)
    try:
        session = c_api.Session(directory)
    except (c_api.CApiError, OSError) as error:
        raise CheckError(f"the C++ runtime cannot load it: {line(error)}") from error
    for name, expected in rows.items():
        _check_names(session, name, expected)
        replay.signature(session, name, expected, card)
    requests = _read(warm_up.FILE_NAME, warm_up.read, directory)
    replay.warm_up(session, requests, card)
    session.close()
    return f"{len(rows)} signatures ({', '.join(sorted(rows))}) serve as exported"


def check_unloaded(
    directory: str | os.PathLike,
) -> tuple[dict[str, Any], dict[str, golden.Golden]]:
    """Checks files, operations and card of a version: all but what it answers.

    What passes can be loaded: the runtime trusts a graph, and may die of a damaged one.

    Returns:
      The card, and the golden rows by signature.

    Raises:
      CheckError: if the model must not be loaded.
    """
    _check_files(directory)
    card = _read(card_check.FILE_NAME, card_check.read, directory)
    rows = _read(golden.FILE_NAME, golden.load, directory)
    graph = _read("saved_model.pb", _graph, directory)
    refused = _read("saved_model.pb", lambda _: meta_graph.refused(graph), directory)
    if refused:
        more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
        what = "; ".join(refused[:5])
        raise CheckError(f"the graph holds what cannot be served: {what}{more}")
    stored = _read(checkpoint.INDEX, checkpoint.variables, directory)
    problem = _read(
        card_check.FILE_NAME,
        lambda place: card_check.problem(card, graph, rows, stored, place),
        directory,
    )
    problem = problem or _read(
        batching_file.FILE_NAME,
        lambda place: batching_file.problem(place, card["max_batch_size"]),
        directory,
    )
    if problem:
        raise CheckError(problem)
    return card, rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Checks the directory named on the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tfp_flows.serving.check",
        description="Checks an exported flow in the C++ runtime of TF Serving.",
    )
    parser.add_argument("directory", help="version directory, such as served/digits/1")
    directory = parser.parse_args(arguments).directory
    try:
        print(f"OK: {directory}: {check_directory(directory)}")
    except CheckError as error:
        print(f"FAILED: {directory}: {error}", file=sys.stderr)
        return 1
    return 0


def _check_files(directory):
    if not os.path.isdir(directory):
        raise CheckError("there is no such directory")
    if not os.path.isfile(os.path.join(directory, "saved_model.pb")):
        versions = sorted((n for n in os.listdir(directory) if n.isdigit()), key=int)
        hint = f"; did you mean its version {versions[-1]}?" if versions else ""
        raise CheckError(f"it holds no saved_model.pb{hint}")
    problem = _read(manifest.FILE_NAME, manifest.problem, directory)
    if problem:
        raise CheckError(problem)


def _read(name, read, directory):
    """Reads one of the files; whatever is wrong with it is one line."""
    try:
        return read(directory)
    except FileNotFoundError as error:
        raise CheckError(f"it holds no {name}: export again") from error
    except _DAMAGED as error:
        raise CheckError(f"{name} is damaged: {line(error)}") from error


def _graph(directory):
    content = pathlib.Path(directory, "saved_model.pb").read_bytes()
    return meta_graph.of_saved_model(content)


def _check_names(session, name, expected):
    definition = session.signatures[name]
    for part in ("inputs", "outputs"):
        served, stored = getattr(definition, part), getattr(expected, part)
        if set(served) != set(stored):
            raise CheckError(
                f"the {part} of {name} are {sorted(served)}, "
                f"but it has golden rows for {sorted(stored)}"
            )
        for key, info in served.items():
            if not info.shape or info.shape[0] != -1:
                raise CheckError(
                    f"{name}: {key} has shape {info.shape}, wanted an unknown "
                    "number of rows first"
                )


if __name__ == "__main__":
    sys.exit(main())
