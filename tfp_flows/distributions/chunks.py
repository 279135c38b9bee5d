"""Many events in bounded memory: drawn in chunks, the same as in one piece."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import progress
from tfp_flows.distributions import noise, rows
from tfp_flows.distributions.bases import Base, independent_parts

_BUDGET = 2**23  # bytes that the widest activation of an automatic chunk may take
_MOST = 2**14  # events in an automatic chunk


def sample(
    model: Any,
    sample_shape: Any,
    seed: Any,
    chunk_size: int | str,
    context: Any = None,
    temperature: Any = 1.0,
) -> np.ndarray:
    """Draws what `model.sample` draws, a chunk of events at a time.

    Noise belongs to rows (see `noise.salted`), so how events are cut into chunks does
    not change it; the arithmetic of another batch size may differ in the last bits.

    Args:
      model: with noise by rows.
      sample_shape: as in `sample`.
      seed: as in `sample`.
      chunk_size: events at a time, or "auto".
      context: `[*batch, *context_shape]` for a conditional model.
      temperature: a number, or an array that broadcasts to `[*sample_shape, *batch]`.

    Returns:
      `[*sample_shape, *batch, *event_shape]`.

    Raises:
      ValueError: inside of a `tf.function`, for a base that knows no rows, or for
        another chunk size.
    """
    _check(model, chunk_size)
    rows.check_context(context, model.context_shape, model.name)
    shape = np.reshape(np.asarray(sample_shape, np.int64), [-1]).tolist()
    if context is not None:
        context = np.asarray(context)
        rank = context.ndim - len(model.context_shape)
        shape += context.shape[:rank]
        context = context.reshape([-1, *model.context_shape])
    is_each = np.ndim(temperature) > 0
    if is_each:
        temperature = np.broadcast_to(temperature, shape).reshape(-1)
    size = automatic_size(model) if chunk_size == "auto" else int(chunk_size)
    pair = _pair(seed)
    count = math.prod(shape)
    drawn = np.empty([count, *model.event_shape], model.dtype.as_numpy_dtype)
    for start in progress.steps(range(0, count, size), f"sampling {model.name}"):
        here = np.arange(start, min(start + size, count))
        given = {"seed": tf.concat([pair, [start]], axis=0)}
        given["temperature"] = temperature[here] if is_each else temperature
        if context is None:
            drawn[here] = model.sample(len(here), **given)
        else:
            drawn[here] = model.sample(context=context[here % len(context)], **given)
    return drawn.reshape([*shape, *model.event_shape])


def automatic_size(model: Any) -> int:
    """Returns how many events are drawn at a time if nobody says.

    So many that the widest activation, of an event's positions by the widest weight,
    takes 8 MiB, and at most 16,384.

    Args:
      model: a `Model`.

    Examples:
      >>> from tfp_flows import flows
      >>> automatic_size(flows.real_nvp((16,), 2, (512,)))
      4096
    """
    *positions, units = model.event_shape or (1,)
    widest = max([units, *(v.shape[-1] for v in model.raw_variables if v.shape.rank)])
    row = math.prod(positions) * widest * model.real_dtype.size
    return max(1, min(_MOST, _BUDGET // row))


def _check(model, chunk_size):
    is_count = isinstance(chunk_size, (int, np.integer)) and chunk_size > 0
    if chunk_size != "auto" and not is_count:
        raise ValueError(
            f'chunk_size must be a positive integer or "auto", got {chunk_size!r}. '
            "Leave it out to draw in one piece."
        )
    if not tf.executing_eagerly():
        raise ValueError(
            "chunk_size= fills a NumPy array, which a tf.function cannot do. Call "
            "sample(chunk_size=...) outside of it, or sample in one piece."
        )
    base = getattr(model, "distribution", None)
    is_known = isinstance(base, Base) or independent_parts(base) is not None
    if base is not None and not is_known:
        raise ValueError(
            f"The base {base.name!r} of {model.name!r} draws its noise for a batch as "
            "a whole, so that chunks would not be the parts of one sample. Sample "
            "several times with a seed each, or take one of tfp_flows.distributions."
        )


def _pair(seed):
    """Two numbers that stand for a seed."""
    pair = noise.as_integers(seed)
    if pair is None:
        pair = tfp.random.sanitize_seed(None)
    if pair.shape != [2]:
        raise ValueError(
            "Sampling in chunks needs a seed that is an integer or two integers, got "
            f"one of shape {pair.shape}. Its rows are counted from 0."
        )
    return pair
