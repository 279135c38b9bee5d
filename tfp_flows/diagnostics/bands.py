"""Bands that the empirical distribution of uniform values leaves rarely, as a whole."""

import dataclasses
import functools

import numpy as np
from scipy import stats

_DRAWS = 2000  # simulated curves: p-values from 1 / 2001 upward
_POINTS = 100  # of a curve, at most


@dataclasses.dataclass(frozen=True)
class UniformBand:
    """Where the whole empirical distribution function of uniform values lies [1].

    At each point the count of values below is binomial; how far one has to go for the
    band to hold at all points at once is found by simulated curves. For ranks among a
    number of samples, themselves random, counts are beta-binomial.

    Args:
      points: in (0, 1), `[K]`.
      lower: share of values up to each point, `[K]`.
      upper: the same, `[K]`.
      count: number of values.
      level: probability that all of a curve is inside.

    Raises:
      ValueError: by `of`, for counts that are not positive or a level beyond (0, 1).

    Examples:
      >>> band = UniformBand.of(200)
      >>> uniform = (np.arange(200) + 0.5) / 200
      >>> bool(band.p_value(uniform) > 0.9), bool(band.p_value(uniform**2) < 0.001)
      (True, True)

    References:
      [1] Sailynoja, Buerkner, Vehtari. Graphical test for discrete uniformity and its
          applications in goodness-of-fit evaluation and multiple sample comparison.
          Statistics and Computing 2022. arXiv:2103.10522
    """

    points: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    count: int
    level: float
    _below: np.ndarray = dataclasses.field(repr=False)  # P(count <= c), [K, count + 1]
    _rarest: np.ndarray = dataclasses.field(repr=False)  # of each simulated curve

    @classmethod
    def of(
        cls,
        count: int,
        num_samples: int | None = None,
        level: float = 0.95,
        seed: int = 0,
    ) -> "UniformBand":
        """Returns the band.

        Args:
          count: number of values.
          num_samples: that the values are ranks among, see `ranks.among`; None for
            values that are uniform themselves.
          level: probability that all of a curve is inside.
          seed: of the simulated curves.

        Raises:
          ValueError: if a number is out of its range.
        """
        least = min(count, 1 if num_samples is None else num_samples)
        if least < 1 or not 0 < level < 1:
            raise ValueError(
                f"A band needs positive counts and 0 < level < 1, got count={count}, "
                f"num_samples={num_samples}, level={level}."
            )
        return _band(int(count), num_samples, level, seed)

    def p_value(self, values: np.ndarray) -> float:
        """Returns the p-value of "these values are uniform".

        Args:
          values: `[count]`.
        """
        counts = np.searchsorted(np.sort(values), self.points, side="right")
        rarest = _rarest(self._below, counts[None])[0]
        # The last bit of a probability is not to decide.
        as_rare = np.sum(self._rarest <= rarest * (1 + 1e-9))
        return float((1 + as_rare) / (1 + len(self._rarest)))


@functools.lru_cache(maxsize=8)
def _band(count, num_samples, level, seed):
    rng = np.random.default_rng(seed)
    values = np.arange(count + 1)
    if num_samples is None:
        points = np.linspace(0, 1, min(count, _POINTS) + 2)[1:-1]
        spaces = np.diff(points, prepend=0.0, append=1.0)
        spaces = np.broadcast_to(spaces, (_DRAWS, len(spaces)))
        mass = stats.binom.pmf(values, count, points[:, None])
    else:
        places = min(num_samples, _POINTS)
        rank = np.unique(np.linspace(1, num_samples, places).astype(int))
        points = (rank - 0.5) / num_samples
        widths = np.diff(rank, prepend=0, append=num_samples + 1)
        spaces = rng.dirichlet(widths, _DRAWS)
        mass = stats.betabinom.pmf(
            values, count, rank[:, None], num_samples + 1 - rank[:, None]
        )
    below = np.minimum(np.cumsum(mass, axis=1), 1.0)
    drawn = np.cumsum(rng.multinomial(count, spaces)[:, :-1], axis=1)
    rarest = _rarest(below, drawn)
    half = np.quantile(rarest, 1 - level, method="lower") / 2
    above = 1 - below + mass  # P(count >= c)
    lower = np.argmax(below >= half, axis=1)
    upper = count - np.argmax(above[:, ::-1] >= half, axis=1)
    return UniformBand(
        points, lower / count, upper / count, count, level, below, rarest
    )


def _rarest(below, counts):
    """Smallest two-sided probability on each curve of counts `[B, K]`."""
    place = np.arange(len(below))
    at_most = below[place, counts]
    less = np.where(counts > 0, below[place, counts - 1], 0.0)
    return 2 * np.minimum(at_most, 1 - less).min(axis=1)
