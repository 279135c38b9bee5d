"""Equal steps one after the other, traced once, with stacked weights."""

import gc
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows import progress
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.layers import variables_of
from tfp_flows.bijectors.running.reversible_chain import check_memory
from tfp_flows.bijectors.running.same_kind import check_same_kind
from tfp_flows.bijectors.running.steps import Steps, way_of
from tfp_flows.networks.weights.stack import Stack
from tfp_flows.purpose import purpose


class Repeat(KerasBijector):
    """`count` steps of one kind: `Chain([step(0), step(1), ...])`, but cheap to build.

    The weights of all steps are kept in one array for each of the step's weights, and
    one traced function serves them all. So what Python and the optimizer take hardly
    grows with `count`. With `memory="constant"` the steps are a loop, so that the graph
    and the time to optimise it do not grow either; with "activations" TensorFlow copies
    the function's graph into each place, which runs faster than calls.

    Shapes: those of a step, which maps events to events of the same shape.

    Args:
      step: builds step i, the data side first; all of one kind, different in nothing
        but their initial weights.
      count: number of steps, at least one.
      memory: "activations" keeps what the backward pass needs; "constant" recomputes
        it from the outputs, see `recompute`.
      name: of the bijector.

    Raises:
      ValueError: if `count` < 1, the steps differ, or a step changes the event shape.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm
      >>> repeat = Repeat(lambda i: ActNorm((3,)), count=4)
      >>> [tuple(v.shape) for v in repeat.trainable_variables]
      [(4, 3), (4, 3)]
    """

    prefers_halves = True

    def __init__(
        self,
        step: Callable[[int], KerasBijector],
        count: int,
        memory: str = "activations",
        name: str = "repeat",
    ):
        parameters = dict(locals())
        check_memory(memory, name)
        if count < 1:
            raise ValueError(f"{name} needs count >= 1, got {count}.")
        template = step(0)
        _check_shapes(template, name)
        members = _members(template, step, count, name)
        stack = Stack(members, count, name=f"{name}_weights")
        # Layers refer to each other in circles: without this, every step's own weights
        # would stay until the next full collection.
        gc.collect()
        super().__init__(
            template.event_shape,
            context_shape=template.context_shape,
            layers={"stack": stack},
            dtype=template.dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=template.is_constant_jacobian,
        )
        self._steps, self._memory = Steps(template, stack), memory

    def copy(self, **overrides) -> "Repeat":
        """Returns a bijector with the same weights; with its own for other steps.

        Args:
          **overrides: constructor arguments to replace.
        """
        if "step" in overrides:
            return type(self)(**{**self.parameters, **overrides})
        clone = super().copy(**overrides)
        if clone._layers["stack"] is self._steps.stack:
            clone._steps = self._steps  # the stack stands in for its template's weights
        return clone

    @property
    def count(self) -> int:
        """Number of steps."""
        return self.parameters["count"]

    @property
    def parts(self) -> tuple[KerasBijector, ...]:
        """One step, as all are."""
        return (self._steps.template,)

    @property
    def is_adapted(self) -> bool:
        """Whether every step is."""
        stack = self._layers["stack"]
        for values in stack.members():
            with stack.as_member(values):
                if not self._steps.template.is_adapted:
                    return False
        return True

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Adapts step after step, each on the data as the steps before it give them.

        Args:
          y: `[N, *event_shape]`.
          context: `[N, *context_shape]` for conditional steps.
        """
        template, stack, updates = self._steps.template, self._layers["stack"], []
        for values in progress.steps(stack.members(), f"adapting {self.name}"):
            with stack.as_member(values) as scope:
                template.adapt(y, context)
                y, _ = template.inverse_and_log_det(y, context)
            updates.append(stack.current(scope))
        stack.assign([tf.stack(column) for column in zip(*updates, strict=True)])

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        return self._walk("forward", x, context)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        return self._walk("inverse", y, context)

    def _walk(self, direction, value, context):
        way = way_of(self._memory, purpose(), value, self._event_shape)
        context = self._own(context)
        value, log_det, updates = self._steps.run(way, direction, value, context)
        self._layers["stack"].assign(updates)
        return value, log_det


def _check_shapes(template, name):
    if template.event_shape != template.latent_shape:
        raise ValueError(
            f"{name} needs steps that keep the event shape, got one from "
            f"{template.event_shape} to {template.latent_shape}."
        )


def _members(template, step, count, name):
    """Yields each step's variables; no step lives longer than its turn."""
    yield variables_of(template)
    for i in range(1, count):
        other = step(i)
        check_same_kind(template, other, name)
        yield variables_of(other)
