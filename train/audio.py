"""Sound of a run: samples to listen to, and their spectrogram beside that of data."""

import pathlib
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import scipy.io.wavfile  # noqa: E402
import scipy.signal  # noqa: E402

from tfp_flows import flows  # noqa: E402
from tfp_flows.distributions import Autoregressive, Model, mu_law  # noqa: E402
from tfp_flows.networks.sequence_network import SequenceNetwork  # noqa: E402
from train import files  # noqa: E402

_WINDOW = 512  # steps of a spectrum: 64 ms and 16 Hz at 8,000 steps a second
_RANGE = 60.0  # decibels from the loudest to the darkest


def write(flow: Model, known: Any, workdir: pathlib.Path, seed: int) -> None:
    """Writes `samples.wav` and `spectrogram.png`.

    The samples are as many and as long as the excerpts of the data, if the model can
    be made so long, see `longer`; otherwise as long as what it was trained on.

    Args:
      flow: of mu-law codes `[T, 1]`.
      known: `Audio`, the rate and excerpts of the data.
      workdir: for the files.
      seed: of the samples.
    """
    count, steps, _ = known.excerpts.shape
    if isinstance(flow, Autoregressive) and isinstance(flow.network, SequenceNetwork):
        flow = longer(flow, steps)
    codes = flow.sample(count, seed=(seed, 0))
    samples, data = (
        mu_law.decode(x, known.num_values).numpy()[..., 0]
        for x in (codes, known.excerpts)
    )
    write_wav(samples, workdir / "samples.wav", known.rate)
    spectrograms(samples, data, workdir / "spectrogram.png", known.rate)


def longer(model: Autoregressive, steps: int) -> Autoregressive:
    """Returns a model of sequences of another length with a copy of the weights.

    A network that runs along time has the same weights for every number of steps. Past
    its receptive field every step is as those that it was trained on.

    Args:
      model: from a recipe, of events `[T, C]`, unconditional.
      steps: time steps of the new model.
    """
    shape = (steps, model.event_shape[1])
    made = flows.build(
        model.recipe.name, **{**model.recipe.options, "event_shape": shape}
    )
    made.network.set_weights(model.network.get_weights())
    return made


def write_wav(sound: np.ndarray, path: pathlib.Path, rate: int) -> None:
    """Writes sounds one after the other, in 16 bits.

    Args:
      sound: amplitudes in [-1, 1], `[N, steps]`.
      path: of the file.
      rate: samples a second.
    """
    codes = np.int16(np.round(sound.ravel() * 32767.0))
    files.write_whole(path, lambda part: scipy.io.wavfile.write(part, rate, codes))


def spectrograms(
    samples: np.ndarray, data: np.ndarray, path: pathlib.Path, rate: int
) -> None:
    """Writes the power of samples (left) and of data over time and frequency.

    Args:
      samples: amplitudes `[N, steps]`.
      data: amplitudes `[N, steps']`.
      path: of the PNG.
      rate: samples a second.
    """
    rows = min(len(samples), len(data))
    figure, axes = plt.subplots(
        rows, 2, figsize=(9, 2.2 * rows), squeeze=False, layout="constrained"
    )
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
    files.write_whole(
        path, lambda part: figure.savefig(part, dpi=90, bbox_inches="tight")
    )
    plt.close(figure)


def decibels(sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns times in s, frequencies in Hz, and the power there in dB.

    Args:
      sound: amplitudes `[steps]`.
      rate: samples a second.
    """
    window = min(_WINDOW, len(sound))
    frequency, time, power = scipy.signal.spectrogram(
        sound, rate, nperseg=window, noverlap=window * 3 // 4, scaling="spectrum"
    )
    return time, frequency, 10.0 * np.log10(power + 1e-12)  # silence: -120 dB
