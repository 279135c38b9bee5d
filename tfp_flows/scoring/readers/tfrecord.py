"""TFRecord files of `tf.train.Example`, the shards of TFDS among them."""

import itertools
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import google_crc32c
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfp_flows.scoring.blocks import Invalid, Raw, name_of
from tfp_flows.scoring.readers.opening import opened
from tfp_flows.scoring.readers.reader import Piece, Reader, objects

_LENGTH = struct.Struct("<QI")  # of the record, and its checksum
_CHECKSUM = struct.Struct("<I")
_LOOKED_AT = 100  # records that tell which features there are: one may lack some


class TFRecord(Reader):
    """Reads a file from its beginning; a damaged record is no row, and no more."""

    def widths(self, path: str):
        """Returns the features of the first examples; only rows tell their lengths."""
        names: set[str] = set()
        with opened(path) as file:
            for record in itertools.islice(_records(file), _LOOKED_AT):
                example = _parsed(record)
                if not isinstance(example, str):
                    names.update(example.features.feature)
        return dict.fromkeys(sorted(names))

    def read(self, piece: Piece, size: int, numbers: Sequence[str], key: str | None):
        """Yields blocks of rows, and the records that are none."""
        names = sorted({*numbers, *([] if key is None else [key])})
        kept: list[tuple[int, Any]] = []
        with opened(piece.path) as file:
            try:
                for position, record in enumerate(_records(file)):
                    found = _parsed(record)
                    if isinstance(found, str):
                        yield Invalid(name_of(piece.path, position), found)
                        continue
                    kept.append((position, found))
                    if len(kept) == size:
                        yield _raw(piece.path, kept, names)
                        kept = []
            except ValueError:
                if kept:  # what stands before the damage is good
                    yield _raw(piece.path, kept, names)
                raise
        if kept:
            yield _raw(piece.path, kept, names)


def _parsed(record):
    """Returns an example, or what is wrong with its record."""
    if record is None:
        return "the record's checksum is wrong"
    try:
        return tf.train.Example.FromString(record)
    except DecodeError:
        return "the record is no tf.train.Example"


def _records(file) -> Iterator[bytes | None]:
    """Yields records, None for one whose content does not fit its checksum.

    Raises:
      ValueError: where a record's length is damaged: nothing tells where the next is.
    """
    while head := file.read(_LENGTH.size):
        if len(head) < _LENGTH.size:
            raise ValueError("the file ends within a record")
        length, checksum = _LENGTH.unpack(head)
        if _masked(head[:8]) != checksum:
            raise ValueError(
                "the length of a record is damaged, or this is no TFRecord"
            )
        record, tail = file.read(length), file.read(_CHECKSUM.size)
        if len(record) < length or len(tail) < _CHECKSUM.size:
            raise ValueError("the file ends within a record")
        yield record if _masked(record) == _CHECKSUM.unpack(tail)[0] else None


def _masked(content):
    """Returns the checksum as the format stores it: rotated, and moved on."""
    crc = google_crc32c.value(content)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _raw(path, kept, names):
    positions, examples = zip(*kept, strict=True)
    columns = {}
    for name in names:
        values = [_value(example.features.feature, name) for example in examples]
        columns[name] = _stacked(values)
    return Raw(path, np.array(positions), columns)


def _value(features, name):
    """Returns numbers `[k]`, bytes, a list of several bytes, or None."""
    if name not in features:  # asking for it would make it
        return None
    feature = features[name]
    kind = feature.WhichOneof("kind")
    if kind is None:
        return None
    values = getattr(feature, kind).value
    if not values:
        return None
    if kind == "bytes_list":
        return values[0] if len(values) == 1 else list(values)
    return np.array(values, np.float32 if kind == "float_list" else np.int64)


def _stacked(values):
    first = values[0]
    if isinstance(first, np.ndarray) and all(
        isinstance(v, np.ndarray) and v.shape == first.shape and v.dtype == first.dtype
        for v in values
    ):
        return np.stack(values)
    return objects(values)
