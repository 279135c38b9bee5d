"""Reads the signatures and the operations of a SavedModel without TensorFlow.

References:
  https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/protobuf
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tfp_flows.serving import checkpoint, operations, wire

MUST_COMPILE = b"_XlaMustCompile"
_STATEMENT = re.compile(r"__inference_num_parameters_\d+")


class TensorInfo(NamedTuple):
    """One input or output of a signature."""

    name: str
    dtype: int
    shape: tuple[int, ...] | None


class Signature(NamedTuple):
    """Inputs and outputs of a signature, by the names a client uses."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


def of_saved_model(content: bytes) -> bytes:
    """Returns the one MetaGraphDef of a `saved_model.pb`.

    Raises:
      ValueError: if there is none, or several.
    """
    found = list(wire.values(content, 2))
    if len(found) != 1:
        raise ValueError(f"a served model has one graph, this file {len(found)}")
    return bytes(found[0])


def signatures(meta_graph: bytes) -> dict[str, Signature]:
    """Returns the signatures of a serialized MetaGraphDef by name.

    Those whose names begin with two underscores are TensorFlow's own and left out.

    Args:
      meta_graph: a serialized MetaGraphDef.

    Returns:
      Name to `Signature`; a dimension of -1 is unknown, a shape of None has no rank.
    """
    return {
        key: Signature(_tensors(value, 1), _tensors(value, 2))
        for key, value in wire.pairs(meta_graph, 5)
        if not key.startswith("__")
    }


def tensorflow_version(meta_graph: bytes) -> str:
    """Returns the version of TensorFlow that wrote a MetaGraphDef."""
    return wire.text(wire.first(wire.first(meta_graph, 1), 5))


def variables(meta_graph: bytes) -> list[checkpoint.Variable]:
    """Returns dtype and shape of the variables of a graph.

    Raises:
      ValueError: if a shape is not known.
    """
    found = []
    for graph in wire.values(meta_graph, 2):
        for node in wire.values(graph, 1):
            if _op(node) != "VarHandleOp":
                continue
            attributes = dict(wire.pairs(node, 5))
            dtype = wire.first(attributes.get("dtype", b""), 6, 0)
            shape = _shape(wire.first(attributes.get("shape", b""), 7))
            if shape is None or min(shape, default=0) < 0:
                raise ValueError(f"the variable {_name(node)} has no shape")
            found.append(checkpoint.Variable(dtype, shape))
    return found


def num_parameters(meta_graph: bytes) -> int | None:
    """Returns how many weights the graph says that its model has; None without a word.

    An export holds what follows from weights in their place, so they cannot be counted.
    It says their number by a function without arguments, `num_parameters`.
    """
    for name, function in _library(wire.first(meta_graph, 2)).items():
        if _STATEMENT.fullmatch(name):
            return _constant(function)
    return None


def refused(meta_graph: bytes) -> list[str]:
    """Returns a line for each operation that may not be served.

    Args:
      meta_graph: a serialized MetaGraphDef.

    Returns:
      Lines such as `"WriteFile (reads or writes files) in my_layer, __inference_12"`
      with the layer that brought it, as far as names tell; empty when all is well.
      Every function of the library is read, also bodies of loops and branches. What
      saves and restores the variables is allowed where no signature leads.
    """
    graph = wire.first(meta_graph, 2)
    nodes = {_name(node): node for node in wire.values(graph, 1)}
    library = _library(graph)
    requested = _upstream(nodes, _roots(meta_graph))
    called = _called([nodes[name] for name in requested], library)
    found = set()
    for name, node in nodes.items():
        is_asked = name in requested
        more = operations.VARIABLES if is_asked else operations.SAVING
        found |= {f"{what}, the graph" for what in _bad([node], library, more)}
    for name, function in library.items():
        more = frozenset() if name in called else operations.SAVING
        bodies = wire.values(function, 3)
        found |= {f"{what}, {name}" for what in _bad(bodies, library, more)}
        if _must_compile(function, 5):
            found.add(f"jit_compile=True in {name}")
    return sorted(found)


def _library(graph):
    """The functions of a graph by name."""
    return {
        _name(wire.first(function, 1)): function
        for part in wire.values(graph, 2)
        for function in wire.values(part, 1)
    }


def _constant(function):
    """The number that a function without arguments returns."""
    for node in wire.values(function, 3):
        if _op(node) == "Const":
            value = wire.first(dict(wire.pairs(node, 5))["value"], 8)
            return next(iter(wire.integers(value, 10)), None)
    return None


def _bad(nodes, library, more):
    good = operations.ALLOWED | more | library.keys()
    for node in nodes:
        op = _op(node)
        if op not in good:
            layer, _, _ = _name(node).rpartition("/")
            yield f"{operations.refusal(op)} in {layer or _name(node)}"
        if _must_compile(node, 5):
            yield f"jit_compile=True ({op})"


def _roots(meta_graph):
    """Names of the nodes that a signature, also TensorFlow's own, feeds or fetches."""
    for _, value in wire.pairs(meta_graph, 5):
        for field in (1, 2):
            for info in _tensors(value, field).values():
                yield info.name.partition(":")[0]


def _upstream(nodes, roots):
    found: set[str] = set()
    waiting = [name for name in roots if name in nodes]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            sources = (wire.text(value) for value in wire.values(nodes[name], 3))
            waiting += [s.lstrip("^").partition(":")[0] for s in sources]
    return found


def _called(nodes, library):
    """Names of the functions that nodes call, and those that these call."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        for name in _functions_of(waiting.pop()):
            if name in library and name not in found:
                found.add(name)
                waiting += wire.values(library[name], 3)
    return found


def _functions_of(node) -> Iterator[str]:
    """Names of functions in a node: its own op, its attributes, lists of them."""
    yield _op(node)
    for _, value in wire.pairs(node, 5):
        for called in wire.values(value, 10):
            yield _name(called)
        for listed in wire.values(value, 1):
            if not isinstance(listed, int):
                yield from (_name(called) for called in wire.values(listed, 9))


def _must_compile(message, attr_field):
    """Whether the boolean attribute `_XlaMustCompile` is set and true."""
    for entry in wire.values(message, attr_field):
        if bytes(wire.first(entry, 1)) == MUST_COMPILE:
            return any(wire.values(wire.first(entry, 2), 5))
    return False


def _name(message):
    return wire.text(wire.first(message, 1))


def _op(node):
    return wire.text(wire.first(node, 2))


def _tensors(message, field):
    return {key: _tensor_info(value) for key, value in wire.pairs(message, field)}


def _tensor_info(message: Any) -> TensorInfo:
    name = wire.text(wire.first(message, 1))
    dtype = wire.first(message, 2, 0)
    return TensorInfo(name, dtype, _shape(wire.first(message, 3)))


def _shape(message):
    if wire.first(message, 3, 0):
        return None
    sizes = [wire.first(dim, 1, 0) for dim in wire.values(message, 2)]
    return tuple(wire.signed(size) for size in sizes)
