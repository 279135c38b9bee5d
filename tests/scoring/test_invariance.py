"""The same rows whatever the shards, bundles, batches and processes."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("apache_beam")

from tests.scoring import files  # noqa: E402
from tests.scoring.conftest import written  # noqa: E402
from tfp_flows import scoring  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]


def _command(*arguments):
    """Runs a job as a user does, in several processes unless flags say otherwise."""
    return subprocess.run(
        [sys.executable, "-m", "tfp_flows.scoring", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )


def _npy(folder, rows, count):
    folder.mkdir()
    for i, shard in enumerate(np.array_split(rows, count)):
        np.save(folder / f"{i}.npy", shard)
    return folder / "*.npy"


def _values(found, output):
    """Returns the values in the order of file and row."""

    def place(key):
        path, _, position = key.rpartition(":")
        return int(pathlib.PurePath(path).stem), int(position)

    return np.array([found[key][output] for key in sorted(found, key=place)])


@pytest.mark.parametrize("signature", ["log_prob", "bits_per_dim"])
def test_shards_and_batches_change_nothing(signature, exported, run, tmp_path):
    model = exported("digits")
    rows = np.random.default_rng(2).integers(0, 17, (40, 4))
    one, _, _ = run(model, _npy(tmp_path / "one", rows, 1), signature)
    many, _, _ = run(model, _npy(tmp_path / "many", rows, 7), signature, batch_size=3)
    np.testing.assert_allclose(
        _values(one, signature), _values(many, signature), rtol=1e-5, atol=1e-5
    )


def test_noise_follows_the_seed_and_the_row(exported, run, tmp_path):
    model = exported("digits")
    rows = np.random.default_rng(2).integers(0, 17, (10, 4))
    path = _npy(tmp_path / "rows", np.concatenate([rows, rows]), 1)
    first, _, _ = run(model, path, "bits_per_dim", seed=1)
    other, _, _ = run(model, path, "bits_per_dim", seed=2)
    bits = _values(first, "bits_per_dim")
    np.testing.assert_allclose(bits[:10], bits[10:], rtol=1e-5)
    assert (np.abs(bits - _values(other, "bits_per_dim")) > 1e-4).all()


@pytest.mark.slow
def test_several_processes_give_what_one_gives(exported, rows, run, tmp_path):
    model = exported("vector")
    path = _npy(tmp_path / "rows", rows, 6)
    done = _command(
        *(f"--model={model.directory}", f"--input={path}"),
        *(f"--output={tmp_path / 'p' / 'a'}", "--batch_size=4"),
        *("--", "--direct_num_workers=2"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("50 rows in ")
    several = _values(written(tmp_path / "p" / "a"), "log_prob")
    np.testing.assert_allclose(several, model.flow.log_prob(rows), rtol=1e-5, atol=1e-5)


def _samples(prefix):
    found = written(prefix)
    assert sorted(found) == list(range(len(found)))
    return np.array([found[i]["x"] for i in range(len(found))])


@pytest.mark.parametrize("name", ["vector", "digits"])
def test_samples_are_those_of_their_seeds(name, exported, tmp_path):
    import tensorflow as tf

    from tfp_flows import serving

    model = exported(name)
    summary = scoring.sample(
        model.directory, str(tmp_path / "a"), 21, seed=7, batch_size=8, flags=files.HERE
    )
    assert summary == (21, 0)
    ask = tf.saved_model.load(model.directory).signatures["sample"]
    wanted = ask(seed=tf.constant(serving.seeds(7, 21)), temperature=tf.ones([21]))
    # A last bit may take an integer to the next one.
    atol = 1.0 if name == "digits" else 1e-5
    np.testing.assert_allclose(
        _samples(tmp_path / "a"), wanted["x"], rtol=1e-5, atol=atol
    )


@pytest.mark.slow
def test_samples_are_the_same_bits_whatever_the_bundles(exported, tmp_path):
    model = exported("vector").directory
    options = {"seed": 3, "batch_size": 8}
    again = [*files.HERE, "--direct_runner_bundle_repeat=1"]  # as after a failure
    scoring.sample(model, str(tmp_path / "a"), 50, **options, flags=files.HERE)
    scoring.sample(model, str(tmp_path / "b"), 61, **options, flags=again)
    done = _command(
        *(f"--model={model}", f"--output={tmp_path / 'c'}", "--mode=sample"),
        *("--count=50", "--seed=3", "--batch_size=8", "--", "--direct_num_workers=3"),
    )
    assert done.returncode == 0, done.stderr
    one, several = _samples(tmp_path / "a"), _samples(tmp_path / "c")
    np.testing.assert_array_equal(one, several)
    np.testing.assert_array_equal(one, _samples(tmp_path / "b")[:50])


def test_temperature_zero_point_one_is_narrower(exported, tmp_path):
    model = exported("vector").directory
    for name, temperature in (("cold", 0.1), ("warm", 1.0)):
        scoring.sample(
            model, str(tmp_path / name), 200, temperature=temperature, flags=files.HERE
        )
    cold, warm = (_samples(tmp_path / name).std(axis=0) for name in ("cold", "warm"))
    assert (cold < 0.5 * warm).all()
