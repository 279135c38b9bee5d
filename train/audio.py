"""Sound of a run: samples to listen to, and their spectrogram beside that of data."""

import pathlib
from typing import Any

import numpy as np
import scipy.io.wavfile

from tfp_flows import flows, plots
from tfp_flows.distributions import Autoregressive, Model, mu_law
from tfp_flows.networks.sequence_network import SequenceNetwork
from train import files, pictures


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
    figure = plots.spectrograms(samples, data, known.rate)
    pictures.save(figure, workdir / "spectrogram.png")


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
