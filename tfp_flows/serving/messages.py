"""The messages of TF Serving's Predict, without TensorFlow: for clients and the gate.

Field numbers are those of `tensorflow/core/framework/tensor.proto` and of
`tensorflow_serving/apis/{model,predict,prediction_log}.proto`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tfp_flows.serving import wire

# TF_DataType -> numpy's dtype, and the field of values that are not in tensor_content.
_DTYPES: dict[int, tuple[Any, int]] = {
    1: (np.dtype("<f4"), 5),
    2: (np.dtype("<f8"), 6),
    3: (np.dtype("<i4"), 7),
    9: (np.dtype("<i8"), 10),
    10: (np.dtype("bool"), 11),
}
_NUMBERS = {dtype: number for number, (dtype, _) in _DTYPES.items()}


class Request(NamedTuple):
    """What a Predict asks.

    Attributes:
      model: its name.
      signature: "" for the default one.
      inputs: name to array, or to the bytes of a TensorProto.
      version: a number, or None.
      label: of a version, or None.
    """

    model: str
    signature: str
    inputs: Mapping[str, Any]
    version: int | None = None
    label: str | None = None


def tensor(array: np.ndarray) -> bytes:
    """Returns a TensorProto of an array.

    Raises:
      ValueError: for a dtype that is never served.

    Examples:
      >>> to_array(tensor(np.float32([[1.0, 2.0]]))).tolist()
      [[1.0, 2.0]]
    """
    array = np.asarray(array)
    return wire.encode(*_head(array.dtype, array.shape), (4, array.tobytes()))


def constant(value: Any, shape: tuple[int, ...], dtype: Any) -> bytes:
    """Returns a TensorProto of one number everywhere, however large, in a few bytes.

    Examples:
      >>> len(constant(0.5, (1000, 1000), np.float32)) < 30
      True
    """
    dtype = np.dtype(dtype)
    number = float(value) if dtype.kind == "f" else int(value)
    field = _DTYPES[_number(dtype)][1]
    entry = (field, np.float64(number).tobytes()) if field == 6 else (field, number)
    return wire.encode(*_head(dtype, shape), entry)


def to_array(message: Any) -> np.ndarray:
    """Returns the array of a TensorProto; fewer values than it has repeat the last.

    Raises:
      ValueError: for a dtype that is never served, or another number of values.
    """
    number = wire.first(message, 1, 0)
    if number not in _DTYPES:
        raise ValueError(f"A tensor of TensorFlow's dtype {number} is never served.")
    dtype, field = _DTYPES[number]
    dims = wire.values(wire.first(message, 2), 2)
    shape = tuple(wire.signed(wire.first(dim, 1, 0)) for dim in dims)
    content = bytes(wire.first(message, 4))
    if content:
        return np.frombuffer(content, dtype).reshape(shape).copy()
    if dtype.kind == "f":
        packed = b"".join(bytes(value) for value in wire.values(message, field))
        found = np.frombuffer(packed, dtype)
    else:
        found = np.array(wire.integers(message, field), np.int64).astype(dtype)
    size = int(np.prod(shape))
    if len(found) > size:
        raise ValueError(f"A tensor of shape {shape} has {len(found)} values.")
    last = found[-1] if len(found) else dtype.type(0)
    return np.append(found, np.full(size - len(found), last, dtype)).reshape(shape)


def request(asked: Request) -> bytes:
    """Returns a PredictRequest."""
    spec: list[tuple[int, Any]] = [(1, asked.model), (3, asked.signature)]
    if asked.version is not None:
        spec.append((2, wire.encode((1, asked.version))))
    if asked.label is not None:
        spec.append((4, asked.label))
    return wire.encode((1, wire.encode(*spec)), *_map(2, asked.inputs))


def to_request(message: Any) -> Request:
    """Returns what a PredictRequest asks."""
    spec = wire.first(message, 1)
    version, label = wire.first(spec, 2, None), wire.first(spec, 4, None)
    return Request(
        wire.text(wire.first(spec, 1)),
        wire.text(wire.first(spec, 3)),
        {name: to_array(value) for name, value in wire.pairs(message, 2)},
        None if version is None else wire.signed(wire.first(version, 1, 0)),
        None if label is None else wire.text(label),
    )


def response(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Returns a PredictResponse."""
    return wire.encode(*_map(1, outputs))


def to_outputs(message: Any) -> dict[str, np.ndarray]:
    """Returns the outputs of a PredictResponse by name."""
    return {name: to_array(value) for name, value in wire.pairs(message, 1)}


def log(message: bytes) -> bytes:
    """Returns the PredictionLog of a PredictRequest."""
    return wire.encode((6, wire.encode((1, message))))


def logged(message: Any) -> bytes:
    """Returns the PredictRequest of a PredictionLog.

    Raises:
      ValueError: if it is the log of something else.
    """
    entry = wire.first(message, 6, None)
    if entry is None:
        raise ValueError("A log holds no Predict.")
    return bytes(wire.first(entry, 1))


def _map(field, arrays):
    for name, value in arrays.items():
        value = value if isinstance(value, bytes) else tensor(value)
        yield field, wire.encode((1, name), (2, value))


def _head(dtype, shape):
    dims = [(2, wire.encode((1, int(size)))) for size in shape]
    return (1, _number(dtype)), (2, wire.encode(*dims))


def _number(dtype):
    if dtype not in _NUMBERS:
        raise ValueError(
            f"A served tensor is one of {', '.join(map(str, _NUMBERS))}, got {dtype}."
        )
    return _NUMBERS[dtype]
