"""Parquet: columns of numbers, lists of numbers, or encoded images."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyarrow import parquet as pq

from tfp_flows.scoring.blocks import Raw
from tfp_flows.scoring.readers.opening import opened
from tfp_flows.scoring.readers.reader import Piece, Reader, objects


class Parquet(Reader):
    """Reads row groups, each a piece of its own, and of them what is asked for."""

    def widths(self, path: str):
        """Returns 1 for columns of numbers; only rows tell how long a list is."""
        with _opened(path) as file:
            return {field.name: _width(field.type) for field in file.schema_arrow}

    def pieces(self, path: str, size: int):
        """Returns the row groups."""
        with _opened(path) as file:
            groups = file.metadata.num_row_groups
            counts = [file.metadata.row_group(i).num_rows for i in range(groups)]
        starts = np.cumsum([0, *counts])[:-1].tolist()
        return [Piece(path, "parquet", i, start) for i, start in enumerate(starts)]

    def read(self, piece: Piece, size: int, numbers: Sequence[str], key: str | None):
        """Yields the rows of a row group."""
        with _opened(piece.path) as file:
            wanted = {*numbers, key}
            names = [name for name in file.schema_arrow.names if name in wanted]
            start = piece.start
            for batch in file.iter_batches(size, [piece.part], names):
                columns = {name: values(batch.column(name)) for name in names}
                positions = start + np.arange(batch.num_rows)
                yield Raw(piece.path, positions, columns)
                start += batch.num_rows


@contextlib.contextmanager
def _opened(path) -> Iterator[pq.ParquetFile]:
    with opened(path) as file:
        yield pq.ParquetFile(file)


def _width(kind):
    if pa.types.is_fixed_size_list(kind):
        return kind.list_size
    is_scalar = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    return 1 if is_scalar else None


def values(array: pa.Array) -> np.ndarray:
    """Returns a column as numbers `[n, ...]` if it is regular, else as objects `[n]`.

    Examples:
      >>> values(pa.array([[1, 2], [3, 4]])).shape
      (2, 2)
      >>> values(pa.array([[1, 2], None])).dtype
      dtype('O')
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = array.type
    if not array.null_count:
        if _is_number(kind):
            return array.to_numpy(zero_copy_only=False)
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        if is_list or pa.types.is_fixed_size_list(kind):
            numbers = array.flatten()
            if _is_number(kind.value_type) and not numbers.null_count:
                lengths = array.value_lengths().unique() if is_list else [0]
                if len(array) and len(lengths) == 1:
                    flat = numbers.to_numpy(zero_copy_only=False)
                    return flat.reshape(len(array), -1)
    return objects(array.to_pylist())


def _is_number(kind):
    return any(
        is_kind(kind)
        for is_kind in (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
    )
