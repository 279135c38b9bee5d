"""How many rows a server should put together.

A larger batch is faster by row until the machine is busy; then it only makes its
clients wait. What becomes of the advice: see `batching_file`.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.serving import golden

LARGEST = 1024
DEFAULT = 32
MEASURE = "measure"

_TOO_LONG = 0.5  # seconds that no batch may take
_ENOUGH = 1.1  # times the least time of a row


def check(max_batch_size: int | str) -> None:
    """Refuses what is no number of rows.

    Raises:
      ValueError: if it is not from 1 to 1024, or "measure".
    """
    if max_batch_size == MEASURE:
        return
    is_integer = isinstance(max_batch_size, int) and not isinstance(
        max_batch_size, bool
    )
    if not is_integer or not 1 <= int(max_batch_size) <= LARGEST:
        raise ValueError(
            f"max_batch_size must be an integer from 1 to {LARGEST}, or {MEASURE!r}, "
            f"got {max_batch_size!r}."
        )


def measured(
    functions: Mapping[str, Any], rows: Mapping[str, golden.Golden]
) -> dict[int, float]:
    """Times batches of 1, 2, 4, ... rows through all signatures, here and now.

    Args:
      functions: by signature.
      rows: golden rows by signature.

    Returns:
      Rows to the seconds that all signatures take together, the least of three, until
      a batch takes more than half a second.
    """
    found: dict[int, float] = {}
    for size in [2**i for i in range(11)]:
        seconds = 0.0
        for name, function in functions.items():
            index = np.arange(size) % golden.NUM_ROWS
            inputs = [tf.constant(v[index]) for v in rows[name].inputs.values()]
            seconds += _least_seconds(function.get_concrete_function(), inputs)
        found[size] = seconds
        if seconds > _TOO_LONG:
            break
    return found


def advice(seconds: Mapping[int, float]) -> int:
    """Returns the smallest batch whose rows cost at most a tenth more than the least.

    Args:
      seconds: as `measured`.

    Examples:
      >>> advice({1: 1.0, 2: 1.2, 4: 2.2, 8: 4.3})
      4
    """
    by_row = {size: taken / size for size, taken in seconds.items()}
    return min(
        s for s, taken in by_row.items() if taken <= _ENOUGH * min(by_row.values())
    )


def _least_seconds(function, inputs):
    function(*inputs)  # the first call of a shape prepares kernels
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        outputs = function(*inputs)
        next(iter(outputs.values())).numpy()
        taken.append(time.perf_counter() - start)
    return min(taken)
