"""Reads the signatures and the ops of a serialized MetaGraphDef without TensorFlow.

The gate runs without TensorFlow's Python, so its protobuf classes are not there either.
Of the wire format only this is needed: a message is a row of (field number, value), and
a nested message is a value of bytes.

References:
  https://protobuf.dev/programming-guides/encoding
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

# Ops whose result depends on something other than the request, that stop a batch for
# the sake of one row, or that reach out of the graph. Matched against the whole name.
BANNED_OPS = re.compile(
    r"Random(?!Dataset).*|ParameterizedTruncatedNormal|TruncatedNormal|Multinomial"
    r"|Stateful(?!PartitionedCall).*|Rng.*|NonDeterministicInts|SampleDistorted.*"
    r"|Assert|CheckNumerics.*|Print(V2)?|DebugN.*|.*Summary(V2)?"
    r"|PyFunc(Stateless)?|EagerPyFunc|ReadFile|WriteFile|MatchingFiles|.*ReaderV?2?"
    r"|ReaderRead.*|Save|SaveSlices|Restore|RestoreSlice|.*Dataset(V[0-9])?|Iterator.*"
    r"|Batch|BatchFunction|Unbatch|BarrierInsertMany|.*HashTable.*|LookupTable.*"
)
MUST_COMPILE = b"_XlaMustCompile"


class TensorInfo(NamedTuple):
    """One input or output of a signature."""

    name: str
    dtype: int
    shape: tuple[int, ...] | None


class Signature(NamedTuple):
    """Inputs and outputs of a signature, by the names a client uses."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


def signatures(meta_graph: bytes) -> dict[str, Signature]:
    """Returns the signatures of a serialized MetaGraphDef by name.

    Those whose names begin with two underscores are TensorFlow's own and left out.

    Args:
      meta_graph: a serialized MetaGraphDef.

    Returns:
      Name to `Signature`; a dimension of -1 is unknown, a shape of None has no rank.
    """
    result = {}
    for key, value in _map(meta_graph, 5):
        if not key.startswith("__"):
            result[key] = Signature(_tensors(value, 1), _tensors(value, 2))
    return result


def banned_ops(meta_graph: bytes) -> list[str]:
    """Returns a line for each kind of op in the graph that may not be served.

    Args:
      meta_graph: a serialized MetaGraphDef.

    Returns:
      Lines such as `"Assert in __inference_log_prob_12"`, sorted; empty when all is
      well. Every function of the library is read, also bodies of loops and branches.
    """
    found = set()
    for graph in _values(meta_graph, 2):
        found |= {f"{op} in the graph" for op in _banned(graph, 1)}
        for library in _values(graph, 2):
            for function in _values(library, 1):
                name = _text(_first(_first(function, 1), 1))
                found |= {f"{op} in {name}" for op in _banned(function, 3)}
                if _is_true(function, 5):
                    found.add(f"jit_compile=True in {name}")
    return sorted(found)


def _banned(parent, node_field):
    for node in _values(parent, node_field):
        op = _text(_first(node, 2))
        if BANNED_OPS.fullmatch(op):
            yield op
        if _is_true(node, 5):
            yield f"jit_compile=True ({op})"


def _is_true(message, attr_field):
    """Whether the boolean attribute `_XlaMustCompile` is set and true."""
    for entry in _values(message, attr_field):
        if bytes(_first(entry, 1)) == MUST_COMPILE:
            return any(value for value in _values(_first(entry, 2), 5))
    return False


def _tensors(message, field):
    return {key: _tensor_info(value) for key, value in _map(message, field)}


def _tensor_info(message):
    name = _text(_first(message, 1))
    dtype = _first(message, 2, 0)
    return TensorInfo(name, dtype, _shape(_first(message, 3)))


def _shape(message):
    if _first(message, 3, 0):
        return None
    sizes = [_first(dim, 1, 0) for dim in _values(message, 2)]
    return tuple(size - 2**64 if size >= 2**63 else size for size in sizes)


def _map(message, field):
    for entry in _values(message, field):
        yield _text(_first(entry, 1)), _first(entry, 2)


def _text(value):
    return bytes(value).decode()


def _first(message, field, default=b""):
    return next(_values(message, field), default)


def _values(message, field):
    return (value for number, value in _fields(message) if number == field)


def _fields(message) -> Iterator[tuple[int, int | memoryview]]:
    """Yields (field number, value) of a message: integers, or bytes for the rest."""
    view, at = memoryview(message), 0
    while at < len(view):
        tag, at = _varint(view, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(view, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _varint(view, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(
                f"A MetaGraphDef cannot hold protobuf wire type {kind} (at byte {at}). "
                "The file is damaged: export again."
            )
        yield tag >> 3, view[at : at + size]
        at += size


def _varint(view, at):
    value = shift = 0
    while True:
        byte = view[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
