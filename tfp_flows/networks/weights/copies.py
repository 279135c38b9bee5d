"""Operations of a graph, built again in another one: without the Python that made them.

To build one from its definition takes a tenth of what it takes to trace it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

_NO_NUMBERS = (tf.resource, tf.variant)


def copied(
    graph: tf.Graph,
    ops: Sequence[tf.Operation],
    given: Mapping[str, Any],
    names: Sequence[str],
) -> list[tf.Tensor]:
    """Builds operations again in the present graph.

    Nobody differentiates them, and what two of them would both compute one does.

    Args:
      graph: that they are from.
      ops: all that leads from the given tensors to the results.
      given: name of a tensor -> what stands in its place.
      names: of the results' tensors.

    Examples:
      >>> graph = tf.Graph()
      >>> with graph.as_default():
      ...     x = tf.compat.v1.placeholder(tf.float32, [], name="x")
      ...     y = tf.square(x, name="y")
      >>> twice = tf.function(lambda t: copied(graph, [y.op], {"x:0": t}, ["y:0"]))
      >>> twice(tf.constant(3.0))[0].numpy().item()
      9.0
    """
    kept, used = {op.name for op in ops}, {t.name for op in ops for t in op.inputs}
    definition = graph.as_graph_def()
    nodes = [node for node in definition.node if node.name in kept]
    for node in nodes:
        node.attr.pop("_class", None)  # the place of another, which may be left out
    nodes, same = _each_once(nodes, {op.name: op for op in ops}, given)
    del definition.node[:]
    definition.node.extend(nodes)
    wanted, here = (
        [n for n in names if n not in given],
        tf.compat.v1.get_default_graph(),
    )
    found = tf.graph_util.import_graph_def(
        definition,
        {name: here.capture(given[name]) for name in sorted(used & given.keys())},
        return_elements=[same.get(n, n) for n in wanted],
        name="s",  # a prefix of every name, and names are half of a graph
    )
    found = {**given, **dict(zip(wanted, found, strict=True))}
    return [tf.convert_to_tensor(found[name]) for name in names]


def is_pure(op: tf.Operation) -> bool:
    """Whether an operation computes numbers from its inputs, and does nothing else."""
    if op.type == "ReadVariableOp":
        return True
    return not op.op_def.is_stateful and all(
        t.dtype not in _NO_NUMBERS for t in op.outputs
    )


def _each_once(nodes, ops, given):
    """Leaves out what another node computes: a third of a Glow's nodes are constants.

    A runtime would find them, too, at every start and for each signature anew.
    Those that values are given for stay, to be found by their names. Returns the nodes
    and, for the outputs of what is left out, the ones in their place.
    """
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    kept = []
    for node in nodes:
        inputs = [same.get(n, n) for n in node.input]
        node.input[:] = [n for n in inputs if n[0] != "^" or n[1:] in ops]
        op = ops[node.name]
        if not is_pure(op) or any(t.name in given for t in op.outputs):
            kept.append(node)
        elif node.op == "StopGradient":  # nobody differentiates what is exported
            _replace(same, node.name, [node.input[0]])
        else:
            name = first.setdefault(_content(node), node.name)
            if name == node.name:
                kept.append(node)
            else:
                others = [f"{name}:{i}" for i in range(1, len(op.outputs))]
                _replace(same, node.name, [name, *others])
    for node in kept:  # a node may wait for one that comes after it
        node.input[:] = [same.get(n, n) for n in node.input]
    return kept, same


def _content(node):
    """What a node computes: all but its name."""
    content = type(node)()
    content.CopyFrom(node)
    content.name = ""
    content.ClearField("experimental_debug_info")
    return content.SerializeToString(deterministic=True)


def _replace(same, name, outputs):
    """Notes what stands for the outputs of a node, in every form of an input.

    One without outputs has its substitute's name: others may wait for it.
    """
    same[name], same[f"^{name}"] = outputs[0], f"^{outputs[0].partition(':')[0]}"
    for i, output in enumerate(outputs):
        same[f"{name}:{i}"] = output if ":" in output else f"{output}:0"
