"""Sound of a run: the file that is heard, the picture that is seen, the whole job."""

import json
import wave

import matplotlib.image
import ml_collections
import numpy as np
import pytest

from tfp_flows import flows
from tfp_flows.distributions import mu_law
from train import audio, callbacks, job
from train.configs import tones_wavenet
from train.pipelines.tones import RATE, Audio


def read_wav(path):
    """Rate and samples `[frames]`, by the standard library."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        frames = file.readframes(file.getnframes())
        return file.getframerate(), np.frombuffer(frames, "<i2")


def assert_is_picture(path, least_size):
    image = matplotlib.image.imread(path)
    assert min(image.shape[:2]) > least_size
    assert len(np.unique(image[..., :3].reshape(-1, 3), axis=0)) > 50


def test_a_wav_holds_the_sounds_one_after_the_other(tmp_path):
    sound = np.random.default_rng(0).uniform(-1.0, 1.0, (3, 500))
    sound[0, :2] = 1.0, -1.0
    audio.write_wav(sound, tmp_path / "s.wav", RATE)
    rate, read = read_wav(tmp_path / "s.wav")
    assert rate == 8000
    assert (read[0], read[1]) == (32767, -32767)
    np.testing.assert_allclose(read / 32767.0, sound.ravel(), atol=0.5 / 32767 + 1e-9)


def randomised(model):
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.2 * rng.normal(size=variable.shape))
    return model


@pytest.mark.parametrize("name", ["wavenet", "recurrent"])
def test_a_longer_model_continues_the_shorter_one(name):
    options = {
        "wavenet": {"num_layers": 4, "filters": 8, "dilation_cycle": 2},
        "recurrent": {"units": (8,)},
    }
    short = randomised(
        flows.build(name, event_shape=(20, 1), num_values=5, **options[name])
    )
    long = audio.longer(short, 50)
    codes = np.random.default_rng(0).integers(0, 5, (3, 50, 1))
    x = short.element.features(codes, np.float32)
    params = short.network(x[:, :20]).numpy()
    assert np.ptp(params) > 0.1
    np.testing.assert_allclose(long.network(x)[:, :20], params, atol=1e-5)
    assert long.sample(2, seed=0).shape == (2, 50, 1)
    randomised(long)  # a copy: the shorter one stays as it was
    np.testing.assert_allclose(short.network(x[:, :20]), params, atol=1e-6)


@pytest.mark.parametrize("name", ["wavenet", "maf"])
def test_samples_are_as_long_as_the_model_can_be_made(tmp_path, name):
    options = {"wavenet": {"num_layers": 2, "filters": 4}, "maf": {"num_steps": 1}}
    model = flows.build(name, event_shape=(64, 1), num_values=16, **options[name])
    excerpts = np.random.default_rng(0).integers(0, 16, (2, 900, 1), np.uint8)
    audio.write(model, Audio(RATE, 16, excerpts, 0.0), tmp_path, seed=0)
    rate, read = read_wav(tmp_path / "samples.wav")
    assert (rate, len(read)) == (RATE, 2 * (900 if name == "wavenet" else 64))
    assert_is_picture(tmp_path / "spectrogram.png", 250)
    # Codes, and nothing between them.
    levels = np.round(mu_law.decode(np.arange(16), 16).numpy() * 32767.0)
    assert set(read) <= set(levels.astype(int)) and len(set(read)) > 8


@pytest.mark.slow
def test_a_job_leaves_its_sound(tmp_path):
    config = tones_wavenet.get_config()
    config.data.update({"num_steps": 64, "num_train": 64, "num_valid": 8})
    config.data.num_test, config.epochs, config.export = 20, 2, False
    config.diagnosed = 0
    small = {"num_layers": 2, "filters": 8, "skip_filters": 8}
    for model in (config.flow, config.rivals.short_wavenet):
        model.options = ml_collections.ConfigDict(small)
    saved = job.run(config, tmp_path, lambda line: None)
    rate, read = read_wav(tmp_path / "samples.wav")
    assert (rate, len(read)) == (8000, 3 * 2 * 8000)
    assert read.std() > 100.0
    assert_is_picture(tmp_path / "spectrogram.png", 400)
    assert_is_picture(tmp_path / "curves.png", 200)
    assert not (tmp_path / "samples.png").exists()
    names = [row["name"] for row in saved["scores"]]
    assert names == ["unigram", "short_wavenet", "wavenet"]
    assert saved == json.loads((tmp_path / "report.json").read_text())
    assert saved["difference"]["to"] == "unigram"
    nats = saved["scores"][-1]["nats"] / 64
    assert f"wavenet: {nats:.4f} nats a step" in saved["note"]
    floor = float(saved["note"].split("alone has ")[1].split(",")[0])
    assert 0.0 < floor < nats < np.log(256.0) + 0.01
    rows = callbacks.read_metrics(tmp_path / "metrics.jsonl")
    assert rows[-1]["bits_per_dim"] < rows[0]["bits_per_dim"]
