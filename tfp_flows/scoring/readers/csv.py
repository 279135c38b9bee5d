"""CSV with a header: numbers separated by commas."""

import csv
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyarrow import compute
from pyarrow import csv as arrow_csv

from tfp_flows.scoring.blocks import Invalid, Raw, name_of
from tfp_flows.scoring.readers.opening import opened
from tfp_flows.scoring.readers.reader import Piece, Reader, objects

_BYTES = 4 << 20  # read at once


class Csv(Reader):
    """Reads a file from its beginning; lines of another length are no rows."""

    def widths(self, path: str):
        """Returns the header's names, one number each."""
        return dict.fromkeys(_header(path), 1)

    def read(self, piece: Piece, size: int, numbers: Sequence[str], key: str | None):
        """Yields blocks of rows, and the lines that are none."""
        names = _header(piece.path)
        broken: dict[int, int] = {}  # position -> columns; those not told yet

        def keep(row):
            # Lines count from 1, and the header is one.
            broken[row.number - 2] = row.actual_columns
            return "skip"

        def told(before):
            for position in [p for p in broken if p < before]:
                reason = f"{broken.pop(position)} columns, the header has {len(names)}"
                yield Invalid(name_of(piece.path, position), reason)

        start = 0
        with opened(piece.path) as file:
            for batch in _batches(file, names, keep):
                # Arrow reads ahead: lines of the next batch may be known as broken.
                every = np.arange(start, start + batch.num_rows + len(broken))
                positions = np.setdiff1d(every, list(broken))[: batch.num_rows]
                yield from self._blocks(piece, batch, positions, size, numbers, key)
                if len(positions):
                    start = int(positions[-1]) + 1
                yield from told(before=start)
        yield from told(before=np.inf)

    def _blocks(self, piece, batch, positions, size, numbers, key):
        for first in range(0, batch.num_rows, size):
            part = batch.slice(first, size)
            columns = {
                name: _numbers(part.column(name))
                for name in part.schema.names
                if name in numbers
            }
            if key in part.schema.names:
                columns[key] = objects(part.column(key).to_pylist())
            yield Raw(piece.path, positions[first : first + size], columns)


def _header(path):
    with opened(path) as file:
        line = file.readline().decode("utf-8-sig")
    names = next(csv.reader([line]), [])
    if not names or any(map(_is_number, names)) or len(set(names)) < len(names):
        raise ValueError(
            f"The first line of {path!r} must name the columns, each once, got "
            f"{line.strip()!r:.60}."
        )
    return names


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _batches(file, names, keep):
    return arrow_csv.open_csv(
        file,
        # One thread: with more, Arrow does not say which line is broken.
        arrow_csv.ReadOptions(use_threads=False, block_size=_BYTES),
        arrow_csv.ParseOptions(invalid_row_handler=keep),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )


def _numbers(texts):
    """Returns float64 `[n]`, or what stands there where that is no number."""
    if not texts.null_count:
        try:
            return compute.cast(texts, pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            pass
    return objects(texts.to_pylist())
