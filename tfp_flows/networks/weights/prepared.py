"""What follows from weights alone, such as a kernel times its scales.

A layer or bijector writes it as a method without arguments and reads it by
`prepared(self.method)`. Who runs the layer decides when it is computed:

- at each call, where nobody says anything else;
- for all steps of a stack at once, by batched operations: `AllMembers`;
- once, for an export whose weights do not change any more: `prepared_once`. That
  needs no method: it finds in a traced graph what follows from weights alone.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.networks.weights.stack import Stack

Method = Callable[[], Any]

_STATE = threading.local()


def prepared(method: Method) -> Any:
    """Returns `method()`, or what the surrounding `preparing` block has for it.

    Args:
      method: of an object, without arguments; reads weights alone.

    Examples:
      >>> class Layer:
      ...     def prepare(self):
      ...         return 1
      >>> layer = Layer()
      >>> prepared(layer.prepare)
      1
      >>> with preparing(given({layer.prepare: 2})):
      ...     prepared(layer.prepare)
      2
    """
    source = getattr(_STATE, "source", None)
    return method() if source is None else source(method)


@contextmanager
def preparing(source: Callable[[Method], Any] | None) -> Iterator[None]:
    """Has `prepared` ask a source.

    Args:
      source: returns what a method stands for; None to compute it at each call.
    """
    before = getattr(_STATE, "source", None)
    _STATE.source = source
    try:
        yield
    finally:
        _STATE.source = before


@contextmanager
def computed_once() -> Iterator[None]:
    """Has `AllMembers` compute once in a graph: for the same weights used again."""
    before = getattr(_STATE, "computed", None)
    _STATE.computed = {} if before is None else before
    try:
        yield
    finally:
        _STATE.computed = before


def given(values: Mapping[Method, Any]) -> Callable[[Method], Any]:
    """Returns a source that has these values and computes all others."""
    return lambda method: values[method] if method in values else method()


class AllMembers:
    """Computes values for all members of a stack at once.

    Small products, such as those of a kernel and its scales, take longer to start than
    to run. For K members they are traced once and vectorised, so that there are as many
    operations for K as for one; their gradients too.

    Args:
      stack: the weights.
      methods: of the template and its parts, as `prepared` is asked for them.
      reads: variables of the template that nothing but these methods reads.
    """

    def __init__(
        self, stack: Stack, methods: Sequence[Method], reads: Sequence[keras.Variable]
    ):
        read = {id(v) for v in reads}
        self._stack, self._methods = stack, list(methods)
        self._is_read = [id(v) in read for v in stack.template]
        self._compute = tf.function(self._traced, autograph=False)

    def __call__(self) -> list[tuple[list, Any]]:
        """Returns for each member its weights and its values.

        Weights that nothing else reads are None.
        """
        computed = getattr(_STATE, "computed", None)
        if computed is None:
            return self._all()
        key = self, tf.compat.v1.get_default_graph()
        if key not in computed:
            computed[key] = self._all()
        return computed[key]

    def _all(self):
        arrays = self._stack.values()
        values = self._compute(arrays)
        others = [
            None if read else array
            for read, array in zip(self._is_read, arrays, strict=True)
        ]
        count = self._stack.count
        pairs = zip(_members(others, count), _members(values, count), strict=True)
        return list(pairs)

    def source(self, values: Any) -> Callable[[Method], Any] | None:
        """Returns a source that has one member's values; None if those are None."""
        if values is None:
            return None
        return given(dict(zip(self._methods, values, strict=True)))

    def _traced(self, arrays):
        structures = []

        def one(member):
            with self._stack.as_member(member), preparing(None):
                structures.append([method() for method in self._methods])
            return [t for t in tf.nest.flatten(structures[0]) if t is not None]

        found = iter(tf.vectorized_map(one, arrays))
        return tf.nest.map_structure(
            lambda t: None if t is None else next(found), structures[0]
        )


def _members(structure, count):
    """Takes tensors `[count, ...]` apart, leaving None as it is."""
    columns = [
        [None] * count if value is None else tf.unstack(value, num=count)
        for value in tf.nest.flatten(structure)
    ]
    if not columns:
        return [structure] * count
    return [tf.nest.pack_sequence_as(structure, m) for m in zip(*columns, strict=True)]
