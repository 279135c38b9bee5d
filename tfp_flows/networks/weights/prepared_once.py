"""What traced functions compute from weights alone, computed once: for export.

Nothing in a model needs to say what that is: it can be seen in the graph. Operations
without side effects that depend on nothing but variables, captured tensors and
constants are run once, and the rest of the graph reads their results from variables.
Not from constants, but for small ones: a graph with its weights inside may not be
larger than 2 GB, while a variable costs two kilobytes of graph to save, restore and
read it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

# TensorFlow's public options are those of all threads.
from tensorflow.python.eager import context

from tfp_flows.networks.weights.copies import copied, is_pure

_SMALL = 512  # bytes


def prepared_once(functions: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the same functions for weights as they are now.

    What several of them need is one variable, which a SavedModel writes once. Bodies of
    loops and of called functions are left as they are; a variable that one of them
    reads is kept itself, in all functions, so that nothing is written twice.

    Args:
      functions: name -> `tf.function` with an input signature of named tensors, which
        returns tensors.

    Examples:
      >>> weight = tf.Variable([1.0, 2.0])
      >>> signature = [tf.TensorSpec([2], name="x")]
      >>> scale = tf.function(lambda x: x * tf.exp(weight), signature)
      >>> fixed = prepared_once({"scale": scale})["scale"]
      >>> graph = fixed.get_concrete_function().graph
      >>> any(op.type == "Exp" for op in graph.get_operations())
      False
    """
    graphs = [f.get_concrete_function().graph for f in functions.values()]
    held = {id(outside) for graph in graphs for outside in _held(graph)}
    known: dict = {}
    return {name: _fixed(f, held, known) for name, f in functions.items()}


@contextmanager
def run_once() -> Iterator[None]:
    """Runs traced functions as they are: to optimize one takes longer than to run it.

    In this thread alone. Trace functions before: a graph that is made within remembers
    for what it calls that nothing is to be optimized.

    Examples:
      >>> doubled = tf.function(lambda x: 2.0 * x)
      >>> doubled = doubled.get_concrete_function(tf.TensorSpec([]))
      >>> with run_once():
      ...     doubled(tf.ones([])).numpy().item()
      2.0
    """
    here = context.context()
    before = here.function_call_options
    config = tf.compat.v1.ConfigProto.FromString(before.config_proto_serialized)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    here.function_call_options = context.FunctionCallOptions(
        before.executor_type, config
    )
    try:
        yield
    finally:
        here.function_call_options = before


def _weights_only(graph, held, constant):
    """Names of operations on weights alone, their reading among them.

    Weights are variables and tensors from outside of the graph, but for those held.
    """
    captured = {inside.ref() for out, inside in graph.captures if id(out) not in held}
    found: set[str] = set()
    for op in graph.get_operations():
        inputs = [t.op.name for t in op.inputs]
        if op.type == "Placeholder" and op.outputs[0].ref() in captured:
            found.add(op.name)
        elif is_pure(op) and found.intersection(inputs):
            if all(name in found or name in constant for name in inputs):
                found.add(op.name)
    return found


def _held(graph):
    """Tensors from outside that more is done with than reading."""
    acting = [op for op in graph.get_operations() if _acts(op)]
    used = {t.ref() for op in acting for t in op.inputs}
    return [outside for outside, inside in graph.captures if inside.ref() in used]


def _constant(graph):
    """Names of operations that depend on nothing at all."""
    found: set[str] = set()
    for op in graph.get_operations():
        if op.type != "Placeholder" and is_pure(op):
            if all(t.op.name in found for t in op.inputs):
                found.add(op.name)
    return found


def _acts(op):
    """Whether an operation may do more than give its outputs."""
    return op.op_def.is_stateful and op.type not in ("ReadVariableOp", "Placeholder")


def _fixed(function, held, known):
    concrete = function.get_concrete_function()
    graph, results = concrete.graph, tf.nest.flatten(concrete.structured_outputs)
    captured = {inside.name: outside for outside, inside in graph.captures}
    own = [t.name for t in graph.inputs if t.name not in captured]
    constant = _constant(graph)
    of_weights = _weights_only(graph, held, constant)
    kept = _needed(graph, of_weights, results)
    edge = [t for op in kept for t in op.inputs] + results
    edge = {t.name for t in edge if t.op.name in of_weights} - captured.keys()
    ops = of_weights | constant
    values = {**captured, **_computed(graph, ops, captured, sorted(edge), known)}
    variables = [v for v in graph.variables if id(v.handle) in held]

    def call(*inputs):
        for variable in variables:  # who saves the function looks for them there
            tf.compat.v1.get_default_graph().watch_variable(variable)
        given = {name: _read(value) for name, value in values.items()}
        given.update(zip(own, inputs, strict=True))
        found = copied(graph, kept, given, [t.name for t in results])
        for tensor, old in zip(found, results, strict=True):
            tensor.set_shape(old.shape)
        return tf.nest.pack_sequence_as(concrete.structured_outputs, found)

    return tf.function(call, input_signature=function.input_signature, autograph=False)


def _read(value):
    if isinstance(value, tf.Variable):
        return value.value()
    return tf.constant(value) if isinstance(value, np.ndarray) else value


def _needed(graph, of_weights, results):
    """The operations that remain: what leads to results and is not of weights."""
    last = [t.op for t in results] + [op for op in graph.get_operations() if _acts(op)]
    names, waiting = set(of_weights), last
    while waiting:
        op = waiting.pop()
        if op.name not in names:
            names.add(op.name)
            waiting += [t.op for t in op.inputs] + list(op.control_inputs)
    names -= of_weights
    return [
        op
        for op in graph.get_operations()
        if op.name in names and op.type != "Placeholder"
    ]


def _computed(graph, ops, captured, names, known):
    """Runs what is of weights; equal results are one variable, also of other graphs."""
    if not names:
        return {}
    ops = [op for op in graph.get_operations() if op.name in ops]
    ops = [op for op in ops if op.type != "Placeholder"]
    run = tf.function(lambda: copied(graph, ops, captured, names), autograph=False)
    values, concrete = {}, run.get_concrete_function()
    with run_once():
        found = concrete()
    for name, value in zip(names, found, strict=True):
        key = value.dtype, tuple(value.shape), value.numpy().tobytes()
        if key not in known:
            known[key] = _stored(value)
        values[name] = known[key]
    return values


def _stored(value):
    number = value.numpy()
    if number.nbytes <= _SMALL:
        return np.asarray(number)
    return tf.Variable(value, trainable=False, name="prepared")
