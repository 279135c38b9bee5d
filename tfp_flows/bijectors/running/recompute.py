"""Backpropagation without stored activations: inputs are recomputed from outputs.

A chain of bijectors need not remember what its steps were given: each input is the
inverse of the output. The backward pass walks back through the steps, recomputes an
input, differentiates that one step, and forgets it again, so memory does not grow
with depth. Inversion costs time and rounding errors, not exactness of the likelihood.
First derivatives only.

References:
  Gomez, Ren, Urtasun, Grosse. The reversible residual network: Backpropagation without
  storing activations. NeurIPS 2017. arXiv:1707.04585
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector


class Gradients(NamedTuple):
    """What a backward pass has found out when it stands between two parts.

    Attributes:
      value: what the part ahead of it gave, recomputed but for the last one's.
      of_value: gradient with respect to it.
      of_context: gradient with respect to the context, or None.
      of_weights: one for each weight, None where there is none.
    """

    value: Any
    of_value: Any
    of_context: tf.Tensor | None
    of_weights: list[tf.Tensor | None]


def as_one_operation(
    there: Callable[..., tuple[Any, tf.Tensor, list[tf.Tensor | None]]],
    back: Callable[..., Gradients],
    value: Any,
    context: tf.Tensor | None,
    weights: Sequence[tf.Tensor],
) -> tuple[Any, tf.Tensor, list[tf.Tensor | None]]:
    """Runs steps as one operation whose gradient goes back from the output.

    Args:
      there: of value, context and weights; returns the new value, the log-det and
        whatever else the steps give, which has no gradient.
      back: of the `Gradients` at the output, the gradient with respect to the log-det,
        context and weights; returns those at the input.
      value: tensor or list of tensors, `[*batch, *event_shape]`.
      context: `[*batch', *context_shape]`, or None.
      weights: tensors that gradients are wanted for.

    Returns:
      What `there` returns.
    """
    size, contexts = len(tf.nest.flatten(value)), [] if context is None else [context]
    is_there: list[bool] = []

    @tf.custom_gradient
    def operation(*tensors):
        shown = tensors[size] if contexts else None
        own = tensors[size + len(contexts) :]
        start = tf.nest.pack_sequence_as(value, tensors[:size])
        out, log_det, others = there(start, shown, own)
        is_there[:] = [other is not None for other in others]

        def gradient(*upstream):
            of_out = tf.nest.pack_sequence_as(out, upstream[:size])
            after = Gradients(out, of_out, None, [None] * len(own))
            found = back(after, upstream[size], shown, own)
            of_contexts = [found.of_context] * len(contexts)
            return [*tf.nest.flatten(found.of_value), *of_contexts, *found.of_weights]

        others = [other for other in others if other is not None]
        return (*tf.nest.flatten(out), log_det, *others), gradient

    result = operation(*tf.nest.flatten(value), *contexts, *weights)
    found = iter(result[size + 1 :])
    others = [next(found) if there else None for there in is_there]
    return tf.nest.pack_sequence_as(value, result[:size]), result[size], others


def back_through(
    parts: Sequence[KerasBijector],
    scopes: Sequence[AbstractContextManager],
    direction: str,
    after: Gradients,
    of_log_det: tf.Tensor,
    context: tf.Tensor | None,
    weights: Sequence[tf.Tensor],
) -> Gradients:
    """Goes back through parts, from the output of the last to the input of the first.

    Args:
      parts: as they were run.
      scopes: for each part a block in which it takes the given weights for its own.
      direction: "forward" or "inverse", as they were run.
      after: the last part's output and the gradients so far.
      of_log_det: gradient with respect to the log-det of all parts.
      context: as they were run with.
      weights: what gradients are wanted for.

    Returns:
      The first part's input, the gradient there, and sums for context and weights.
    """
    found = after
    for part, scope in zip(parts[::-1], scopes[::-1], strict=True):
        # Only when the last part is done with: graphs would else recompute all inputs
        # first and keep them.
        with tf.control_dependencies(tf.nest.flatten(found.of_value)):
            value = tf.nest.map_structure(tf.identity, found.value)
        with scope:
            found = _back_through_one(
                *(part, direction, found._replace(value=value)),
                *(of_log_det, context, weights),
            )
    return found


def _back_through_one(part, direction, after, of_log_det, context, weights):
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


def _sum(one, other):
    if one is None or other is None:
        return other if one is None else one
    return one + other
