"""Golden rows: a few inputs of each signature and what the model answered at export.

Stored beside the model as one npz, so that anybody can replay them with numpy alone.
"""

import os
from typing import Any, NamedTuple

import numpy as np

FILE_NAME = os.path.join("assets.extra", "golden.npz")
RTOL = 1e-5
LARGEST_RTOL = (
    1e-2  # of networks of reduced precision; nothing that is served is looser
)
NUM_ROWS = 8


class Golden(NamedTuple):
    """Rows of one signature.

    Attributes:
      inputs: name -> `[B, ...]`.
      outputs: name -> `[B, ...]`, the answers.
      rtol: relative tolerance; see `tolerance` for the absolute one.
    """

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    rtol: float = RTOL


def check_rtol(rtol: float) -> None:
    """Refuses a tolerance that means nothing.

    Raises:
      ValueError: if it is not above 0 and at most 0.01.
    """
    is_number = isinstance(rtol, float | int | np.number)
    if not is_number or not 0.0 < rtol <= LARGEST_RTOL:
        raise ValueError(
            f"rtol must be above 0 and at most {LARGEST_RTOL}, got {rtol!r}."
        )


def tolerance(output: np.ndarray, rtol: float = RTOL) -> float:
    """Returns the absolute tolerance of an output: `rtol` of its largest entry or of 1.

    A sum is only as exact as its largest term, so small entries beside large ones
    cannot be held to a relative tolerance of their own.
    """
    finite = np.abs(output[np.isfinite(output)]) if output.dtype.kind == "f" else []
    return rtol * float(np.max(finite, initial=1.0))


def difference(
    name: str, got: np.ndarray, wanted: np.ndarray, rtol: float, atol: float
) -> str:
    """Returns what is wrong with an answer in one clause, "" if nothing is.

    Args:
      name: of the output.
      got: `[B, ...]`, the answer.
      wanted: `[B, ...]`, the golden answer; NaN equals NaN, booleans must be equal.
      rtol: relative tolerance of floats.
      atol: absolute tolerance of floats.
    """
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return (
            f"{name} is {got.dtype} {list(got.shape)}, "
            f"golden {wanted.dtype} {list(wanted.shape)}"
        )
    bad, advice = got != wanted, ""
    if wanted.dtype.kind == "f":
        bad = ~np.isclose(got, wanted, rtol=rtol, atol=atol, equal_nan=True)
        advice = f"; if that is rounding, export with rtol= above {rtol:g}"
    if not bad.any():
        return ""
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return (
        f"{name}{list(index)} is {got[index]}, golden {wanted[index]} "
        f"({int(bad.sum())} of {bad.size} entries differ){advice}"
    )


def save(directory: str | os.PathLike, rows: dict[str, Golden]) -> None:
    """Writes the golden rows of every signature below a model's directory."""
    arrays: dict[str, Any] = {}
    for signature, golden in rows.items():
        arrays[f"{signature}/rtol"] = np.float64(golden.rtol)
        for part in ("inputs", "outputs"):
            for name, value in getattr(golden, part).items():
                arrays[f"{signature}/{part}/{name}"] = np.asarray(value)
    path = os.path.join(directory, FILE_NAME)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    np.savez(path, **arrays)


def load(directory: str | os.PathLike) -> dict[str, Golden]:
    """Returns the golden rows of every signature.

    Raises:
      FileNotFoundError: if the model has none.
    """
    rows: dict[str, Golden] = {}
    with np.load(os.path.join(directory, FILE_NAME), allow_pickle=False) as arrays:
        for key in arrays.files:
            signature, part, *name = key.split("/")
            golden = rows.setdefault(signature, Golden({}, {}))
            if part == "rtol":
                rows[signature] = golden._replace(rtol=float(arrays[key]))
            else:
                getattr(golden, part)[name[0]] = arrays[key]
    return rows
