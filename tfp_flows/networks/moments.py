"""Mean and spread of data of any magnitude, as a float32 layer can hold them."""

from typing import Any, NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Mean and standard deviation of the columns of a table, `[D]` each, float64.

    mean = center + rest * scale

    Attributes:
      center: the mean, rounded to the dtype of the data.
      rest: what the rounding took away, in units of `scale`.
      scale: the standard deviation; 1 in columns that do not vary.
      varies: whether a column holds more than the rounding of one number.
    """

    center: np.ndarray
    rest: np.ndarray
    scale: np.ndarray
    varies: np.ndarray


def moments(rows: Any, dtype: Any, owner: str) -> Moments:
    """Returns the moments of the columns of a table.

    Nothing is compared with a number in the data's own unit: a column is constant if
    its spread is below a quarter of what `dtype` can tell apart at its magnitude. All
    sums are of differences from the first row, so that 1e9 + noise has the moments of
    the noise.

    Args:
      rows: `[N, D]`, already rounded to `dtype`; N >= 2.
      dtype: of the model that will use them, a NumPy floating type.
      owner: for the message.

    Raises:
      ValueError: if there are fewer than two rows, or not all are finite.

    Examples:
      >>> found = moments([[1e9], [1e9 + 2.0]], np.float64, "example")
      >>> print(found.center, found.scale)
      [1.e+09] [1.]
    """
    rows = np.asarray(rows, np.float64)
    if len(rows) < 2 or not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(axis=1)).sum())
        raise ValueError(
            f"{owner!r} needs at least 2 finite events to adapt, got {len(rows)} of "
            f"which {bad} hold NaN or infinity. Drop those, or give more."
        )
    apart = rows - rows[0]
    mean = apart.mean(axis=0)
    apart -= mean
    peak = np.abs(apart).max(axis=0)
    peak = np.where(peak > 0, peak, 1.0)  # squares of 1e-200 would be 0
    scale = peak * np.sqrt(np.square(apart / peak).mean(axis=0))
    center = (rows[0] + mean).astype(dtype).astype(np.float64)
    rest = (rows[0] - center) + mean
    resolution = np.finfo(dtype).eps * np.abs(rows).max(axis=0)
    varies = scale > 0.25 * resolution
    scale = np.where(varies, scale, 1.0)
    return Moments(center, rest / scale, scale, varies)
