"""Values of weights alone, computed once for models that are not trained further."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

_STATE = threading.local()


@contextmanager
def folded() -> Iterator[None]:
    """Traces functions with products and inverses of weights as constants.

    What is traced inside keeps the weights' present values: for export, where an
    inverse must not be solved for at each call.

    Example:
      >>> from tfp_flows.bijectors import Chain, InvertibleLinear
      >>> chain = Chain([InvertibleLinear((3,))])
      >>> @tf.function
      ... def sample(x):
      ...     with folded():
      ...         return chain.forward_and_log_det(x)[0]
      >>> graph = sample.get_concrete_function(tf.ones([5, 3])).graph
      >>> any("Solve" in op.type for op in graph.get_operations())
      False
    """
    before = is_folded()
    _STATE.is_folded = True
    try:
        yield
    finally:
        _STATE.is_folded = before


def is_folded() -> bool:
    """Whether a `folded` block is being traced."""
    return getattr(_STATE, "is_folded", False)


def once(function: Callable[[], Any]) -> Any:
    """Returns the function's tensors; constants inside of `folded`.

    Args:
      function: of weights alone; returns a named tuple of tensors or None.
    """
    if not is_folded():
        return function()
    with tf.init_scope():
        result = function()
        values = [None if v is None else np.asarray(v) for v in result]
    return type(result)(*(None if v is None else tf.constant(v) for v in values))
