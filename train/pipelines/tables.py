"""Rows of real numbers: two moons, .csv and .npy files."""

import array
import os
import pathlib
import warnings
from typing import Any

import numpy as np

from train.pipelines import degenerate
from train.pipelines.sources import Arrays, Chosen, Rows, Source, in_memory


def two_moons(config: Any) -> tuple:
    """Draws two interleaved half circles with normal noise; the label may be a context.

    Args:
      config: `num_train`, `num_valid`, `num_test`, `seed`, `context`.

    Returns:
      (sources of train, valid and test), nothing else.
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
    return three_parts(Arrays(x, context), np.arange(count), config), {}


def npy(config: Any) -> tuple:
    """Maps or reads a `.npy` file of rows `[N, D]`, or of events of any shape."""
    path = existing(config)
    try:
        x = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} is no readable .npy file: {error}") from None
    if not isinstance(x, np.ndarray) or x.ndim < 2 or x.dtype.kind not in "iuf":
        found = (
            f"an array of shape {x.shape} and dtype {x.dtype}"
            if isinstance(x, np.ndarray)
            else "several arrays"
        )
        raise ValueError(
            f"{path} holds {found}; wanted are numbers of shape (events, dimensions)."
        )
    return _shuffled(_Numbers(x), path, config)


def csv(config: Any) -> tuple:
    """Reads a `.csv` file of numbers, one event a line, with or without a header."""
    path = existing(config)
    return _shuffled(_Lines(path), path, config)


class _Numbers:
    """Rows of an array, float32."""

    def __init__(self, x):
        self._x = x

    def __len__(self):
        return len(self._x)

    def rows(self, places: np.ndarray) -> Rows:
        """Returns these rows; of a mapped array no others are read."""
        return Rows(np.asarray(self._x[places], np.float32), None)


class _Lines:
    """Rows of a table of text, float32, by where their lines begin: 8 bytes a row."""

    def __init__(self, path):
        self._path = path
        self._starts = _starts_of_lines(path)
        first = _parsed(self._read([0])) if len(self) else None
        self._columns = 0 if first is None else first.shape[1]

    def __len__(self):
        return len(self._starts) - 1

    def rows(self, places: np.ndarray) -> Rows:
        """Returns these rows; no other lines are read."""
        if not len(places):
            return Rows(np.empty((0, self._columns), np.float32), None)
        lines = self._read(places)
        x = _parsed(lines)
        if x is None or x.shape != (len(places), self._columns):
            raise self._refusal(places, lines)
        return Rows(x.astype(np.float32), None)

    def _read(self, places):
        with open(self._path, "rb") as file:
            # What follows a line up to the next row is blank, or a comment.
            texts = [
                os.pread(
                    file.fileno(),
                    self._starts[i + 1] - self._starts[i],
                    self._starts[i],
                )
                for i in places
            ]
        return [text.split(b"\n", 1)[0].decode("latin-1") for text in texts]

    def _refusal(self, places, lines):
        for place, line in zip(places, lines, strict=True):
            x = _parsed([line])
            if x is None or x.shape[1] != self._columns:
                return ValueError(
                    f"{self._path} is no table of numbers: row {place} (from 0) is "
                    f"{line.strip()[:60]!r}. Keep numeric columns only, the same in "
                    "every row."
                )
        return ValueError(f"{self._path} changed while it was read. Start again.")


def _starts_of_lines(path):
    """Returns where each row begins, then the end."""
    starts, end = array.array("q"), 0
    with open(path, "rb") as file:
        for number, line in enumerate(file):
            text = line.strip()
            is_header = number == 0 and _parsed([text.decode("latin-1")]) is None
            if text and not text.startswith(b"#") and not is_header:
                starts.append(end)
            end += len(line)
    starts.append(end)
    return starts


def _parsed(lines):
    """Returns rows of numbers, or None for what is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of no data: refused later
            return np.loadtxt(lines, delimiter=",", ndmin=2)
    except ValueError:
        return None


def existing(config: Any) -> str:
    """Returns `config.path` if there is such a file.

    Raises:
      ValueError: if not.
    """
    path = config.path
    if not path or not pathlib.Path(path).is_file():
        raise ValueError(
            f"There is no file {path!r}. Set config.data.path to the file to read."
        )
    return path


def _shuffled(source: Source, path: str, config: Any) -> tuple:
    if config.context:
        raise ValueError(
            "Files of rows have no labels to condition on. Set config.data.context to "
            "False."
        )
    if not len(source) or not source.rows(np.arange(1)).x.size:
        raise ValueError(f"{path} holds no events. Give a file with at least one row.")
    if config.cache == "memory":
        source = in_memory(source)
    degenerate.check(source, path)
    order = np.random.default_rng(config.seed).permutation(len(source))
    return three_parts(source, order, config), {}


def three_parts(source: Source, order: np.ndarray, config: Any) -> tuple:
    """Cuts rows in an order of their own; what is beyond train is valid, then test.

    Raises:
      ValueError: if nothing is left to train on.
    """
    count = len(source)
    cut, end = count - config.num_valid - config.num_test, count - config.num_test
    if cut < 1:
        raise ValueError(
            f"{count} events are too few for {config.num_valid} to validate and "
            f"{config.num_test} to test. Lower config.data.num_valid and "
            "config.data.num_test."
        )
    return tuple(
        Chosen(source, order[a:b]) for a, b in ((0, cut), (cut, end), (end, count))
    )
