"""What the recipes share: checked shapes, dtypes, and the step to integer pixels."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors import (
    KerasBijector,
    PixelHistogram,
    PixelLogit,
    Standardize,
)
from tfp_flows.distributions import Dequantized, Flow, Model, Padded
from tfp_flows.flows.noise import noise_flow


def checked_shape(event_shape: Sequence[int], owner: str) -> tuple[int, ...]:
    """Returns the event shape as a tuple of positive integers.

    Raises:
      ValueError: if it is empty, not a sequence, or has a size below one.
    """
    try:
        shape = tuple(int(n) for n in event_shape)
    except TypeError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ValueError(
            f"{owner} needs an event_shape of positive sizes, got {event_shape!r}. "
            "Pass for example (64,) for vectors or (8, 8, 1) for images."
        )
    return shape


def padded_shape(
    event_shape: tuple[int, ...],
    pad_to: Sequence[int] | None,
    num_values: int | None,
    owner: str,
) -> tuple[int, ...]:
    """Returns the shape of the events that the flow itself sees.

    Args:
      event_shape: of the data.
      pad_to: `(height, width)` of the flow's images, None for those of the data.
      num_values: number of integer values; None for continuous data.
      owner: name of the recipe.

    Raises:
      ValueError: if the data are continuous or no images, or larger than `pad_to`.
    """
    if pad_to is None:
        return event_shape
    if num_values is None:
        raise ValueError(
            f"{owner} got pad_to={pad_to!r} without num_values. Zeros around integers "
            "have a probability, which bounds that of the image; around continuous "
            "data they have none, and a density on them grows without end. Give "
            "num_values, or resize the images."
        )
    sides = tuple(int(n) for n in np.ravel(pad_to))
    fits = all(n >= m for n, m in zip(sides, event_shape, strict=False))
    if len(event_shape) != 3 or len(sides) != 2 or not fits:
        raise ValueError(
            f"{owner} needs images (height, width, channels) and pad_to=(height, "
            f"width) at least as large, got {event_shape} and {pad_to!r}."
        )
    return (*sides, event_shape[2])


def network_policy(dtype: Any, network_dtype: str | None) -> keras.DTypePolicy:
    """Returns the dtype policy of a flow's networks.

    Args:
      dtype: of the flow.
      network_dtype: policy asked for, such as "mixed_bfloat16"; if None, Keras' global
        policy for float32 flows and the flow's own dtype otherwise.
    """
    if network_dtype is not None:
        return keras.dtype_policies.get(network_dtype)
    if tf.as_dtype(dtype) == tf.float32:
        return keras.config.dtype_policy()
    return keras.dtype_policies.get(tf.as_dtype(dtype).name)


def data_map(
    event_shape: Sequence[int],
    num_values: int | None,
    alpha: float,
    dtype: Any,
    histogram: str | None = None,
) -> list[KerasBijector]:
    """Returns the bijectors from the data to numbers of mean 0 and variance 1.

    Integers are taken to the real line first. Whatever the unit of the data, a body
    behind these begins with the same numbers.
    """
    last = _standardize(event_shape, dtype, "standardize")
    if num_values is None:
        return [last]
    parts = [PixelLogit(event_shape, num_values, alpha=alpha, dtype=dtype), last]
    if histogram is None:
        return parts
    return [PixelHistogram(event_shape, num_values, histogram, dtype=dtype), *parts]


def context_map(
    context_shape: Sequence[int] | None, dtype: Any
) -> KerasBijector | None:
    """Returns what contexts of any unit go through before a network sees them."""
    if context_shape is None:
        return None
    return _standardize(context_shape, dtype, "standardize_context")


def _standardize(shape, dtype, name):
    """Features of vectors have moments of their own, positions share a channel's."""
    per = "unit" if len(shape) == 1 else "channel"
    return Standardize(shape, per, dtype=dtype, name=name)


def finished(
    flow: Flow,
    num_values: int | None,
    dequantization: str = "uniform",
    network_dtype: str | None = None,
    event_shape: Sequence[int] | None = None,
) -> Model:
    """Returns the flow itself, or its distribution over integers.

    Args:
      flow: over [0, num_values], or over the reals if `num_values` is None.
      num_values: number of integer values, None for continuous data.
      dequantization: "uniform", or "variational" for learned noise, see `noise_flow`.
      network_dtype: dtype policy of the noise flow's networks, see `network_policy`.
      event_shape: of the integers, if the flow is over padded ones.

    Raises:
      ValueError: for an unknown dequantization, or a variational one of continuous
        data.
    """
    if dequantization not in ("uniform", "variational"):
        raise ValueError(
            f"{flow.name} has no dequantization {dequantization!r}. Choose uniform or "
            "variational."
        )
    if dequantization == "variational" and num_values is None:
        raise ValueError(
            f"{flow.name} got dequantization='variational' without num_values. "
            "Continuous data are not dequantized; integers need num_values."
        )
    if num_values is None:
        return flow
    noise = None
    if dequantization == "variational":
        noise = noise_flow(
            flow.event_shape.as_list(),
            num_values,
            dtype=flow.dtype.name,
            network_dtype=network_policy(flow.dtype, network_dtype),
        )
    integers = Dequantized(flow, num_values, noise)
    if event_shape is None or tuple(event_shape) == tuple(flow.event_shape):
        return integers
    return Padded(integers, event_shape)
