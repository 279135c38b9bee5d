"""TFRecord files as what they hold: records, each to be had by its number."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

_HEADER, _FOOTER = 12, 4  # bytes: length and its checksum; checksum of the record
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed


class Records:
    """The records of several TFRecord files, one file after the other.

    Each file is walked through once, from length to length, so that any record is one
    read away afterwards: 8 bytes a record are kept in memory. The checksums of the
    lengths are verified then; those of the records are not, which in Python would take
    longer than all else.

    Args:
      paths: of the files, in order.
      counts: how many records each one was written with.

    Raises:
      ValueError: if a file is missing, damaged or cut short.
    """

    def __init__(self, paths: Sequence[str | os.PathLike], counts: Sequence[int]):
        self._paths = [pathlib.Path(path) for path in paths]
        self._starts = [
            _starts(path, count)
            for path, count in zip(self._paths, counts, strict=True)
        ]
        self._first = np.cumsum([0, *counts])  # number of each file's first record

    def __len__(self):
        return int(self._first[-1])

    def path(self, place: int) -> pathlib.Path:
        """Returns the file that a record is in.

        Args:
          place: number of the record.
        """
        return self._paths[self._file(place)]

    def read(self, places: np.ndarray) -> list[bytes]:
        """Returns records.

        Args:
          places: their numbers, in any order.

        Raises:
          ValueError: if a file has become shorter meanwhile.
        """
        found = [b""] * len(places)
        files = self._file(places)
        for i in np.unique(files):
            starts, descriptor = self._starts[i], os.open(self._paths[i], os.O_RDONLY)
            try:
                for j in np.flatnonzero(files == i):
                    at = places[j] - self._first[i]
                    start = int(starts[at]) + _HEADER
                    size = int(starts[at + 1]) - _FOOTER - start
                    found[j] = os.pread(descriptor, size, start)
                    if len(found[j]) < size:
                        raise _damaged(self._paths[i], f"ends before byte {start}")
            finally:
                os.close(descriptor)
        return found

    def _file(self, place):
        return np.searchsorted(self._first, place, side="right") - 1


def _starts(path, count):
    """Returns where each record begins, and where the last one ends."""
    starts, headers = np.zeros(count + 1, np.int64), bytearray()
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}). Files on this machine are read "
            "record by record; copy the data there, or set config.data.cache to memory."
        ) from None
    try:
        size, end = os.fstat(descriptor).st_size, 0
        for i in range(count):
            header = os.pread(descriptor, _HEADER, end)
            end += _HEADER + int.from_bytes(header[:8], "little") + _FOOTER
            if len(header) < _HEADER or end > size:
                raise _damaged(path, f"has {i} whole records of {count}")
            headers += header
            starts[i + 1] = end
    finally:
        os.close(descriptor)
    _check_lengths(path, np.frombuffer(headers, np.uint8).reshape(count, _HEADER))
    if end != size:
        raise _damaged(path, f"has {size - end} bytes after its {count} records")
    return starts


def _check_lengths(path, headers):
    """Verifies the masked CRC-32C of all lengths at once."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    crc = np.full(len(headers), 0xFFFFFFFF, np.uint32)
    for byte in headers[:, :8].T:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc = ~crc
    masked = (crc >> 15 | crc << 17) + np.uint32(0xA282EAD8)
    stored = np.ascontiguousarray(headers[:, 8:]).view("<u4")[:, 0]
    wrong = np.flatnonzero(masked != stored)
    if wrong.size:
        raise _damaged(path, f"has a wrong length at record {wrong[0]}")


def _damaged(path, found):
    return ValueError(
        f"{path} {found}: it is damaged or cut short. Prepare the data set again."
    )
