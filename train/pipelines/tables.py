"""Rows of real numbers: two moons, .csv and .npy files."""

import pathlib
import warnings
from typing import Any

import numpy as np


def two_moons(config: Any) -> tuple:
    """Draws two interleaved half circles with normal noise; the label may be a context.

    Args:
      config: `num_train`, `num_valid`, `num_test`, `seed`, `context`.

    Returns:
      ((x, context) of train, valid and test), nothing else.
    """
    rng = np.random.default_rng(config.seed)
    sizes = (config.num_train, config.num_valid, config.num_test)
    count = sum(sizes)
    label = rng.integers(0, 2, count)
    angle = rng.uniform(0.0, np.pi, count)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.where(label[:, None] == 1, [1.0, 0.5] - upper, upper)
    x = (x + rng.normal(0.0, 0.1, x.shape)).astype(np.float32)
    context = label[:, None].astype(np.float32) if config.context else None
    return _three_parts(x, context, config.num_valid, config.num_test), {}


def npy(config: Any) -> tuple:
    """Reads a `.npy` file of rows `[N, D]`, or of events of any shape."""
    path = _existing(config.path)
    try:
        x = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} is no readable .npy file: {error}") from None
    return _shuffled(x, path, config)


def csv(config: Any) -> tuple:
    """Reads a `.csv` file of numbers, one event a line, with or without a header."""
    path = _existing(config.path)
    with open(path) as lines:
        first = lines.readline()
    try:
        [float(cell) for cell in first.split(",")]
        header = 0
    except ValueError:
        header = 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of no data: refused below
            x = np.loadtxt(path, delimiter=",", skiprows=header, ndmin=2)
    except ValueError as error:
        raise ValueError(
            f"{path} is no table of numbers: {error}. Keep numeric columns only."
        ) from None
    return _shuffled(x, path, config)


def _existing(path):
    if not path or not pathlib.Path(path).is_file():
        raise ValueError(
            f"There is no file {path!r}. Set config.data.path to a .csv or .npy file."
        )
    return path


def _shuffled(x, path, config):
    if config.context:
        raise ValueError(
            "Files of rows have no labels to condition on. Set config.data.context to "
            "False."
        )
    if x.ndim < 2 or x.dtype.kind not in "iuf":
        raise ValueError(
            f"{path} holds an array of shape {x.shape} and dtype {x.dtype}; wanted are "
            "numbers of shape (events, dimensions)."
        )
    if x.size == 0:
        raise ValueError(f"{path} holds no events. Give a file with at least one row.")
    if not np.isfinite(x).all():
        raise ValueError(
            f"{path} holds values that are not finite. Drop or fill these rows first."
        )
    x = x[np.random.default_rng(config.seed).permutation(len(x))].astype(np.float32)
    _check_rank(x.reshape(len(x), -1), path)
    return _three_parts(x, None, config.num_valid, config.num_test), {}


def _check_rank(rows, path):
    """Refuses what has no density: it would fail in the baselines, after training."""
    size = rows.shape[1]
    if size < 2:
        raise ValueError(
            f"{path} holds one number an event; a coupling flow needs two or more. Add "
            "columns."
        )
    scale = rows.std(axis=0)
    constant = np.flatnonzero(scale == 0).tolist()
    if constant:
        raise ValueError(
            f"{path} is constant in the columns {constant} (from 0). Drop them: they "
            "have no density."
        )
    rank = np.linalg.matrix_rank((rows - rows.mean(axis=0)) / scale)
    if rank < min(size, len(rows) - 1):
        raise ValueError(
            f"{path} has {size} columns of which only {rank} are linearly independent. "
            "Drop the columns that follow from others."
        )


def _three_parts(x, context, num_valid, num_test):
    cut, end = len(x) - num_valid - num_test, len(x) - num_test
    if cut < 1:
        raise ValueError(
            f"{len(x)} events are too few for {num_valid} to validate and {num_test} "
            "to test. Lower config.data.num_valid and config.data.num_test."
        )
    return tuple(
        (x[a:b], None if context is None else context[a:b])
        for a, b in ((0, cut), (cut, end), (end, len(x)))
    )
