"""Jobs on two parts of a CPU and on several workers, and what they refuse."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.train.faults.runs import free_addresses
from train import strategies
from train.configs import two_moons

ROOT = pathlib.Path(__file__).parents[2]
# A conditional Glow of the digits with dropout and averaged weights, then a PixelCNN.
FLAGS = (
    *("--config=tests/train/small_digits.py", "--config.export=False"),
    "--config.jit_compile=false",
)


def job(workdir, *flags, cluster=None, index=0, usual=FLAGS):
    """Starts a job, or one worker of it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TF_CONFIG", None)
    if cluster:
        task = {"type": "worker", "index": index}
        described = {"cluster": {"worker": cluster}, "task": task}
        environment["TF_CONFIG"] = json.dumps(described)
    return subprocess.Popen(
        [sys.executable, "-m", "train", f"--workdir={workdir}", *usual, *flags],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(*processes, code=0):
    outputs = [p.communicate(timeout=300)[0] for p in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == code, output[-3000:]
    return outputs


def arrays(workdir, name):
    newest = max((workdir / "checkpoints").iterdir())
    with np.load(newest / f"{name}.npz") as saved:
        return [saved[f"arr_{i}"] for i in range(len(saved.files))]


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_parts_of_a_cpu_and_workers_end_where_one_device_does(tmp_path):
    data = f"--config.data.data_dir={tmp_path}/data"
    one, parts, three = (tmp_path / n for n in ("one", "parts", "three"))
    finished(job(one, data))
    finished(job(parts, data, "--config.strategy.logical_cpus=2"))
    cluster = free_addresses(3)  # whose shares are uneven
    workers = [job(three, data, cluster=cluster, index=i) for i in range(3)]
    chief, *others = finished(*workers)
    assert "Epoch 2/2" in chief and "Epoch" not in "".join(others)
    for model in ("", "pixel_cnn"):
        for workdir in (parts, three):
            # Of the last epoch and the best; moments are sums of larger numbers.
            for name, far in (("weights", 1e-6), ("best", 1e-6), ("optimizer", 2e-5)):
                wanted = arrays(one / model, name)
                assert len(wanted) > 20
                for found, value in zip(
                    arrays(workdir / model, name), wanted, strict=True
                ):
                    np.testing.assert_allclose(found, value, rtol=far, atol=far)
            found = rows(workdir / model / "metrics.jsonl")
            for row, known in zip(
                found, rows(one / model / "metrics.jsonl"), strict=True
            ):
                for name in ("nll", "val_nll"):
                    np.testing.assert_allclose(row[name], known[name], rtol=1e-6)
            assert (workdir / "report.json").is_file()


@pytest.mark.slow
def test_a_worker_that_does_not_come_is_one_line(tmp_path):
    cluster = free_addresses(2)
    waiting = job(tmp_path, "--config.strategy.timeout=5", cluster=cluster)
    (output,) = finished(waiting, code=2)
    assert "train: Not all of 2 workers came within 5 s" in output
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_worker_that_hangs_ends_the_others(tmp_path):
    cluster = free_addresses(2)
    flags = (
        *("--config=train/configs/two_moons.py", "--config.jit_compile=false"),
        *("--config.flow.options.hidden_units=(8,)", "--config.epochs=5000"),
        *("--config.flow.options.num_steps=2", "--config.strategy.timeout=40"),
    )
    chief, other = (
        job(tmp_path, *flags, cluster=cluster, index=i, usual=()) for i in range(2)
    )
    try:
        while "Epoch 3/" not in chief.stdout.readline():
            assert chief.poll() is None
        other.send_signal(signal.SIGSTOP)
        (output,) = finished(chief, code=strategies.UNAVAILABLE)
        assert "worker is gone" in output  # told by TensorFlow or by the watch
    finally:
        for process in (other, chief):
            process.kill()
            process.communicate()
    assert (tmp_path / "checkpoints").is_dir()


def config(**fields):
    found = two_moons.get_config().strategy
    found.update(fields)
    return found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "describes no worker"),
        ("[]", "describes no worker"),
        ('{"cluster": {"worker": ["a:1"]}}', "describes no worker .KeyError"),
        (
            '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
            "has the role 'ps'",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "task worker 1, which is not in its cluster of 1 workers",
        ),
    ],
)
def test_a_tf_config_that_describes_no_worker_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        strategies.read_tf_config(text)


def test_a_chief_is_the_first_worker():
    cluster = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    task = {"type": "worker", "index": 1}
    worker = strategies.read_tf_config(json.dumps({"cluster": cluster, "task": task}))
    assert worker == strategies.Worker(2, ("a:1", "b:1", "c:1"))
    assert strategies.read_tf_config("") is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "both"}, "must be one of auto"),
        ({"name": "multi_worker"}, "TF_CONFIG is not set"),
        ({"name": "tpu"}, "names none"),
        ({"name": "mirrored", "tpu": "local"}, "Drop one of them"),
        ({"name": "one_device", "logical_cpus": 2}, "for mirrored and multi_worker"),
    ],
)
def test_choices_that_do_not_fit_are_refused(fields, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=message):
        strategies.place(config(**fields))


def test_a_tf_config_beside_another_choice_or_a_taken_port_is_refused(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        task = {"type": "worker", "index": 0}
        described = {"cluster": {"worker": [address, "b:1"]}, "task": task}
        monkeypatch.setenv("TF_CONFIG", json.dumps(described))
        with pytest.raises(ValueError, match="Unset TF_CONFIG, or choose multi_worker"):
            strategies.place(config(name="one_device"))
        with pytest.raises(ValueError, match="cannot be used"):
            strategies.place(config())
