"""Masks that split an event into a passive and an active part.

A mask is a boolean NumPy array of the event's shape; True marks passive units, the
ones a coupling leaves alone and shows to its network.
"""

import math
from collections.abc import Sequence

import numpy as np


def half(event_shape: Sequence[int], flip: bool = False) -> np.ndarray:
    """Marks the first half of the last axis (channels of an image) as passive.

    With an odd number of units the first part is the smaller one.

    Args:
      event_shape: shape of one event, at least two units on the last axis.
      flip: marks the second part instead.

    Returns:
      bool `[*event_shape]`.

    Raises:
      ValueError: if the last axis has fewer than two units.

    Examples:
      >>> half((4,)).tolist()
      [True, True, False, False]
    """
    shape = _checked(event_shape)
    if shape[-1] < 2:
        raise ValueError(
            f"A half mask needs at least 2 units on the last axis, got event_shape "
            f"{shape}. Use a checkerboard mask, or squeeze the image first."
        )
    first = np.arange(shape[-1]) < shape[-1] // 2
    return np.array(np.broadcast_to(first ^ flip, shape))


def alternating(event_shape: Sequence[int], flip: bool = False) -> np.ndarray:
    """Marks every other unit of the last axis as passive, beginning with the first.

    Args:
      event_shape: shape of one event, at least two units on the last axis.
      flip: marks the others instead.

    Returns:
      bool `[*event_shape]`.

    Raises:
      ValueError: if the last axis has fewer than two units.

    Examples:
      >>> alternating((4,)).tolist()
      [True, False, True, False]
    """
    shape = _checked(event_shape)
    if shape[-1] < 2:
        raise ValueError(
            f"An alternating mask needs at least 2 units on the last axis, got "
            f"event_shape {shape}. Use a checkerboard mask instead."
        )
    even = np.arange(shape[-1]) % 2 == 0
    return np.array(np.broadcast_to(even ^ flip, shape))


def checkerboard(event_shape: Sequence[int], flip: bool = False) -> np.ndarray:
    """Marks the positions with an even sum of indices as passive [1].

    Args:
      event_shape: `(*positions, channels)`, at least two positions.
      flip: marks the odd ones instead.

    Returns:
      bool `[*positions, channels]`.

    Raises:
      ValueError: if the event has fewer than two positions.

    Examples:
      >>> checkerboard((2, 2, 1))[..., 0].tolist()
      [[True, False], [False, True]]

    References:
      [1] Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017.
          arXiv:1605.08803
    """
    shape = _checked(event_shape)
    if math.prod(shape[:-1]) < 2:
        raise ValueError(
            f"A checkerboard mask needs event_shape (*positions, channels) with at "
            f"least 2 positions, got {shape}. Use half or alternating for vectors."
        )
    even = np.indices(shape[:-1]).sum(axis=0) % 2 == 0
    return np.array(np.broadcast_to((even ^ flip)[..., None], shape))


def nothing(event_shape: Sequence[int], flip: bool = False) -> np.ndarray:
    """Marks no unit as passive: a coupling is then a learned map of each unit.

    Args:
      event_shape: shape of one event.
      flip: changes nothing; other masks have it.

    Returns:
      bool `[*event_shape]`.

    Examples:
      >>> nothing((1,)).tolist()
      [False]
    """
    return np.zeros(_checked(event_shape), bool)


def _checked(event_shape: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(int(n) for n in event_shape)
    if not shape or min(shape) < 1:
        raise ValueError(
            f"A mask needs an event_shape of positive sizes, got {shape}. "
            "Pass for example (64,) for vectors or (8, 8, 1) for images."
        )
    return shape
