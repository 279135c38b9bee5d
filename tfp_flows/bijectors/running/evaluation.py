"""The fastest way through a flow whose gradients nobody asks for."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.running import tracing
from tfp_flows.networks.weights import prepared
from tfp_flows.networks.weights.training_mode import TrainingMode
from tfp_flows.purpose import purpose, running_for

# Where XLA is the faster one on a CPU: positions of an image, and of all of what one
# call is given, which is half of a batch where that is cut.
_XLA_POSITIONS, _XLA_CALL_POSITIONS = 64, 1024
_SMALLEST_BATCH = 8

Pass = Callable[..., tuple[Any, tf.Tensor]]


@contextmanager
def evaluating(xla: bool = False) -> Iterator[None]:
    """Traces densities and samples for evaluation, as fast as they can be.

    It changes how flows with a `Repeat` run, which Glow is made of; the values are the
    same up to rounding. Whatever its `memory`, nothing is recomputed, and in a graph on
    a CPU the two halves of a batch go side by side through the whole flow: while one
    waits for a small operation the other one computes. Only batches of a known size,
    at least 8, are halved.

    Args:
      xla: whether XLA compiles the steps on images of at most 64 positions, 2,048 in a
        batch, where it is the faster one on a CPU. Takes about a second for each batch
        size, so it suits long runs of equal batches. Ignored where there is a GPU.

    Raises:
      LookupError: when gradients are asked for through steps that XLA compiled; with
        `xla=False` they are right all the same.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.glow((8, 8, 1), num_levels=2, num_steps=2, filters=8)
      >>> @tf.function
      ... def log_prob(x):
      ...     with evaluating():
      ...         return flow.log_prob(x)
      >>> log_prob(tf.zeros([16, 8, 8, 1])).shape
      TensorShape([16])
    """
    with running_for("xla" if xla else "evaluation"):
        yield


def is_evaluated() -> bool:
    """Whether a `evaluating` block is being traced."""
    return purpose() in ("evaluation", "xla")


def suits_xla(value: tf.Tensor, event_shape: Sequence[int]) -> bool:
    """Whether XLA is likely to be faster for steps on such events."""
    if len(event_shape) != 3:
        return False
    positions = event_shape[0] * event_shape[1]
    in_call = (value.shape[:-3].num_elements() or 0) * positions
    few = positions <= _XLA_POSITIONS and in_call <= _XLA_CALL_POSITIONS
    return few and _on_cpu()


def compiled(function: Callable[..., tuple]) -> Callable[..., tuple]:
    """Has XLA compile a function, whose gradients are then refused.

    Args:
      function: returns a value, a log-det and anything else.
    """
    run = tracing.Traced(function, jit_compile=True)

    def call(*args):
        value, log_det, others = run(*args)
        return _without_gradient(value), _without_gradient(log_det), others

    return call


def _without_gradient(tensor):
    message = (
        "Steps compiled under evaluating(xla=True) have no gradients. Trace the "
        "function outside of that block, or with xla=False."
    )
    return tf.raw_ops.PreventGradient(input=tensor, message=message)


def in_halves(function: Pass, event_ndims: int, context_ndims: int) -> Pass:
    """Has both halves of a batch go through a function side by side, if that is faster.

    Args:
      function: of value and context, independent for each event; returns the new value
        and the log-det.
      event_ndims: rank of an event.
      context_ndims: rank of a context.

    Returns:
      The same function of the whole batch: it takes a value (or a list of them)
      `[*batch, *event_shape]` and a context `[*batch', *context_shape]`.
    """

    def call(value, context=None):
        parts = _halves(value, context, event_ndims, context_ndims)
        if len(parts) == 1:
            return function(value, context)
        with prepared.computed_once():
            found = [function(*part) for part in parts]
        values, log_dets = zip(*found, strict=True)
        # The same for all events: as many axes as the batch has, if it differs.
        differs = log_dets[0].shape.rank == _batch(value, event_ndims).rank
        log_det = tf.concat(log_dets, axis=0) if differs else log_dets[0]
        return tf.nest.map_structure(_joined, *values), log_det

    return call


def _joined(*parts):
    return tf.concat(parts, axis=0)


def _halves(value, context, event_ndims, context_ndims):
    """Returns pairs of value and context: two of half the batch, or the given one."""
    batch, whole = _batch(value, event_ndims), [(value, context)]
    size = batch[0] if batch.rank else None
    in_graph = tf.inside_function()
    if size is None or size < _SMALLEST_BATCH or not in_graph or not _on_cpu():
        return whole
    if TrainingMode().current():  # what layers learn, they learn of the whole batch
        return whole
    sizes = [size // 2, size - size // 2]
    contexts = [context, context]
    if context is not None:
        of_context = _batch(context, context_ndims)
        if of_context.rank == batch.rank and of_context[0] != 1:
            if of_context[0] != size:  # not known
                return whole
            contexts = tf.split(context, sizes)
    pieces = [tf.split(part, sizes) for part in tf.nest.flatten(value)]
    values = [
        tf.nest.pack_sequence_as(value, half) for half in zip(*pieces, strict=True)
    ]
    return list(zip(values, contexts, strict=True))


def _batch(value, event_ndims):
    first = tf.nest.flatten(value)[0]
    return first.shape[: first.shape.rank - event_ndims]


def _on_cpu():
    return not tf.config.list_physical_devices("GPU")
