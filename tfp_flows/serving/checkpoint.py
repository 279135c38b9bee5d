"""What the checkpoint of a SavedModel holds, read without TensorFlow.

`variables/variables.index` is a sorted table of names: for each variable its dtype, its
shape and its place in the data files. What stands there is what a server has in memory,
whatever a card says.

References:
  https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/tensor_bundle.proto
  https://github.com/google/leveldb/blob/main/doc/table_format.md
"""

import collections
import math
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tfp_flows.serving import wire

INDEX = os.path.join("variables", "variables.index")
_FOOTER, _MAGIC = 48, 0xDB4775248B80FB57
_STRING = 7  # TensorFlow's bookkeeping, no variable
# TensorFlow's number of a dtype -> bytes of one number.
_BYTES = {
    **{1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 14: 2, 17: 2, 18: 16},
    **{19: 2, 22: 4, 23: 8},
}


class Variable(NamedTuple):
    """Dtype and shape of what is stored.

    Attributes:
      dtype: TensorFlow's number of it.
      shape: of the variable.
    """

    dtype: int
    shape: tuple[int, ...]


def variables(directory: str | os.PathLike) -> list[Variable]:
    """Returns the variables that the checkpoint of a SavedModel holds.

    Args:
      directory: of the SavedModel.

    Raises:
      FileNotFoundError: if there is no checkpoint.
      ValueError: if the index is damaged, or does not fit the data files.
    """
    found, sizes = [], collections.Counter[str]()
    index = pathlib.Path(directory, INDEX).read_bytes()
    count = 1
    for key, value in _table(index):
        if not key:  # the header
            count = wire.first(value, 1, 0)
            continue
        dtype, size = wire.first(value, 1, 0), wire.first(value, 5, 0)
        shape = _shape(wire.first(value, 2))
        shard = wire.first(value, 3, 0)
        sizes[f"variables.data-{shard:05d}-of-{count:05d}"] += size
        if dtype == _STRING:
            continue
        if dtype not in _BYTES or math.prod(shape) * _BYTES[dtype] != size:
            raise ValueError(
                f"{key.decode(errors='replace')} has {size} bytes in it, and shape "
                f"{list(shape)} of dtype number {dtype}"
            )
        found.append(Variable(dtype, shape))
    _check_sizes(pathlib.Path(directory, "variables"), sizes)
    return found


def totals(stored: Iterable[Variable]) -> dict[str, int]:
    """Returns how much is stored, as cards say it: variables, numbers and bytes.

    Examples:
      >>> totals([Variable(1, (2, 3)), Variable(9, ())])
      {'variables': 2, 'numbers': 7, 'bytes': 32}
    """
    stored = list(stored)
    return {
        "variables": len(stored),
        "numbers": sum(math.prod(v.shape) for v in stored),
        "bytes": sum(math.prod(v.shape) * _BYTES[v.dtype] for v in stored),
    }


def difference(there: Iterable[Variable], stored: Iterable[Variable]) -> str | None:
    """Returns what a graph's variables and stored ones do not share, or None.

    Names are not compared: a checkpoint has those of Python's attributes, a graph its
    own.
    """
    there, stored = collections.Counter(there), collections.Counter(stored)
    for first, second, where in [
        (there - stored, stored, "graph has {} and the checkpoint {}"),
        (stored - there, there, "checkpoint has {} and the graph {}"),
    ]:
        for variable, more in sorted(first.items()):
            counts = where.format(second[variable] + more, second[variable])
            return f"of variables of shape {list(variable.shape)} the {counts}"
    return None


def _check_sizes(folder, sizes):
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise ValueError(f"there are no {size} bytes in {name}, as it says")


def _table(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yields (key, value) of a table."""
    view = memoryview(content)
    if len(view) < _FOOTER or int.from_bytes(view[-8:], "little") != _MAGIC:
        raise ValueError("it is no index of a checkpoint")
    footer = view[-_FOOTER:]
    _, _, at = _handle(footer, 0)  # of a block without use here
    start, size, _ = _handle(footer, at)
    for _, entry in _block(view, start, size):
        start, size, _ = _handle(entry, 0)
        yield from _block(view, start, size)


def _block(view, start, size):
    """Yields (key, value): a key is written as what differs from the one before."""
    end = start + size
    if end + 5 > len(view) or size < 4:
        raise ValueError("a block of it is cut")
    if view[end]:
        raise ValueError("it is compressed, which TensorFlow never writes")
    restarts = int.from_bytes(view[end - 4 : end], "little")
    end -= 4 * (restarts + 1)
    key, at = b"", start
    while at < end:
        shared, at = wire.varint(view, at)
        unshared, at = wire.varint(view, at)
        length, at = wire.varint(view, at)
        if at + unshared + length > end or shared > len(key):
            raise ValueError("an entry of it is cut")
        key = key[:shared] + bytes(view[at : at + unshared])
        at += unshared
        yield key, view[at : at + length]
        at += length


def _handle(view, at):
    start, at = wire.varint(view, at)
    size, at = wire.varint(view, at)
    return start, size, at


def _shape(message):
    dims = wire.values(message, 2)
    return tuple(wire.signed(wire.first(dim, 1, 0)) for dim in dims)
