"""Seeds for served samples: one pair of integers a row, made by the client."""

import numpy as np

# Seeds are int64 on the wire.
_BOUND = 2**63


def seeds(seed: int, n: int, start: int = 0) -> np.ndarray:
    """Returns the seeds of samples `start` to `start + n - 1` of the stream `seed`.

    Row i is `[seed, start + i]` and its sample depends on nothing else: the same rows
    come back alone, in any batch, in chunks, on any replica and on a retry.

    Args:
      seed: the stream, any 64-bit integer.
      n: number of rows, at least 0.
      start: index of the first row, at least 0.

    Returns:
      int64 `[n, 2]`, the input `seed` of the served `sample` and `bits_per_dim`.

    Raises:
      ValueError: if a number is not an integer in its range.

    Examples:
      >>> seeds(7, 2, start=3).tolist()
      [[7, 3], [7, 4]]
    """
    _check("seed", seed, -_BOUND)
    _check("n", n, 0)
    _check("start", start, 0)
    _check("start + n", int(start) + int(n), 0)
    index = np.arange(start, start + n, dtype=np.int64)
    return np.stack([np.full_like(index, seed), index], axis=1)


def _check(name, value, low):
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_integer or not low <= value < _BOUND:
        raise ValueError(
            f"seeds needs an integer {name} from {low} to {_BOUND - 1}, got {value!r}."
        )
