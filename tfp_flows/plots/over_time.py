"""What goes on in time: training, sequences, sound."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.signal
from matplotlib.figure import Figure

_WINDOW = 512  # steps of a spectrum at most: 64 ms and 16 Hz at 8,000 steps a second
_SHORTEST = 8  # steps of a sound: one of a single spectrum would have no width
_RANGE = 60.0  # decibels from the loudest to the darkest


def training_curves(
    history: Sequence[Mapping[str, float]] | Mapping[str, Sequence[float]],
    metric: str = "bits_per_dim",
) -> Figure:
    """Draws a metric of the training and validation part over the epochs.

    The axis ends where the validation begins to be of interest: a first epoch that is
    far off does not flatten the others.

    Args:
      history: a mapping for each epoch, with `epoch` and metrics; or `history.history`
        of what Keras' `fit` returns.
      metric: of the training part; that of the validation part has `val_` before it.

    Raises:
      ValueError: if no epoch has the metric.

    Examples:
      >>> figure = training_curves({"nll": [3.0, 2.0], "val_nll": [3.1, 2.2]}, "nll")
      >>> figure.axes[0].get_ylabel()
      'nll'
    """
    rows = _by_epoch(history) if isinstance(history, Mapping) else list(history)
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axis = figure.subplots()
    for key, label in ((metric, "train"), (f"val_{metric}", "valid")):
        places = [(row["epoch"], row[key]) for row in rows if key in row]
        if places:
            axis.plot(*zip(*places, strict=True), label=label)
    if not axis.lines:
        known = sorted({key for row in rows for key in row})
        raise ValueError(
            f"No epoch has {metric!r} or 'val_{metric}'. There is {known}; choose one "
            "as metric."
        )
    values = [row[f"val_{metric}"] for row in rows if f"val_{metric}" in row]
    if values:
        low, high = min(values), np.quantile(values, 0.9)
        axis.set_ylim(low - 0.5 * (high - low) - 0.1, high + (high - low) + 0.1)
    axis.set_xlabel("epoch")
    axis.set_ylabel(metric.replace("_", " ").replace("per dim", "per dimension"))
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


def sequences(samples: Any, data: Any) -> Figure:
    """Draws samples (left) and sequences of the data (right) over time.

    Args:
      samples: `[N, T, C]`.
      data: `[N, T', C]`, as many.

    Raises:
      ValueError: if they are no sequences, or not as many.

    Examples:
      >>> x = np.random.default_rng(0).normal(size=(3, 20, 1))
      >>> [axis.get_title() for axis in sequences(x, x).axes[:2]]
      ['samples', 'data']
    """
    samples, data = np.asarray(samples), np.asarray(data)
    if samples.ndim != 3 or data.ndim != 3 or not len(samples) == len(data) > 0:
        raise ValueError(
            f"sequences needs as many samples [N, T, C] as data, got shapes "
            f"{samples.shape} and {data.shape}."
        )
    figure = Figure(figsize=(8, 1.2 * len(data)), layout="constrained")
    axes = figure.subplots(len(data), 2, sharex=True, sharey=True, squeeze=False)
    for row, pair in zip(axes, zip(samples, data, strict=True), strict=True):
        for axis, sequence in zip(row, pair, strict=True):
            axis.plot(sequence, linewidth=0.8)
    axes[0, 0].set_title("samples")
    axes[0, 1].set_title("data")
    for axis in axes[-1]:
        axis.set_xlabel("step")
    for axis in axes[:, 0]:
        axis.set_ylabel("value")
    return figure


def spectrograms(samples: Any, data: Any, rate: int) -> Figure:
    """Draws the power of samples (left) and of data over time and frequency.

    Args:
      samples: amplitudes `[N, steps]`.
      data: amplitudes `[M, steps']`; as many rows as both have are drawn.
      rate: samples a second.

    Raises:
      ValueError: if they are no sounds, or shorter than 8 steps.

    Examples:
      >>> x = np.random.default_rng(0).normal(size=(1, 4000))
      >>> figure = spectrograms(x, x, rate=8000)
    """
    samples, data = np.asarray(samples), np.asarray(data)
    rows = min(len(samples), len(data))
    if samples.ndim != 2 or data.ndim != 2 or rows == 0:
        raise ValueError(
            f"spectrograms needs amplitudes [N, steps], got shapes {samples.shape} and "
            f"{data.shape}."
        )
    if min(samples.shape[1], data.shape[1]) < _SHORTEST:
        raise ValueError(
            f"spectrograms got sounds of {samples.shape[1]} and {data.shape[1]} steps. "
            f"Give {_SHORTEST} or more."
        )
    figure = Figure(figsize=(9, 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False)
    columns = [[decibels(sound, rate) for sound in x[:rows]] for x in (samples, data)]
    top = max(power.max() for column in columns for *_, power in column)
    for i, (column, title) in enumerate(zip(columns, ("samples", "data"), strict=True)):
        for axis, (time, frequency, power) in zip(axes[:, i], column, strict=True):
            image = axis.pcolormesh(
                time, frequency, power, vmin=top - _RANGE, vmax=top, rasterized=True
            )
        axes[0, i].set_title(title)
        axes[-1, i].set_xlabel("s")
    for axis in axes[:, 0]:
        axis.set_ylabel("Hz")
    figure.colorbar(image, ax=axes, label="dB")
    return figure


def decibels(sound: Any, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns times in s, frequencies in Hz, and the power there in dB.

    A spectrum is of 512 steps, of short sounds the power of two that is a quarter of
    them or less, so that there are always several after each other.

    Args:
      sound: amplitudes `[steps]`, of 8 steps or more.
      rate: samples a second.

    Examples:
      >>> time, frequency, power = decibels(np.zeros(2000), 8000)
      >>> power.shape == (len(frequency), len(time)), float(power.max())
      (True, -120.0)
    """
    window = min(_WINDOW, 2 ** int(np.log2(len(sound) / 4)))
    frequency, time, power = scipy.signal.spectrogram(
        np.asarray(sound),
        rate,
        nperseg=window,
        noverlap=window * 3 // 4,
        scaling="spectrum",
    )
    return time, frequency, 10.0 * np.log10(power + 1e-12)  # silence: -120 dB


def _by_epoch(history):
    count = max(map(len, history.values()), default=0)
    return [
        {"epoch": i, **{key: v[i] for key, v in history.items() if i < len(v)}}
        for i in range(count)
    ]
