"""What is traced, and for what: traced functions know their purpose as an argument."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

# TensorFlow has no public way to ask whether XLA will compile what is being traced.
from tensorflow.python.ops import control_flow_util

from tfp_flows.networks.weights import prepared
from tfp_flows.networks.weights.copies import copied
from tfp_flows.purpose import purpose, running_for


class Traced:
    """A `tf.function` that is traced anew for each purpose, and knows no other state.

    What a function does inside depends on its arguments and on the purpose, which is
    one of them. Nothing else reaches it: prepared values come as arguments too.

    Args:
      function: of nested tensors, and of Python values that are few.
      **kwargs: of `tf.function`.

    Examples:
      >>> from tfp_flows.bijectors import evaluating
      >>> told = Traced(purpose)
      >>> with evaluating():
      ...     print(told().numpy())
      b'evaluation'
      >>> print(told().numpy())
      b'training'
    """

    def __init__(self, function: Callable[..., Any], **kwargs: Any):
        def traced(purpose, *args):
            with running_for(purpose), prepared.preparing(None):
                return function(*args)

        traced.__name__ = function.__name__  # shown in graphs and profiles
        self.function = function
        self._traced = tf.function(traced, autograph=False, **kwargs)

    def __call__(self, *args: Any) -> Any:
        """Calls the function for the present purpose."""
        return self._traced(purpose(), *args)

    def structure(self, *args: Any) -> Any:
        """Returns the specs of what it would return."""
        traced = self._traced.get_concrete_function(purpose(), *args)
        return traced.structured_outputs

    def copies(self, *args: Any) -> Callable[..., Any]:
        """Returns what builds the function's operations anew in the present graph.

        There they are seen, and no call of a function: `prepared_once` wants that. Its
        arguments are the tensors among these ones. Nobody differentiates the copies.
        """
        concrete = self._traced.get_concrete_function(purpose(), *args)
        graph = concrete.graph
        ops = [op for op in graph.get_operations() if op.type != "Placeholder"]
        captured = {inside.name: outside for outside, inside in graph.captures}
        inputs = [t.name for t in graph.inputs if t.name not in captured]
        results = tf.nest.flatten(concrete.structured_outputs)

        def copy(*tensors):
            given = [t for t in tf.nest.flatten(tensors) if t is not None]
            given = {**captured, **dict(zip(inputs, given, strict=True))}
            names = [t.name for t in results if t is not None]
            found = iter(copied(graph, ops, given, names))
            outputs = [None if t is None else next(found) for t in results]
            for new, old in zip(outputs, results, strict=True):
                if old is not None:
                    new.set_shape(old.shape)
            return tf.nest.pack_sequence_as(concrete.structured_outputs, outputs)

        return copy

    def inlined(self, *args: Any) -> Any:
        """The same where gradients are taken through many calls.

        Inside of what XLA compiles it is the Python function itself. There, a gradient
        through a traced function would take shapes from among its results, XLA wants
        shapes as constants, and so takes all arguments of the function for constants:
        it would compile anew whenever a weight changes.
        """
        return self.function(*args) if is_in_xla() else self(*args)


def is_in_xla() -> bool:
    """Whether XLA will compile what is being traced."""
    graph = tf.compat.v1.get_default_graph()
    return control_flow_util.GraphOrParentsInXlaContext(graph)
