"""Refuses tables that have no density: they would fail in the baselines, late."""

from collections.abc import Iterator

import numpy as np

from train.pipelines.sources import Chosen, Source, blocks

_SAMPLE = 20_000  # rows, or four for each column
# Share of the variance below which a combination of columns is a constant: rounding to
# float32 leaves about 1e-14 of it, times the square of mean over deviation.
_NONE = 1e-10


def check(source: Source, path: str) -> None:
    """Refuses rows that are not finite, constant columns, and those that follow.

    Finite and constant are looked for in all rows, a few MiB at a time. Columns that
    are independent in a sample are so in all rows, which are asked only if they are
    not; that takes a matrix of columns by columns.

    Args:
      source: of the rows, `[N, ...]`.
      path: of the file, for messages.

    Raises:
      ValueError: for such rows.
    """
    mean, deviation = _moments(source, path)
    size = len(mean)
    if size < 2:
        raise ValueError(
            f"{path} holds one number an event; a coupling flow needs two or more. Add "
            "columns."
        )
    constant = np.flatnonzero(deviation == 0).tolist()
    if constant:
        raise ValueError(
            f"{path} is constant in the columns {constant} (from 0). Drop them: they "
            "have no density."
        )
    enough = max(_SAMPLE, 4 * size)
    rank = 0
    for asked in (_some(source, enough), source):
        rank = _rank(asked, mean, deviation)
        if rank >= min(size, len(source) - 1):
            return
    raise ValueError(
        f"{path} has {size} columns of which only {rank} are linearly independent. "
        "Drop the columns that follow from others."
    )


def _tables(source: Source) -> Iterator[np.ndarray]:
    for places in blocks(source):
        x = source.rows(places).x
        yield x.reshape(len(x), -1).astype(np.float64)


def _moments(source, path):
    """Returns mean and standard deviation of each column, 0 only for constant ones."""
    total = squares = 0.0
    first = least = greatest = None
    for x in _tables(source):
        if not np.isfinite(x).all():
            raise ValueError(
                f"{path} holds values that are not finite. Drop or fill these rows "
                "first."
            )
        if first is None:  # about which squares lose no digits
            first = x.mean(axis=0)
            least = greatest = x[0]
        least = np.minimum(least, x.min(axis=0))
        greatest = np.maximum(greatest, x.max(axis=0))
        total = total + (x - first).sum(axis=0)
        squares = squares + ((x - first) ** 2).sum(axis=0)
    shift = total / len(source)
    variance = np.maximum(squares / len(source) - shift**2, 0.0)
    varies = least < greatest
    return first + shift, np.where(varies, np.sqrt(variance), 0.0)


def _some(source, count):
    if len(source) <= count:
        return source
    places = np.random.default_rng(0).choice(len(source), count, replace=False)
    return Chosen(source, np.sort(places))


def _rank(source, mean, deviation):
    products = np.zeros((len(mean), len(mean)))
    for x in _tables(source):
        x = (x - mean) / deviation
        products += x.T @ x
    return int((np.linalg.eigvalsh(products / len(source)) > _NONE).sum())
