"""The fastest way through a flow whose gradients nobody asks for."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf

_STATE = threading.local()

# Where XLA is the faster one on a CPU: positions of an image, and of all of a batch.
_XLA_POSITIONS, _XLA_BATCH_POSITIONS = 64, 2048
_SMALLEST_BATCH = 8


@contextmanager
def no_gradients(xla: bool = False) -> Iterator[None]:
    """Traces densities and samples for evaluation, as fast as they can be.

    It changes how the steps of `Repeat` run, which Glow is made of; the values are the
    same up to rounding. Whatever its `memory`, nothing is recomputed, and in a graph on
    a CPU the two halves of a batch go side by side: while one waits for a small
    operation the other one computes. Only batches of a known size, at least 8, are
    halved.

    Args:
      xla: whether XLA compiles the steps on images of at most 64 positions, 2,048 in a
        batch, where it is the faster one on a CPU. Takes about a second for each batch
        size, so it suits long runs of equal batches. Ignored where there is a GPU.

    Raises:
      LookupError: when gradients are asked for through steps that XLA compiled; with
        `xla=False` they are right all the same.

    Example:
      >>> from tfp_flows import flows
      >>> flow = flows.glow((8, 8, 1), num_levels=2, num_steps=2, filters=8)
      >>> @tf.function
      ... def log_prob(x):
      ...     with no_gradients():
      ...         return flow.log_prob(x)
      >>> log_prob(tf.zeros([16, 8, 8, 1])).shape
      TensorShape([16])
    """
    before = getattr(_STATE, "choice", None)
    _STATE.choice = "xla" if xla else "graph"
    try:
        yield
    finally:
        _STATE.choice = before


def is_evaluated() -> bool:
    """Whether a `no_gradients` block is being traced."""
    return getattr(_STATE, "choice", None) is not None


def suits_xla(value: tf.Tensor, event_shape: Sequence[int]) -> bool:
    """Whether XLA is wanted for steps on such events, and likely to be faster."""
    if getattr(_STATE, "choice", None) != "xla" or len(event_shape) != 3:
        return False
    positions = event_shape[0] * event_shape[1]
    in_batch = (value.shape[:-3].num_elements() or 0) * positions
    few = positions <= _XLA_POSITIONS and in_batch <= _XLA_BATCH_POSITIONS
    return few and _on_cpu()


def compiled(function: Callable[..., tuple]) -> Callable[..., tuple]:
    """Has XLA compile a function, whose gradients are then refused.

    Args:
      function: returns a value, a log-det and anything else.
    """
    run = tf.function(function, autograph=False, jit_compile=True)

    def call(*args):
        value, log_det, others = run(*args)
        return _without_gradient(value), _without_gradient(log_det), others

    return call


def _without_gradient(tensor):
    message = (
        "Steps compiled under no_gradients(xla=True) have no gradients. Trace the "
        "function outside of that block, or with xla=False."
    )
    return tf.raw_ops.PreventGradient(input=tensor, message=message)


def side_by_side(
    function: Callable[..., tuple[tf.Tensor, tf.Tensor, list]],
    value: tf.Tensor,
    context: tf.Tensor | None,
    event_ndims: int,
    context_ndims: int,
) -> tuple[tf.Tensor, tf.Tensor, list]:
    """Applies a function to both halves of a batch, if that is faster.

    Args:
      function: of value and context, independent for each event; returns the new
        value, the log-det and anything that is the same for all events.
      value: `[*batch, *event_shape]`.
      context: `[*batch', *context_shape]`, or None.
      event_ndims: rank of an event.
      context_ndims: rank of a context.

    Returns:
      What the function returns for the whole batch.
    """
    parts = _halves(value, context, event_ndims, context_ndims)
    values, log_dets, others = zip(*[function(*part) for part in parts], strict=True)
    if len(parts) == 1:
        return values[0], log_dets[0], others[0]
    log_det = tf.concat(log_dets, axis=0) if log_dets[0].shape.rank else log_dets[0]
    return tf.concat(values, axis=0), log_det, others[0]


def _halves(value, context, event_ndims, context_ndims):
    """Returns pairs of value and context: two of half the batch, or the given one."""
    batch = value.shape[: value.shape.rank - event_ndims]
    size = batch[0] if batch.rank else None
    in_graph = tf.inside_function()
    if size is None or size < _SMALLEST_BATCH or not in_graph or not _on_cpu():
        return [(value, context)]
    sizes = [size // 2, size - size // 2]
    contexts = [context, context]
    if context is not None:
        of_context = context.shape[: context.shape.rank - context_ndims]
        if of_context.rank == batch.rank and of_context[0] != 1:
            if of_context[0] != size:  # not known
                return [(value, context)]
            contexts = tf.split(context, sizes)
    return list(zip(tf.split(value, sizes), contexts, strict=True))


def _on_cpu():
    return not tf.config.list_physical_devices("GPU")
