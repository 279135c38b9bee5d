"""Requests that a server runs before it serves: the first client does not wait.

`assets.extra/tf_serving_warmup_requests` holds TFRecords of PredictionLogs. A server
that cannot run one does not load the version, so every record is checked by the gate.
Each signature is asked for one row, golden, and for the largest batch, of one number
everywhere, which takes a few bytes.

References:
  https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/saved_model_warmup.md
"""

import os
import pathlib
import struct
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tfp_flows.serving import golden, messages

FILE_NAME = os.path.join("assets.extra", "tf_serving_warmup_requests")
_MOST_RECORDS = 1000  # of a server

_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")


def records(
    name: str, rows: Mapping[str, golden.Golden], max_batch_size: int
) -> list[bytes]:
    """Returns the PredictionLogs for a model.

    Args:
      name: of the model.
      rows: golden rows of every signature.
      max_batch_size: rows of the larger request.
    """
    found = []
    for signature, expected in rows.items():
        row = int(np.argmax(expected.outputs["valid"]))
        one = {key: value[row : row + 1] for key, value in expected.inputs.items()}
        many = {
            key: messages.constant(
                value.flat[0], (max_batch_size, *value.shape[1:]), value.dtype
            )
            for key, value in one.items()
        }
        for inputs in (one, many):
            asked = messages.Request(name, signature, inputs)
            found.append(messages.log(messages.request(asked)))
    return found


def write(directory: str | os.PathLike, logs: Sequence[bytes]) -> None:
    """Writes PredictionLogs below a version's directory."""
    import tensorflow as tf  # the gate reads them without it

    with tf.io.TFRecordWriter(os.path.join(directory, FILE_NAME)) as writer:
        for log in logs:
            writer.write(log)


def read(directory: str | os.PathLike) -> list[messages.Request]:
    """Returns the requests that are recorded below a version's directory.

    Raises:
      FileNotFoundError: if there are none.
      ValueError: if a server could not read one, or there are too many.
    """
    content = pathlib.Path(directory, FILE_NAME).read_bytes()
    found = [messages.to_request(messages.logged(log)) for log in _records(content)]
    if len(found) > _MOST_RECORDS:
        raise ValueError(f"{len(found)} records, a server takes {_MOST_RECORDS}")
    return found


def _records(content: bytes) -> Iterator[bytes]:
    """Yields the records of a TFRecord file."""
    at = 0
    while at < len(content):
        length = content[at : at + _LENGTH.size]
        if len(length) < _LENGTH.size:
            raise ValueError(f"the record at byte {at} is cut")
        size = _LENGTH.unpack(length)[0]
        start = at + _LENGTH.size + _CHECKSUM.size
        record = content[start : start + size]
        sums = content[start - 4 : start], content[start + size : start + size + 4]
        wanted = [_CHECKSUM.pack(_masked(part)) for part in (length, record)]
        if list(sums) != wanted:
            raise ValueError(f"the record at byte {at} has another checksum")
        yield record
        at = start + size + _CHECKSUM.size


def _masked(content):
    """TFRecord's masked CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _remainder(byte):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = [_remainder(byte) for byte in range(256)]
