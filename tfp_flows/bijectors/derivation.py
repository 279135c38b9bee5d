"""What follows from the weights of equal steps alone, for all steps at once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.position_affine import FusedAffine
from tfp_flows.bijectors.traced import is_in_xla
from tfp_flows.networks.derived import given
from tfp_flows.networks.stack import Stack


class Derivation:
    """Batches small products of weights over the steps of a `Repeat`.

    The products of a step's act norm and 1x1 convolution, and of kernels and their
    scales, take longer to start than to run. For K steps they are traced once and
    vectorised, so that there are as many operations for K steps as for one; their
    gradients too.

    Args:
      stack: the weights of the steps.
      parts: of the template; fused ones derive their product, if it vectorises.
      layers: of the template; those with a method `derive` take part.
      direction: "forward" or "inverse".
    """

    def __init__(
        self,
        stack: Stack,
        parts: Sequence[KerasBijector],
        layers: Sequence,
        direction: str,
    ):
        fused = [p for p in parts if isinstance(p, FusedAffine) and p.vectorizes]
        networks = [layer for layer in layers if hasattr(layer, "derive")]
        self._stack = stack
        self._owners = [*fused, *networks]
        self._functions = [
            *(getattr(part, f"{direction}_map") for part in fused),
            *(layer.derive for layer in networks),
        ]
        read = {id(v) for owner in self._owners for v in owner.derived_from}
        self._is_read = [id(v) in read for v in stack.template]
        self._derive = tf.function(self._traced, autograph=False)

    def __call__(self) -> list[tuple[list, Any]]:
        """Returns for each step its weights and what was derived from them.

        Weights that nothing else reads are None.
        """
        if is_in_xla():  # which fuses small products, and see `traced_once`
            return [(member, None) for member in self._stack.members()]
        values = self._stack.values()
        others = [
            None if read else value
            for read, value in zip(self._is_read, values, strict=True)
        ]
        count = self._stack.count
        found = self._derive(values)
        return list(zip(_members(others, count), _members(found, count), strict=True))

    @contextmanager
    def given(self, found: Any) -> Iterator[None]:
        """Runs the template with one step's derived values, or its own if None."""
        pairs = {} if found is None else zip(self._owners, found, strict=True)
        with given(dict(pairs)):
            yield

    def _traced(self, values):
        structures = []

        def one(member):
            with self._stack.as_member(member):
                structures.append([function() for function in self._functions])
            return [t for t in tf.nest.flatten(structures[0]) if t is not None]

        found = iter(tf.vectorized_map(one, values))
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
