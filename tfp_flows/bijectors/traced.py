"""Functions that are traced once and called in many places of a graph."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

# TensorFlow has no public way to ask whether XLA will compile what is being traced.
from tensorflow.python.ops import control_flow_util


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that TensorFlow traces once for all its calls.

    Inside of what XLA compiles it is the Python function itself. There, a gradient
    through a traced function would take shapes from among its results, XLA wants
    shapes as constants, and so takes all arguments of the function for constants: it
    would compile anew whenever a weight changes.

    Args:
      function: of nested tensors, and of Python values that are few.

    Example:
      >>> double = traced_once(lambda x: 2.0 * x)
      >>> print(double(tf.ones([3])).numpy())
      [2. 2. 2.]
    """
    traced = tf.function(function, autograph=False)

    def call(*args):
        return function(*args) if is_in_xla() else traced(*args)

    return call


def is_in_xla() -> bool:
    """Whether XLA will compile what is being traced."""
    graph = tf.compat.v1.get_default_graph()
    return control_flow_util.GraphOrParentsInXlaContext(graph)
