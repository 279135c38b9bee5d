"""Arrays `[N, *event]` as `numpy.save` writes them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.scoring.blocks import Raw
from tfp_flows.scoring.readers.opening import opened
from tfp_flows.scoring.readers.reader import Piece, Reader

COLUMN = "x"  # the array is one column, that of the model's first input
_BLOCKS = 16  # of a piece: many enough to share, few enough to keep track of


class Npy(Reader):
    """Reads a range of rows at a time, from its place in the file."""

    def widths(self, path: str):
        """Returns how many numbers a row of the array has."""
        with opened(path) as file:
            shape, _ = _header(file, path)
        return {COLUMN: math.prod(shape[1:])}

    def pieces(self, path: str, size: int):
        """Returns ranges of some blocks."""
        with opened(path) as file:
            shape, _ = _header(file, path)
        step = size * _BLOCKS
        starts = range(0, shape[0], step)
        return [Piece(path, "npy", part, start) for part, start in enumerate(starts)]

    def read(self, piece: Piece, size: int, numbers: Sequence[str], key: str | None):
        """Yields the rows of a range."""
        with opened(piece.path) as file:
            shape, dtype = _header(file, piece.path)
            row = dtype.itemsize * math.prod(shape[1:])
            file.seek(file.tell() + piece.start * row)
            stop = min(piece.start + size * _BLOCKS, shape[0])
            for start in range(piece.start, stop, size):
                count = min(size, stop - start)
                content = file.read(count * row)
                whole = len(content) // row if row else count
                rows = np.frombuffer(content, dtype, whole * (row // dtype.itemsize))
                if whole:
                    columns = {COLUMN: rows.reshape(whole, *shape[1:])}
                    yield Raw(piece.path, start + np.arange(whole), columns)
                if whole < count:
                    raise ValueError(f"the file ends, its header says {shape[0]} rows")


def _header(file: Any, path: str) -> tuple[tuple[int, ...], np.dtype]:
    """Returns shape and dtype, and leaves the file at its first number."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    if not shape or fortran or dtype.kind not in "fiub":
        order = ", columns first" if fortran else ""
        raise ValueError(
            f"{path!r} holds {dtype} {list(shape)}{order}; wanted numbers [N, ...], "
            "rows first. Save np.ascontiguousarray(rows)."
        )
    return shape, dtype
