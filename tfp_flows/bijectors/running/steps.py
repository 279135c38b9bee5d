"""The ways in which the equal steps of a `Repeat` run; README.md compares them."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.chain import Chain
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.layers import layers_of
from tfp_flows.bijectors.position_affine import FusedAffine, PositionAffine
from tfp_flows.bijectors.running import evaluation, tracing
from tfp_flows.bijectors.running.loop import fold
from tfp_flows.bijectors.running.recompute import (
    Gradients,
    as_one_operation,
    back_through,
)
from tfp_flows.networks.weights import prepared
from tfp_flows.networks.weights.prepared import AllMembers
from tfp_flows.networks.weights.stack import Stack
from tfp_flows.networks.weights.training_mode import TrainingMode

Result = tuple[tf.Tensor, tf.Tensor, list[tf.Tensor | None]]


def way_of(
    memory: str, purpose: str, value: tf.Tensor, event_shape: Sequence[int]
) -> str:
    """Returns how steps are to run: a name for `Steps.run`.

    Args:
      memory: "activations" or "constant", of the backward pass.
      purpose: see `tfp_flows.purpose`.
      value: `[*batch, *event_shape]`.
      event_shape: shape of one event.
    """
    if purpose == "export":
        return "unrolled"
    if purpose == "xla" and evaluation.suits_xla(value, event_shape):
        return "compiled"
    if purpose == "training" and memory == "constant":
        return "recomputed"
    return "inlined"


class Steps:
    """Runs a template with the weights of each member of a stack, one after the other.

    Args:
      template: one step.
      stack: the weights of all, the data side first.
    """

    def __init__(self, template: KerasBijector, stack: Stack):
        # A chain knows how to prepare maps of weights alone.
        is_map = isinstance(template, PositionAffine)
        self.template = Chain([template]) if is_map else template
        self.stack = stack
        self._mode = TrainingMode()
        self._prepared = {d: self._all_members(d) for d in ("forward", "inverse")}
        self._step = tracing.Traced(self._traced_step)
        self._step_back = tracing.Traced(self._traced_step_back)
        self._compiled = evaluation.compiled(self._loop)

    def run(
        self, way: str, direction: str, value: tf.Tensor, context: tf.Tensor | None
    ) -> Result:
        """Runs all steps.

        Args:
          way: "inlined", "recomputed", "compiled" or "unrolled".
          direction: "forward" or "inverse".
          value: `[*batch, *event_shape]`.
          context: `[*batch', *context_shape]`, or None.

        Returns:
          Value, log-det, and what the steps' layers assigned to each variable,
          `[count, ...]`, or None.
        """
        ways = {
            "inlined": self._inlined,
            "recomputed": self._recomputed,
            "compiled": self._in_xla,
            "unrolled": self._unrolled,
        }
        return ways[way](direction, value, context, self._mode.current())

    def _inlined(self, direction, value, context, training):
        """Each step in its own place of the graph, products of weights for all."""
        total, updates, in_order = None, [], _order(direction)
        if tracing.is_in_xla():  # which fuses small products, and see `Traced.inlined`
            members = [(member, None) for member in self.stack.members()]
        else:
            members = self._prepared[direction]()
        for weights, values in members[::in_order]:
            value, log_det, new = self._step.inlined(
                value, context, weights, values, None, direction, training
            )
            total = log_det if total is None else total + log_det
            updates.append(new)
        columns = zip(*updates[::in_order], strict=True)
        return value, total, [_stacked(column) for column in columns]

    def _unrolled(self, direction, value, context, training):
        """A copy of one step for each member in the same graph, for `prepared_once`."""
        total, copy = None, None
        for weights in self.stack.members()[:: _order(direction)]:
            inputs = (value, context, weights)
            if copy is None:
                copy = self._step.copies(*inputs, None, None, direction, training)
            value, log_det, _ = copy(*inputs)
            total = log_det if total is None else total + log_det
        return value, total, [None] * len(self.stack.template)

    def _in_xla(self, direction, value, context, training):
        """A loop that XLA compiles, for those who want no gradients."""
        weights = self.stack.values()
        return self._compiled(weights, training, direction, value, context)

    def _recomputed(self, direction, value, context, training):
        """A loop, as one operation whose gradient goes back from the output."""
        values, trained = self.stack.values(), self.stack.trained_indices

        def everything(weights):
            new = dict(zip(trained, weights, strict=True))
            return [new.get(i, old) for i, old in enumerate(values)]

        def there(value, context, weights):
            return self._loop(everything(weights), training, direction, value, context)

        def back(after, of_log_det, context, weights):
            weights = everything(weights)
            return self._loop_back(
                direction, after, of_log_det, context, weights, training
            )

        weights = [values[i] for i in trained]
        return as_one_operation(there, back, value, context, weights)

    def _loop(self, weights, training, direction, value, context):
        """Runs the steps in a loop that remembers nothing."""

        def function(k, value, total):
            value, log_det, updates = self._step(
                value, context, weights, None, k, direction, training
            )
            return [value, total + log_det], updates

        updates = self._step.structure(
            value, context, weights, None, tf.constant(0), direction, training
        )[2]
        batch = tf.shape(value)[: value.shape.rank - len(self.template.event_shape)]
        state = [value, tf.zeros(batch, value.dtype)]
        backwards = direction == "forward"
        (value, total), updates = fold(
            function, state, updates, self.stack.count, backwards
        )
        return value, total, updates

    def _loop_back(self, direction, after, of_log_det, context, weights, training):
        """Goes back through all steps, from the output to the input."""
        contexts = [] if context is None else [tf.zeros_like(context)]
        around = (of_log_det, context, weights)

        def function(k, value, of_value, *of_context):
            of_context = of_context[0] if of_context else None
            after = Gradients(value, of_value, of_context, [])
            found = self._step_back(after, *around, k, direction, training)
            state = [found.value, found.of_value, found.of_context]
            return state[: 2 + len(contexts)], found.of_weights

        first = Gradients(*after[:2], contexts[0] if contexts else None, [])
        of_weights = self._step_back.structure(
            first, *around, tf.constant(0), direction, training
        ).of_weights
        state = [after.value, after.of_value, *contexts]
        backwards = direction == "inverse"
        state, of_weights = fold(
            function, state, of_weights, self.stack.count, backwards
        )
        of_context = state[2] if contexts else None
        return Gradients(state[0], state[1], of_context, of_weights)

    def _traced_step(self, value, context, weights, values, k, direction, training):
        weights, source = _member(weights, k), self._prepared[direction].source(values)
        with self.stack.as_member(weights) as scope, prepared.preparing(source):
            function = getattr(self.template, f"{direction}_and_log_det")
            value, log_det = self._mode.run(lambda: function(value, context), training)
        updates = [
            None if new is old else new
            for new, old in zip(self.stack.current(scope), weights, strict=True)
        ]
        return value, log_det, updates

    def _traced_step_back(
        self, after, of_log_det, context, weights, k, direction, training
    ):
        """Goes back through the parts of one step."""
        weights, parts = _member(weights, k), self._parts(direction)
        trained = [weights[i] for i in self.stack.trained_indices]
        after = after._replace(of_weights=[None] * len(trained))
        scopes = [self.stack.as_member(weights) for _ in parts]
        around = (after, of_log_det, context, trained)
        return self._mode.run(
            lambda: back_through(parts, scopes, direction, *around), training
        )

    def _parts(self, direction):
        if isinstance(self.template, Chain):
            return self.template.in_order(direction)
        return [self.template]

    def _all_members(self, direction):
        """What is prepared for all steps at once."""
        fused = [p for p in self._parts(direction) if isinstance(p, FusedAffine)]
        fused = [part for part in fused if part.vectorizes]
        layers = [m for m in layers_of(self.template) if hasattr(m, "prepared_from")]
        methods = [getattr(part, f"{direction}_map") for part in fused]
        methods += [layer.prepare for layer in layers]
        reads = [v for owner in [*fused, *layers] for v in owner.prepared_from]
        return AllMembers(self.stack, methods, reads)


def _order(direction):
    return 1 if direction == "inverse" else -1


def _member(weights: list, k: Any) -> list:
    if k is None:
        return weights
    # `weight[k]` would make its own bounds for each: six operations in place of one.
    start, stop, stride = tf.stack([k]), tf.stack([k + 1]), tf.constant([1])
    return [
        tf.strided_slice(weight, start, stop, stride, shrink_axis_mask=1)
        for weight in weights
    ]


def _stacked(column):
    if all(value is None for value in column):
        return None
    return tf.stack(column)
