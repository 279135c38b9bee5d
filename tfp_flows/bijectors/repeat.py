"""Equal steps one after the other, traced once, with stacked weights."""

import functools
import gc
from collections.abc import Callable

import tensorflow as tf

from tfp_flows.bijectors import evaluation
from tfp_flows.bijectors.chain import Chain
from tfp_flows.bijectors.derivation import Derivation
from tfp_flows.bijectors.fold import fold
from tfp_flows.bijectors.folding import is_folded, once
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.layers import layers_of, variables_of
from tfp_flows.bijectors.position_affine import FusedAffine, PositionAffine
from tfp_flows.bijectors.reversible import Gradients, check_memory, step_gradient
from tfp_flows.bijectors.same_kind import check_same_kind
from tfp_flows.bijectors.traced import traced_once
from tfp_flows.networks.derived import given
from tfp_flows.networks.stack import Stack
from tfp_flows.networks.training_mode import TrainingMode

_DIRECTIONS = ("forward", "inverse")


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
        it from the outputs, see `reversible`.
      name: of the bijector.

    Raises:
      ValueError: if `count` < 1, the steps differ, or a step changes the event shape.

    Example:
      >>> from tfp_flows.bijectors import ActNorm
      >>> repeat = Repeat(lambda i: ActNorm((3,)), count=4)
      >>> [tuple(v.shape) for v in repeat.trainable_variables]
      [(4, 3), (4, 3)]
    """

    # The stack has the weights; the walk must not find the template's own.
    _TF_MODULE_IGNORED_PROPERTIES = KerasBijector._TF_MODULE_IGNORED_PROPERTIES | {
        "_template"
    }

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
        # A chain knows how to fold maps of weights alone, for export.
        is_map = isinstance(template, PositionAffine)
        self._template = self._no_dependency(Chain([template]) if is_map else template)
        self._mode, self._memory = TrainingMode(), memory
        layers = layers_of(template)
        self._derivations = self._no_dependency(
            {d: Derivation(stack, self._parts(d), layers, d) for d in _DIRECTIONS}
        )
        self._inlined_step = traced_once(self._traced_step)
        self._step = _kept_apart(self._traced_step)
        self._step_back = _kept_apart(self._traced_step_back)
        self._compiled = evaluation.compiled(self._there)

    def copy(self, **overrides) -> "Repeat":
        """Returns a bijector with the same weights; with its own for other steps.

        Args:
          **overrides: constructor arguments to replace.
        """
        if "step" in overrides:
            return type(self)(**{**self.parameters, **overrides})
        clone = super().copy(**overrides)
        if clone._layers["stack"] is self._layers["stack"]:
            # Whose variables the stack stands in for.
            clone._template, clone._derivations = self._template, self._derivations
        return clone

    @property
    def count(self) -> int:
        """Number of steps."""
        return self.parameters["count"]

    @property
    def parts(self) -> tuple[KerasBijector, ...]:
        """One step, as all are."""
        return (self._template,)

    @property
    def is_adapted(self) -> bool:
        """Whether every step is."""
        stack = self._layers["stack"]
        for values in stack.members():
            with stack.as_member(values):
                if not self._template.is_adapted:
                    return False
        return True

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Adapts step after step, each on the data as the steps before it give them.

        Args:
          y: `[N, *event_shape]`.
          context: `[N, *context_shape]` for conditional steps.
        """
        stack, updates = self._layers["stack"], []
        for values in stack.members():
            with stack.as_member(values) as scope:
                self._template.adapt(y, context)
                y, _ = self._template.inverse_and_log_det(y, context)
            updates.append(stack.current(scope))
        stack.assign([tf.stack(column) for column in zip(*updates, strict=True)])

    def forward_and_log_det(self, x, context=None):
        """Returns y and log|det dy/dx|."""
        return self._walk("forward", x, context)

    def inverse_and_log_det(self, y, context=None):
        """Returns x and log|det dx/dy|."""
        return self._walk("inverse", y, context)

    def _walk(self, direction, value, context):
        stack, context = self._layers["stack"], self._own(context)
        if is_folded():
            value, log_det, updates = self._run_folded(direction, value, context)
        elif evaluation.is_evaluated():
            value, log_det, updates = self._run_evaluated(direction, value, context)
        elif self._memory == "activations":
            members = self._derivations[direction]()
            value, log_det, updates = self._run(members, direction, value, context)
        else:
            value, log_det, updates = self._run_recomputed(direction, value, context)
        stack.assign(updates)
        return value, log_det

    def _run(self, members, direction, value, context):
        """Returns value, log-det, and what the steps' layers assigned, stacked."""
        training, total, updates = self._mode.current(), None, []
        for weights, derived in members if direction == "inverse" else members[::-1]:
            value, log_det, new = self._inlined_step(
                value, context, weights, derived, None, direction, training
            )
            total = log_det if total is None else total + log_det
            updates.append(new)
        columns = zip(*updates[:: 1 if direction == "inverse" else -1], strict=True)
        return value, total, [_stacked(column) for column in columns]

    def _run_evaluated(self, direction, value, context):
        """The same for those who want no gradients."""
        training = self._mode.current()
        if evaluation.suits_xla(value, self._event_shape):
            run, weights = self._compiled, (self._layers["stack"].values(), training)
        else:
            run, weights = self._run, (self._derivations[direction](),)
        run = functools.partial(run, *weights, direction)
        if training:  # what layers learn of a batch, they learn of the whole one
            return run(value, context)
        ndims = len(self._event_shape), len(self._context_shape or ())
        return evaluation.side_by_side(run, value, context, *ndims)

    def _run_folded(self, direction, value, context):
        """The steps one by one, each with constants of its own."""
        stack, total = self._layers["stack"], 0.0
        fused = [p for p in self._parts(direction) if isinstance(p, FusedAffine)]
        step = getattr(self._template, f"{direction}_and_log_det")
        with tf.init_scope():
            fixed = stack.members()
        members, numbers = stack.members(), range(stack.count)
        for k in numbers if direction == "inverse" else numbers[::-1]:
            with stack.as_member(fixed[k]):
                products = {p: once(getattr(p, f"{direction}_map")) for p in fused}
            with stack.as_member(members[k]), given(products):
                value, log_det = step(value, context)
                total += log_det
        return value, total, [None] * len(stack.template)

    def _parts(self, direction):
        if isinstance(self._template, Chain):
            return self._template.in_order(direction)
        return [self._template]

    def _run_recomputed(self, direction, value, context):
        """The same as one operation, whose gradient goes back from the output."""
        stack, training = self._layers["stack"], self._mode.current()
        contexts = [] if context is None else [context]
        trained, values, pattern = stack.trained_indices, stack.values(), []

        @tf.custom_gradient
        def operation(x, *tensors):
            shown = tensors[0] if contexts else None
            weights = list(values)
            for i, tensor in zip(trained, tensors[len(contexts) :], strict=True):
                weights[i] = tensor
            out, log_det, new = self._there(weights, training, direction, x, shown)
            pattern[:] = [array is not None for array in new]

            def gradient(of_out, of_log_det, *_):
                after = Gradients(out, of_out, None, [])
                found = self._back(
                    direction, after, of_log_det, shown, weights, training
                )
                of_contexts = [found.of_context] * len(contexts)
                return [found.of_value, *of_contexts, *found.of_weights]

            return (out, log_det, *(a for a in new if a is not None)), gradient

        read = [values[i] for i in trained]
        out, log_det, *new = operation(value, *contexts, *read)
        remaining = iter(new)
        return out, log_det, [next(remaining) if p else None for p in pattern]

    def _there(self, weights, training, direction, value, context):
        """Runs the steps in a loop that remembers nothing."""

        def function(k, value, total):
            value, log_det, updates = self._step(
                value, context, weights, None, k, direction, training
            )
            return [value, total + log_det], updates

        updates = self._step.get_concrete_function(
            value, context, weights, None, tf.constant(0), direction, training
        ).structured_outputs[2]
        batch = tf.shape(value)[: value.shape.rank - len(self._event_shape)]
        state = [value, tf.zeros(batch, value.dtype)]
        count, backwards = self._layers["stack"].count, direction == "forward"
        (value, total), updates = fold(function, state, updates, count, backwards)
        return value, total, updates

    def _back(self, direction, after, of_log_det, context, weights, training):
        """Goes back through all steps, from the output to the input."""
        contexts = [] if context is None else [tf.zeros_like(context)]

        def function(k, value, of_value, *of_context):
            of_context = of_context[0] if of_context else None
            now = Gradients(value, of_value, of_context, [])
            found = self._step_back(
                now, of_log_det, context, weights, k, direction, training
            )
            state = [found.value, found.of_value, found.of_context]
            return state[: 2 + len(contexts)], found.of_weights

        after = after._replace(of_context=contexts[0] if contexts else None)
        of_weights = self._step_back.get_concrete_function(
            after, of_log_det, context, weights, tf.constant(0), direction, training
        ).structured_outputs.of_weights
        state = [after.value, after.of_value, *contexts]
        count, backwards = self._layers["stack"].count, direction == "inverse"
        state, of_weights = fold(function, state, of_weights, count, backwards)
        of_context = state[2] if contexts else None
        return Gradients(state[0], state[1], of_context, of_weights)

    def _traced_step(self, value, context, weights, derived, k, direction, training):
        stack, weights = self._layers["stack"], _member(weights, k)
        derivation = self._derivations[direction]
        with stack.as_member(weights) as scope, derivation.given(derived):
            function = getattr(self._template, f"{direction}_and_log_det")
            value, log_det = self._mode.run(lambda: function(value, context), training)
        updates = [
            None if new is old else new
            for new, old in zip(stack.current(scope), weights, strict=True)
        ]
        return value, log_det, updates

    def _traced_step_back(
        self, after, of_log_det, context, weights, k, direction, training
    ):
        """Goes back through the parts of one step."""
        stack, weights = self._layers["stack"], _member(weights, k)
        trained = [weights[i] for i in stack.trained_indices]
        found = after._replace(of_weights=[None] * len(trained))
        with stack.as_member(weights):
            for part in self._parts(direction)[::-1]:
                function = functools.partial(
                    step_gradient, part, direction, found, of_log_det, context, trained
                )
                found = self._mode.run(function, training)
        return found


def _check_shapes(template, name):
    if template.event_shape != template.latent_shape:
        raise ValueError(
            f"{name} needs steps that keep the event shape, got one from "
            f"{template.event_shape} to {template.latent_shape}."
        )


def _kept_apart(function):
    # A step's graph takes less memory kept apart, less time copied into its places.
    apart = {"_noinline": True}
    return tf.function(function, autograph=False, experimental_attributes=apart)


def _members(template, step, count, name):
    """Yields each step's variables; no step lives longer than its turn."""
    yield variables_of(template)
    for i in range(1, count):
        other = step(i)
        check_same_kind(template, other, name)
        yield variables_of(other)


def _member(weights, k):
    return weights if k is None else [weight[k] for weight in weights]


def _stacked(column):
    if all(gradient is None for gradient in column):
        return None
    return tf.stack(column)
