"""Protobuf's wire format: what is needed of it without TensorFlow's Python.

A message is a row of (field number, value); a value is an integer or bytes, and a
nested message is bytes. The gate and the clients run without TensorFlow, so its classes
for messages are not there.

References:
  https://protobuf.dev/programming-guides/encoding
"""

import struct
from collections.abc import Iterator
from typing import Any


def fields(message: Any) -> Iterator[tuple[int, Any]]:
    """Yields (field number, value) of a message: integers, or bytes for the rest.

    Args:
      message: bytes, or a view of them.

    Raises:
      ValueError: if these bytes are no message.

    Examples:
      >>> [(number, bytes(value)) for number, value in fields(encode((3, b"ab")))]
      [(3, b'ab')]
    """
    view, at = memoryview(message), 0
    while at < len(view):
        tag, at = varint(view, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(view, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = varint(view, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(
                f"A message cannot hold protobuf wire type {kind} (at byte {at}). "
                "The file is damaged: export again."
            )
        if at + size > len(view):
            raise ValueError(f"A message is cut at byte {at}: export again.")
        yield tag >> 3, view[at : at + size]
        at += size


def values(message: Any, field: int) -> Iterator[Any]:
    """Yields the values of a repeated field."""
    return (value for number, value in fields(message) if number == field)


def first(message: Any, field: int, default: Any = b"") -> Any:
    """Returns the value of a field, or the default where it is not set."""
    return next(values(message, field), default)


def text(value: Any) -> str:
    """Returns a string field's value as text."""
    return bytes(value).decode()


def pairs(message: Any, field: int) -> Iterator[tuple[str, Any]]:
    """Yields (key, value) of a map field whose keys are text."""
    for entry in values(message, field):
        yield text(first(entry, 1)), first(entry, 2)


def integers(message: Any, field: int) -> list[int]:
    """Returns a repeated field of signed 64-bit integers, packed or not."""
    found: list[int] = []
    for value in values(message, field):
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = varint(value, at)
            found.append(number)
    return [signed(value) for value in found]


def signed(value: int) -> int:
    """Returns a varint as the signed 64-bit integer that was written."""
    return value - 2**64 if value >= 2**63 else value


def encode(*entries: tuple[int, Any]) -> bytes:
    """Returns a message of (field number, value).

    Args:
      *entries: integers become varints, floats single precision, text and bytes are
        written with their length.

    Examples:
      >>> encode((1, 150), (2, "testing")).hex()
      '089601120774657374696e67'
    """
    parts = []
    for number, value in entries:
        if isinstance(value, int):
            parts.append(_to_varint(number << 3) + _to_varint(value % 2**64))
        elif isinstance(value, float):
            parts.append(_to_varint(number << 3 | 5) + struct.pack("<f", value))
        else:
            value = value.encode() if isinstance(value, str) else bytes(value)
            parts.append(_to_varint(number << 3 | 2) + _to_varint(len(value)) + value)
    return b"".join(parts)


def _to_varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint(view: Any, at: int) -> tuple[int, int]:
    """Returns the number that begins at a byte, and where it ends.

    Raises:
      ValueError: if there is none.

    Examples:
      >>> varint(bytes([150, 1, 7]), 0)
      (150, 2)
    """
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise ValueError(
                f"A number of a message is damaged at byte {at}: export again."
            )
        byte = view[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
