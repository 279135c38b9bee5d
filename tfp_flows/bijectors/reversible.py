"""Backpropagation without stored activations: inputs are recomputed from outputs.

A chain of bijectors need not remember what its steps were given: each input is the
inverse of the output. The backward pass walks back through the steps, recomputes an
input, differentiates that one step, and forgets it again, so memory does not grow
with depth. Inversion costs time and rounding errors, not exactness of the likelihood.

References:
  Gomez, Ren, Urtasun, Grosse. The reversible residual network: Backpropagation without
  storing activations. NeurIPS 2017. arXiv:1707.04585
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.chain import Chain
from tfp_flows.bijectors.folding import is_folded
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.layers import unique, variables_of
from tfp_flows.networks.training_mode import TrainingMode

tfb = tfp.bijectors

MEMORY = ("activations", "constant")


class Gradients(NamedTuple):
    """What a step's backward pass finds out.

    Attributes:
      value: the step's input, recomputed.
      of_value: gradient with respect to it.
      of_context: gradient with respect to the context, or None.
      of_weights: one for each weight, None where there is none.
    """

    value: Any
    of_value: Any
    of_context: tf.Tensor | None
    of_weights: list[tf.Tensor | None]


class ReversibleChain(Chain):
    """A `Chain` whose backward pass recomputes each input from its output.

    The same map as `Chain`, for training deep flows in little memory: the activations
    of one step at a time instead of all. Each network runs once more in the backward
    pass. Gradients agree with the chain's up to the rounding errors of inversion.
    First derivatives only.

    Dropout draws the same mask in the recomputation. Layers that add losses of their
    activations are refused, and so are parts of TFP with weights of their own.

    Args and errors: see `Chain`.

    Example:
      >>> from tfp_flows.bijectors import ActNorm
      >>> chain = ReversibleChain([ActNorm((3,)), ActNorm((3,))])
      >>> chain.inverse(tf.ones([5, 3])).shape
      TensorShape([5, 3])
    """

    def __init__(
        self,
        bijectors: Sequence[tfb.Bijector],
        event_shape: Sequence[int] | None = None,
        context_bijector: KerasBijector | None = None,
        name: str = "reversible_chain",
    ):
        super().__init__(bijectors, event_shape, context_bijector, name)
        self._mode = TrainingMode()
        for part in self._bijectors:
            own = {id(v) for v in part.trainable_variables}
            known = {id(v.value) for v in variables_of(part)}
            if own - known:
                raise ValueError(
                    f"{name}: part {part.name!r} has weights that are not Keras "
                    'variables, so it cannot be recomputed. Use memory="activations".'
                )

    def _walk(self, direction, value, context):
        """Runs all parts as one operation with a gradient of its own."""
        if is_folded():  # not to be trained
            return super()._walk(direction, value, context)
        run = _Run(self, direction, context, self._mode.current())
        size, num_contexts = len(tf.nest.flatten(value)), 0 if context is None else 1

        @tf.custom_gradient
        def operation(*tensors):
            x = tf.nest.pack_sequence_as(value, tensors[:size])
            given = None if context is None else tensors[size]
            weights = tensors[size + num_contexts :]
            x, log_det, states = run.forward(x, given, weights)

            def gradient(*upstream):
                d_x = tf.nest.pack_sequence_as(x, upstream[:size])
                found = run.backward(x, d_x, upstream[size], given, weights)
                contexts = [found.of_context] * num_contexts
                return [*tf.nest.flatten(found.of_value), *contexts, *found.of_weights]

            return (*tf.nest.flatten(x), log_det, *states), gradient

        contexts = [] if context is None else [context]
        result = operation(*tf.nest.flatten(value), *contexts, *run.weights)
        for variable, new in zip(run.changed, result[size + 1 :], strict=True):
            variable.assign(new)
        return tf.nest.pack_sequence_as(value, result[:size]), result[size]


class _Run:
    """One pass through a chain: its parts in order, and all that they depend on."""

    def __init__(self, chain, direction, context, training):
        self._name, self._direction = chain.name, direction
        self._parts = chain.in_order(direction)
        variables = unique(v for b in chain.bijectors for v in variables_of(b))
        self._trained = [v for v in variables if v.trainable]
        self._states = [v for v in variables if not v.trainable]
        self.weights = [tf.convert_to_tensor(v.value) for v in self._trained]
        self._entry = [tf.convert_to_tensor(v.value) for v in self._states]
        self._mode, self._training = chain._mode, training
        self._before: list[list] = []  # the states as each part found them
        self.changed: list[keras.Variable] = []

    def forward(self, value, context, weights):
        """Returns the value, the log-det and the states that parts have assigned."""
        total = None
        with self._scope(weights, self._entry) as scope:
            for part in self._parts:
                self._before.append([scope.get_current_value(v) for v in self._states])
                function = getattr(part, f"{self._direction}_and_log_det")
                value, log_det = self._call(function, value, context)
                total = log_det if total is None else total + log_det
        if scope.losses:
            raise ValueError(
                f"A layer in {self._name!r} adds a loss of its activations, which a "
                'recomputed chain cannot pass on. Use memory="activations".'
            )
        after = [scope.get_current_value(v) for v in self._states]
        pairs = list(zip(self._states, self._entry, after, strict=True))
        self.changed = [v for v, old, new in pairs if new is not old]
        return value, total, [new for _, old, new in pairs if new is not old]

    def backward(self, value, of_value, of_log_det, context, weights):
        """Returns the gradients of the whole pass."""
        found = Gradients(value, of_value, None, [None] * len(weights))
        for part, states in zip(self._parts[::-1], self._before[::-1], strict=True):
            # Only when the last part is done with: graphs would else recompute all
            # inputs first and keep them.
            with tf.control_dependencies(tf.nest.flatten(found.of_value)):
                value = tf.nest.map_structure(tf.identity, found.value)
            found = found._replace(value=value)
            with self._scope(weights, states):
                found = self._call(
                    step_gradient,
                    part,
                    self._direction,
                    found,
                    of_log_det,
                    context,
                    weights,
                )
        return found

    def _scope(self, weights, states):
        pairs = zip([*self._trained, *self._states], [*weights, *states], strict=True)
        return keras.StatelessScope(list(pairs), collect_losses=True)

    def _call(self, function, *args):
        return self._mode.run(lambda: function(*args), self._training)


def step_gradient(
    part: KerasBijector,
    direction: str,
    after: Gradients,
    of_log_det: tf.Tensor,
    context: tf.Tensor | None,
    weights: Sequence[tf.Tensor],
) -> Gradients:
    """Goes back through one part, from its output to its input.

    Args:
      part: of a chain.
      direction: "forward" or "inverse", as it was run.
      after: the part's output and the gradients so far.
      of_log_det: gradient with respect to the log-det of all parts.
      context: of the chain.
      weights: the tensors that the part takes for its weights.

    Returns:
      The part's input, the gradient there, and sums for context and weights.
    """
    contexts = [] if context is None else [context]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([*weights, *contexts])
        pieces, join, again, log_det = part.recompute(
            direction, after.value, tape, context
        )
    if log_det.shape.rank == 0:  # the same for all events
        of_log_det = tf.reduce_sum(of_log_det)
    gradients = tape.gradient(
        [*tf.nest.flatten(again), log_det],
        [*pieces, *contexts, *weights],
        [*tf.nest.flatten(after.of_value), of_log_det],
    )
    of_pieces = [
        tf.zeros_like(piece) if gradient is None else gradient
        for piece, gradient in zip(pieces, gradients, strict=False)
    ]
    of_context, of_weights = None, gradients[len(pieces) + len(contexts) :]
    if contexts:
        of_context = _sum(after.of_context, gradients[len(pieces)])
    return Gradients(
        join(pieces),
        join(of_pieces),
        of_context,
        [_sum(a, b) for a, b in zip(after.of_weights, of_weights, strict=True)],
    )


def check_memory(memory: str, owner: str) -> None:
    """Refuses a word for the backward pass's memory that means nothing.

    Raises:
      ValueError: if it is neither "activations" nor "constant".
    """
    if memory not in MEMORY:
        raise ValueError(f"{owner} needs memory among {MEMORY}, got {memory!r}.")


def chain_of(
    bijectors: Sequence[tfb.Bijector],
    memory: str,
    event_shape: Sequence[int] | None = None,
    context_bijector: KerasBijector | None = None,
    name: str = "chain",
) -> Chain:
    """Returns a `Chain` or, if `memory` is "constant", a `ReversibleChain`.

    Raises:
      ValueError: for another word, or parts that do not fit.
    """
    check_memory(memory, name)
    kind = ReversibleChain if memory == "constant" else Chain
    return kind(bijectors, event_shape, context_bijector, name)


def _sum(one, other):
    if one is None or other is None:
        return other if one is None else one
    return one + other
