"""Whether bijectors differ in nothing but their weights."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfb = tfp.bijectors

_RANDOM = ("seed", "name")  # arguments in which equal steps may differ


def check_same_kind(first: tfb.Bijector, other: Any, name: str) -> None:
    """Refuses steps that differ in more than the weights, which would go unnoticed.

    Args:
      first: a bijector.
      other: another one.
      name: of the bijector that is to repeat them, for the message.

    Raises:
      ValueError: if types or arguments differ; seeds and names may.
    """
    if type(first) is not type(other):
        raise ValueError(
            f"{name} needs steps of one kind, got {type(first).__name__} and "
            f"{type(other).__name__}."
        )
    for key, value in first.parameters.items():
        if key in _RANDOM:
            continue
        if not _same(value, other.parameters[key], name):
            raise ValueError(
                f"{name} needs steps that differ in nothing but their weights, got "
                f"{first.name!r} and {other.name!r} with another {key}. Put steps that "
                "take turns into one Chain and repeat that."
            )


def _same(one, other, name):
    if isinstance(one, tf.Module):
        check_same_kind(one, other, name)
        return True
    if isinstance(one, (list, tuple)) and not isinstance(one, str):
        return len(one) == len(other) and all(
            _same(a, b, name) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, keras.Layer):
        return type(one) is type(other)  # the shapes of the weights are checked too
    if callable(one):
        return type(one) is type(other)
    return bool(np.array_equal(one, other))
