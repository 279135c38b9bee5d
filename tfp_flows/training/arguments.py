"""What arguments of `fit`, `evaluate` and `predict` may be: told before any work."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.training import weighting

_SIZES = {
    "batch_size": "Leave it out for batches of 32.",
    "validation_batch_size": "Leave it out for that of training.",
    "steps_per_epoch": "Leave it out for all of the data.",
    "validation_steps": "Leave it out for all of the data.",
    "steps": "Leave it out for all of the data.",
    "steps_per_execution": "Leave it out for 1.",
}


def check_sizes(**sizes: Any) -> None:
    """Refuses numbers of examples or steps that there cannot be.

    Args:
      **sizes: by the name of their argument; None is none given.

    Raises:
      ValueError: if one is neither None nor a positive integer.

    Examples:
      >>> check_sizes(batch_size=8, steps=None)
    """
    for name, size in sizes.items():
        if size is not None and not _is_count(size, 1):
            raise ValueError(
                f"{name} must be a positive integer, got {size!r}. {_SIZES[name]}"
            )


def check_fit(
    x: Any, batch_size: Any, epochs: Any, callbacks: Any, options: Mapping[str, Any]
) -> None:
    """Refuses arguments of `fit` that Keras would ignore, or fail on later.

    Args:
      x: what it trains on.
      batch_size: of arrays.
      epochs: how many.
      callbacks: one, several or a list of Keras.
      options: its other arguments.

    Raises:
      ValueError: naming the argument, what came and what may.
    """
    weighting.refuse_classes(options)
    names = ("steps_per_epoch", "validation_steps", "validation_batch_size")
    sizes = {name: options.get(name) for name in names}
    check_sizes(batch_size=batch_size, **sizes)
    for name, count in {"epochs": epochs, **_chosen(options, "initial_epoch")}.items():
        if not _is_count(count, 0):
            raise ValueError(
                f"{name} must be an integer from 0 on, got {count!r}. Give how many "
                "times the data are passed through."
            )
    _check_split(x, options.get("validation_split"))
    frequency = options.get("validation_freq", 1)
    is_list = isinstance(frequency, (list, tuple, set))
    if not is_list and not _is_count(frequency, 1):
        raise ValueError(
            f"validation_freq must be a positive integer, got {frequency!r}. Give the "
            "number of epochs between validations, or a list of epochs."
        )
    for callback in tf.nest.flatten(callbacks or []):
        if not hasattr(callback, "set_model"):
            raise ValueError(
                f"callbacks must be Keras callbacks, got {callback!r}. Pass objects of "
                "keras.callbacks.Callback."
            )


def check_compile(optimizer: Any, steps_per_execution: Any) -> None:
    """Refuses what `compile` cannot train with.

    Raises:
      ValueError: if there is no optimizer, or the steps are no positive number.
    """
    check_sizes(steps_per_execution=steps_per_execution)
    if optimizer is None:
        raise ValueError(
            'FlowModel.compile needs an optimizer, got None. Pass "adam", or any of '
            "keras.optimizers."
        )


def _check_split(x, share):
    if share is None or share == 0:
        return
    is_number = isinstance(share, (int, float, np.number))
    if not is_number or not 0 < share < 1:
        raise ValueError(
            f"validation_split must be a number from 0 to 1, without 1, got {share!r}. "
            "Give the share of rows to validate on."
        )
    streams = (tf.data.Dataset, tf.distribute.DistributedDataset)
    if isinstance(x, (*streams, keras.utils.PyDataset)) or hasattr(x, "__next__"):
        raise ValueError(
            f"validation_split cuts arrays, got it beside a {type(x).__name__}. Give "
            "validation_data=, such as dataset.take(n), and train on dataset.skip(n)."
        )


def _chosen(options, name):
    return {name: options[name]} if name in options else {}


def _is_count(value, least):
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return is_integer and value >= least
