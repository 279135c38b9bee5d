"""The options `support` and `base` of recipes: where events and their codes may lie."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.bijectors import Intervals, KerasBijector, Simplex
from tfp_flows.bijectors.interval import Interval, intervals_of
from tfp_flows.distributions import (
    Base,
    StandardLogistic,
    StandardNormal,
    StudentT,
    WithCircles,
)
from tfp_flows.flows._options import Data
from tfp_flows.flows._unusable import chosen

_WHY = {  # recipes that never will
    "gaussian": ": a normal variable has no period",
    "gaussian_mixture": ": a normal variable has no period",
    "nice": ": they keep volumes, so that a density on it would be even",
}
_BASES = {"normal": StandardNormal, "logistic": StandardLogistic, "student_t": StudentT}


@dataclasses.dataclass(frozen=True)
class Support:
    """Where the events of a recipe lie.

    Args:
      event_shape: shape of one event.
      intervals: of each feature of the last axis.
      is_simplex: whether the entries of the last axis are positive and sum to one.
    """

    event_shape: tuple[int, ...]
    intervals: tuple[Interval, ...]
    is_simplex: bool = False

    @classmethod
    def of(cls, support: Any, event_shape: tuple[int, ...], owner: str) -> "Support":
        """Reads the option `support` of the recipe `owner`."""
        size = event_shape[-1]
        is_simplex = isinstance(support, str) and support == "simplex"
        found = intervals_of("real" if is_simplex else support, size, owner)
        return cls(event_shape, tuple(found), is_simplex)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of an event as real numbers."""
        return (self.event_shape[0] - 1,) if self.is_simplex else self.event_shape

    @property
    def circles(self) -> np.ndarray:
        """Which features are angles, bool `[features]`."""
        if self.is_simplex:
            return np.zeros(self.latent_shape, bool)
        return np.array([interval.is_periodic for interval in self.intervals])

    def check(self, owner: str, keeps_circles: Sequence[int]) -> None:
        """Refuses a support that the recipe has no steps for.

        Args:
          owner: name of the recipe.
          keeps_circles: ranks of the events whose circles its steps keep.

        Raises:
          ValueError: for a simplex of other than rows of two entries or more, or
            circles that the steps would leave.
        """
        if self.is_simplex and (len(self.event_shape) > 1 or self.event_shape[0] < 2):
            raise ValueError(
                f"{owner} got support='simplex' for events of shape "
                f"{self.event_shape}. Give vectors of two or more entries, (D,)."
            )
        if not self.circles.any():
            return
        if len(self.event_shape) not in keeps_circles:
            raise ValueError(
                f"{owner} has no steps that keep a periodic feature of events of shape "
                f"{self.event_shape} on its circle{_WHY.get(owner, '')}. Take "
                "flows.neural_spline, real_nvp, flow_pp, maf or iaf for vectors (D,), "
                "or wavenet or recurrent for sequences (T, C)."
            )

    def bijectors(self, dtype: Any) -> list[KerasBijector]:
        """Returns the bijector to numbers and angles; none for real features alone.

        Args:
          dtype: of the events.
        """
        if self.is_simplex:
            return [Simplex(self.event_shape, dtype=dtype, name="support")]
        if all(interval == Interval() for interval in self.intervals):
            return []
        support = [
            ("periodic", low, high) if is_periodic else (low, high)
            for low, high, is_periodic in self.intervals
        ]
        return [Intervals(self.event_shape, support, dtype=dtype, name="support")]


def base_of(
    data: Data, shape: tuple[int, ...], circles: np.ndarray, owner: str
) -> Base:
    """Returns the base of a recipe: as its option says, and uniform on circles.

    Args:
      data: has the option `base` and the dtype.
      shape: of the latent events.
      circles: which features are angles.
      owner: name of the recipe, for messages.

    Raises:
      ValueError: for an unknown base, or one that all features, being angles, have no
        use for.
    """
    kind = chosen(_BASES, data.base, "base", owner)
    if not circles.any():
        return kind(shape, data.dtype)
    if circles.all() and kind is not StandardNormal:
        raise ValueError(
            f"{owner} cannot use base={data.base!r}: all features are periodic, and "
            "the base of an angle is uniform. Drop it."
        )
    *positions, _ = shape
    count = int((~circles).sum())
    others = kind((*positions, count), data.dtype) if count else None
    return WithCircles(circles, others, data.dtype, positions=positions)
