"""The data that a model adapts to: brought together, and looked at."""

import warnings
from typing import Any

import numpy as np
import tensorflow as tf


def whole(data: Any, context: Any, model: Any) -> tuple[Any, Any]:
    """Returns (x, context) as whole tensors from arrays or a data set of batches.

    Args:
      data: events, or a data set of them, or of (context, x).
      context: of an array of events.
      model: whose contexts they are.

    Raises:
      ValueError: if the data set is empty.
    """
    x, context = _joined(data, context, model.context_shape)
    if context is not None:
        # Parts inside of parts are not asked through TFP, which would convert it.
        context = tf.nest.map_structure(_real, context, model.context_dtype)
    return x, context


def _real(part, dtype):
    """Casts to a real type; whole numbers are checked by what takes them."""
    return part if dtype.is_integer else tf.cast(part, dtype)


def _joined(data, context, context_shape):
    if not isinstance(data, tf.data.Dataset):
        return tf.convert_to_tensor(data), context
    batches = list(data)
    if not batches:
        raise ValueError("The data set to adapt to is empty. Give at least one batch.")
    if context_shape is None:
        first = [b[0] if isinstance(b, (tuple, list)) else b for b in batches]
        return tf.concat(first, axis=0), None
    contexts, events = zip(*batches, strict=True)
    context = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *contexts)
    return tf.concat(events, axis=0), context


def tell_constant_units(x: Any, name: str) -> None:
    """Warns of units that do not vary: training would narrow them without end."""
    x = np.asarray(x)
    there = ~np.isnan(x)
    first = np.take_along_axis(x, there.argmax(axis=0)[None], axis=0)
    same = np.all((x == first) | ~there, axis=0) & there.any(axis=0)
    places = np.argwhere(same).tolist() if len(x) > 1 else []
    if places:
        warnings.warn(
            f"{name!r} adapts to {len(x)} events in which {len(places)} units never "
            f"vary: {str(places[:5])[1:-1]}{' ...' if places[5:] else ''}. Drop them: "
            "they have no density, and training would narrow the model's without end.",
            stacklevel=4,
        )
