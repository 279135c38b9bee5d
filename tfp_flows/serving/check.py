"""The gate: is this directory a model that TF Serving will serve correctly?

    python -m tfp_flows.serving.check served/digits/1

Runs the model in the C++ runtime that TF Serving uses (see `c_api`), in a process
without TensorFlow's Python. It replays the golden rows, alone, together and beside bad
rows, and sends wrong shapes, which must be refused. It judges the model as a client
sees it: a model that only works in Python does not pass. It is no test with the server
itself: there is no listener, no batching and no version manager here.

Exit status: 0 and one line if all is well; 1 and one line that says what is wrong.
"""

import argparse
import os
import sys
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from tfp_flows.serving import c_api, golden, meta_graph

# What numpy and zipfile raise for an archive that is none, is cut, or is another's.
_DAMAGED = (
    *(OSError, ValueError, KeyError, IndexError, AttributeError, EOFError),
    *(zipfile.BadZipFile, zlib.error),
)
# What no row may hold: character of the dtype -> name and number. int64 are seeds, any
# of which are good; int32 are data.
_BAD = {"f": ("NaN", np.nan), "d": ("NaN", np.nan), "i": ("-1", -1)}


class CheckError(Exception):
    """The model must not be served; the message says why in one line."""


def check_directory(directory: str | os.PathLike) -> str:
    """Checks one version directory, in a process without TensorFlow's Python.

    Args:
      directory: that holds `saved_model.pb`, `variables/` and `assets.extra/`.

    Returns:
      One line that says what was checked.

    Raises:
      CheckError: if the model must not be served.

    Example:
      >>> check_directory("served/digits/1")  # doctest: +SKIP
    """
    rows = _read_golden(directory)
    try:
        session = c_api.Session(directory)
    except (c_api.CApiError, OSError) as error:
        raise CheckError(f"the C++ runtime cannot load it: {_line(error)}") from error
    banned = meta_graph.banned_ops(session.meta_graph)
    if banned:
        raise CheckError(f"the graph holds what cannot be served: {'; '.join(banned)}")
    _check_names(session, rows)
    for name, expected in rows.items():
        _check_rows(session, name, expected)
        _check_bad_rows(session, name, expected)
        _check_shapes(session, name, expected)
    session.close()
    return f"{len(rows)} signatures ({', '.join(sorted(rows))}) serve as exported"


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


def _read_golden(directory):
    if not os.path.isdir(directory):
        raise CheckError("there is no such directory")
    if not os.path.isfile(os.path.join(directory, "saved_model.pb")):
        versions = sorted(n for n in os.listdir(directory) if n.isdigit())
        hint = f"; did you mean its version {versions[-1]}?" if versions else ""
        raise CheckError(f"it holds no saved_model.pb{hint}")
    try:
        return golden.load(directory)
    except FileNotFoundError as error:
        raise CheckError(f"it holds no {golden.FILE_NAME}: export again") from error
    except _DAMAGED as error:
        raise CheckError(f"{golden.FILE_NAME} is damaged: {_line(error)}") from error


def _check_names(session, rows):
    if set(session.signatures) != set(rows):
        raise CheckError(
            f"its signatures are {sorted(session.signatures)}, "
            f"but it has golden rows for {sorted(rows)}"
        )
    for name, expected in rows.items():
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


def _check_rows(session, name, expected):
    """Replays all rows, one and a few: a row may not see its neighbours."""
    size = _size(expected)
    for keep in (slice(None), slice(size - 1, size), slice(size - 1, None, -2)):
        _compare(session, name, expected, keep)


def _check_bad_rows(session, name, expected):
    """Makes the first row bad, one input at a time; the others must not change."""
    for key, value in expected.inputs.items():
        if value.dtype.char not in _BAD:
            continue
        what, number = _BAD[value.dtype.char]
        bad = value.copy()
        bad[0] = number
        outputs = _run(session, name, {**expected.inputs, key: bad})
        where = f"a {what} in row 0 of {key} changes other rows"
        _compare_outputs(name, expected, outputs, slice(1, None), where)
        if outputs.get("valid", np.zeros(1))[0]:
            raise CheckError(f"{name}: a row with {what} in {key} is called valid")


def _check_shapes(session, name, expected):
    """Sends each input with a wrong shape; anything but code 3 is wrong."""
    for key, value in expected.inputs.items():
        wrong = {f"[B, {', '.join(map(str, value.shape[1:]))}, 1]": value[..., None]}
        if value.ndim > 1:
            wider = np.concatenate([value, value[..., -1:]], axis=-1)
            wrong["one too many in the last dimension"] = wider
        for what, array in wrong.items():
            try:
                session.run(name, {**expected.inputs, key: array})
            except c_api.CApiError as error:
                if error.code == c_api.INVALID_ARGUMENT:
                    continue
                raise CheckError(
                    f"{name}: {key} of a wrong shape ({what}) must give code 3, "
                    f"got {_line(error)}"
                ) from error
            raise CheckError(
                f"{name}: {key} of a wrong shape ({what}) is answered, not refused"
            )


def _compare(session, name, expected, keep):
    inputs = {key: value[keep] for key, value in expected.inputs.items()}
    size = len(next(iter(inputs.values())))
    where = f"golden rows replayed in a batch of {size}"
    _compare_outputs(name, expected, _run(session, name, inputs), None, where, keep)


def _compare_outputs(name, expected, outputs, rows, where, keep=slice(None)):
    rows = slice(None) if rows is None else rows
    for key, wanted in expected.outputs.items():
        got, wanted = outputs[key], wanted[keep]
        what = golden.difference(key, got[rows], wanted[rows], expected)
        if what:
            raise CheckError(f"{name}: {where}: {what}")


def _run(session, name, inputs):
    try:
        return session.run(name, inputs)
    except c_api.CApiError as error:
        size = len(next(iter(inputs.values())))
        raise CheckError(
            f"{name} fails on a batch of {size} golden rows: {_line(error)}"
        ) from error


def _size(expected):
    return len(next(iter(expected.inputs.values())))


def _line(error):
    """Returns the first line of an error's message, shortened."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]


if __name__ == "__main__":
    sys.exit(main())
