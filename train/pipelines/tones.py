"""Chords of harmonic tones in mu-law codes: music that is made, not recorded."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats

from tfp_flows.distributions import mu_law
from train.pipelines.sources import Arrays

RATE = 8000  # steps a second
# Two octaves of the minor pentatonic scale on A3, equally tempered, in Hz.
PITCHES = 220.0 * 2.0 ** (np.array([0, 3, 5, 7, 10, 12, 15, 17, 19, 22]) / 12.0)
NUM_HARMONICS = 5  # the highest is at 3,920 Hz, below half the rate
MAX_NOTES = 4
_GAPS = (0.2, 0.3)  # seconds from one chord to the next
_DECAY = 0.1  # seconds in which a note falls to 1/e
_ECHO = 6.0  # decays after which a note is below all noise, and is left out
_EXCERPTS, _EXCERPT_SECONDS = 3, 2


@dataclasses.dataclass(frozen=True)
class Audio:
    """What is known of a data set of sound in mu-law codes.

    Args:
      rate: steps a second.
      num_values: number of codes.
      excerpts: codes `[N, steps, 1]`, longer than an event, to be looked at.
      floor: entropy of the test codes given the tones without noise, nats a step. The
        average of a model that is not told the tones cannot be below it.
    """

    rate: int
    num_values: int
    excerpts: np.ndarray
    floor: float


@dataclasses.dataclass(frozen=True)
class Chord:
    """Notes that are struck together and decay.

    sound(t) = sum_n loudness[n] exp(-t / decay) sum_h sin(2 pi h pitch[n] t) / h^2 / c

    for h = 1 .. NUM_HARMONICS, and c the sum of all 1 / h^2. It begins at 0, as strings
    do that are at rest.

    Args:
      start: in seconds.
      pitches: in Hz, `[K]`.
      loudness: of each note, `[K]`.
    """

    start: float
    pitches: np.ndarray
    loudness: np.ndarray

    def sound(self, time: np.ndarray) -> np.ndarray:
        """Returns the amplitude at each time, given in seconds and increasing."""
        end = self.start + _ECHO * _DECAY
        first, last = np.searchsorted(time, (self.start, end))
        t = time[first:last] - self.start
        harmonic = np.arange(1, NUM_HARMONICS + 1)
        weight = 1.0 / harmonic**2
        waves = np.sin(
            2.0 * np.pi * np.multiply.outer(t, self.pitches)[..., None] * harmonic
        )
        notes = waves @ (weight / weight.sum())
        amplitude = np.zeros_like(time)
        amplitude[first:last] = np.exp(-t / _DECAY) * (notes @ self.loudness)
        return amplitude


def melody(rng: np.random.Generator, seconds: float) -> list[Chord]:
    """Draws chords, one after the other.

    The first one begins before 0, so that time 0 lies somewhere within a chord.

    Args:
      rng: source of randomness.
      seconds: until when chords begin.
    """
    chords, start = [], -rng.uniform(0.0, _GAPS[0])
    while start < seconds:
        count = rng.integers(1, MAX_NOTES + 1)
        pitches = np.sort(rng.choice(PITCHES, count, replace=False))
        # Together never above 1, which is the loudest that a code stands for.
        chords.append(Chord(start, pitches, rng.uniform(0.5, 1.0, count) / MAX_NOTES))
        start += rng.uniform(*_GAPS)
    return chords


def draw(
    count: int, steps: int, noise: float, seed: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draws sequences of sound.

    Args:
      count: number of sequences.
      steps: of each, `RATE` a second.
      noise: standard deviation of the white noise on the tones.
      seed: of everything.

    Returns:
      Sound with its noise, and the tones alone, float64 `[count, steps]` each.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(steps) / RATE
    tones = np.zeros((count, steps))
    for sequence in tones:
        for chord in melody(rng, steps / RATE):
            sequence += chord.sound(time)
    return tones + rng.normal(0.0, noise, tones.shape), tones


def code_entropy(tones: np.ndarray, noise: float, num_values: int) -> float:
    """Returns the mean entropy of codes for one who knows the tones, nats a step.

    The noise of one step tells nothing of the next, so this is the entropy rate of the
    codes given the tones, and the entropy rate of the codes is above it.

    Args:
      tones: amplitudes without noise.
      noise: its standard deviation.
      num_values: number of codes.
    """
    between = mu_law.decode(np.arange(num_values - 1) + 0.5, num_values, np.float64)
    # A function of the amplitude, no rougher than the noise: a fine grid is enough.
    grid = np.linspace(-1.0, 1.0, int(np.clip(16.0 / noise, 1001, 20001)))
    below = scipy.stats.norm.cdf((between.numpy() - grid[:, None]) / noise)
    codes = np.diff(below, axis=1, prepend=0.0, append=1.0)
    return float(np.interp(tones, grid, scipy.stats.entropy(codes, axis=1)).mean())


def load(config: Any) -> tuple:
    """Draws the three parts, each from a stream of its own, and excerpts.

    Args:
      config: `num_steps` of a sequence, `scale` of the noise, `num_values` (0 for 256),
        `num_train`, `num_valid`, `num_test`, `seed`, `context`.

    Returns:
      (sources of the codes of train, valid and test), number of codes and `Audio` under
      their names in `Splits`.

    Raises:
      ValueError: for a bad number, or if contexts are asked for.
    """
    _check(config)
    num_values = config.num_values or 256

    def codes(count, steps, stream):
        sound, tones = draw(count, steps, config.scale, [config.seed, stream])
        coded = mu_law.encode(sound, num_values).numpy().astype(np.uint8)
        return coded[..., None], tones

    sizes = (config.num_train, config.num_valid, config.num_test)
    parts = [codes(size, config.num_steps, i) for i, size in enumerate(sizes)]
    excerpts, _ = codes(_EXCERPTS, _EXCERPT_SECONDS * RATE, len(parts))
    floor = code_entropy(parts[-1][1], config.scale, num_values)
    known = Audio(RATE, num_values, excerpts, floor)
    facts = {"num_values": num_values, "audio": known}
    return tuple(Arrays(x) for x, _ in parts), facts


def _check(config):
    if config.context:
        raise ValueError(
            "tones have no labels to condition on. Set config.data.context to False."
        )
    if config.binarize:
        raise ValueError(
            f"config.data.binarize is {config.binarize!r}, but 'tones' holds sound. "
            "Set it to ''; it is for images."
        )
    if config.num_values and not 2 <= config.num_values <= 256:
        raise ValueError(
            "config.data.num_values of 'tones' must be 0 for 256 codes, or from 2 to "
            f"256, got {config.num_values}."
        )
    if not 0.0 < config.scale < 1.0:
        raise ValueError(
            f"config.data.scale is {config.scale}; the noise on 'tones' needs a "
            "standard deviation between 0 and 1, the loudest amplitude. Try 0.003."
        )
    for name in ("num_steps", "num_train", "num_valid", "num_test"):
        if config[name] < 1:
            raise ValueError(
                f"config.data.{name} of 'tones' must be positive, got {config[name]}."
            )
