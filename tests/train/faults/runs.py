"""Starts the real command on a tiny configuration, ends it, and compares results."""

import dataclasses
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import h5py
import numpy as np

from train import snapshots

ROOT = pathlib.Path(__file__).parents[3]
FLAGS = (
    *("--config=train/configs/two_moons.py", "--config.epochs=3"),
    *("--config.data.num_train=300", "--config.data.batch_size=32"),
    *("--config.data.num_valid=100", "--config.data.num_test=100"),
    *("--config.flow.options.hidden_units=(8,)", "--config.flow.options.num_steps=2"),
    *("--config.optimizer.ema=0.5", "--config.rivals.nice.options.dropout=0.2"),
    *("--config.jit_compile=false", "--config.num_draws=1", "--config.diagnosed=0"),
    *(
        "--config.rivals.nice.options.hidden_units=(8,)",
        "--config.rivals.nice.epochs=1",
    ),
    *("--config.rivals.nice.options.num_steps=2", "--config.checkpoint.minutes=1e-4"),
    *("--config.baselines.mixture_components=(2,)",),
    *("--config.baselines.covariance_floors=(1e-3,)",),
)
# The digits are prepared by the job itself.
DIGITS = (
    *("--config=train/configs/digits_real_nvp.py", "--config.flow.name=nice"),
    *("--config.flow.options={}", "--config.rivals.nice.epochs=0"),
    *(
        "--config.epochs=1",
        "--config.export=false",
        "--config.num_draws=1",
        "--config.diagnosed=0",
    ),
    *("--config.jit_compile=false", "--config.baselines.mixture_components=(2,)"),
    "--config.baselines.covariance_floors=(1e-2,)",
)


def start(workdir, *flags, usual=FLAGS, cluster=(), index=0, said=None):
    """Starts a job, or one worker of it; its words go to a file beside the workdir.

    Args:
      workdir: of the job.
      *flags: beside the usual ones.
      usual: what is run.
      cluster: addresses of all workers.
      index: of this one.
      said: another file for its words.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    environment.pop("TF_CONFIG", None)
    if cluster:
        task = {"type": "worker", "index": index}
        described = {"cluster": {"worker": list(cluster)}, "task": task}
        environment["TF_CONFIG"] = json.dumps(described)
    said = said or workdir.with_name(f"{workdir.name}-{index}.txt")
    with said.open("a") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "train", f"--workdir={workdir}", *usual, *flags],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def words(workdir, index=0):
    """What all starts of a worker have said so far."""
    return workdir.with_name(f"{workdir.name}-{index}.txt").read_text()


def wait_until(is_so, process, seconds=300):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    found = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return found


@dataclasses.dataclass(frozen=True)
class Kill:
    """One end of a job by force.

    Args:
      after: seconds from its start.
      where: what it was at.
    """

    after: float
    where: str


def killed_and_continued(workdir, moments, workers=1):
    """Kills a job at each of the moments, then lets it end.

    Args:
      workdir: of the job.
      moments: seconds after each start.
      workers: how many; one of them is killed, chosen by the moment, and the others end
        by themselves.

    Returns:
      The kills, as long as there was something to kill.
    """
    kills = []
    for moment in moments:
        processes = started(workdir, workers)
        victim = processes[int(moment * 1000) % workers]
        try:
            victim.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            kills.append(Kill(moment, progress(workdir)))
            victim.kill()
        codes = [process.wait(timeout=300) for process in processes]
        if set(codes) == {0}:
            return kills
        # 75 of workers that have lost the one, 2 if it had not come yet.
        others = {75, 2} if workers > 1 else set()
        assert set(codes) <= {-signal.SIGKILL} | others, words(workdir)[-3000:]
    for process in started(workdir, workers):
        assert process.wait(timeout=300) == 0, words(workdir)[-3000:]
    return kills


def started(workdir, workers, *flags):
    cluster = free_addresses(workers) if workers > 1 else ()
    flags = ("--config.strategy.timeout=120", *flags)
    return [start(workdir, *flags, cluster=cluster, index=i) for i in range(workers)]


def drawn_moments(seed, count, seconds):
    """Moments spread evenly over a duration, in a random order."""
    draw = random.Random(seed)
    moments = [seconds * (i + draw.random()) / count for i in range(count)]
    draw.shuffle(moments)
    return moments


def progress(workdir):
    """What a job has come to, from its files."""
    if list(workdir.glob("export/.tmp-*")):
        return "export"
    if list(workdir.glob("**/.part-*")):
        return "a write"
    for name, file in (
        ("after the export", "export/1"),
        ("export", "report.json"),
        ("evaluation", "nice/model.weights.h5"),
        ("rival", "nice"),
        ("rival", "model.weights.h5"),
    ):
        if (workdir / file).exists():
            return name
    saved = sorted((workdir / "checkpoints").glob("[0-9]*"))
    if not saved:
        return "start"
    state = json.loads((saved[-1] / "state.json").read_text())
    return f"epoch {state['epoch']}, step {state['step']}"


def result(workdir):
    """All numbers that a job ends with, by name; times are left out."""
    found = {}
    for place in sorted(path.parent for path in workdir.glob("**/checkpoints")):
        label = place.relative_to(workdir)
        newest = max((place / "checkpoints").glob("[0-9]*"))
        assert snapshots.damage_of(newest) is None
        for file in newest.glob("*.npz"):
            found |= arrays(file, f"{label}/{file.stem}")
        rows = (place / "metrics.jsonl").read_text().splitlines()
        found[f"{label}/metrics"] = [timeless(json.loads(row)) for row in rows]
        found |= weights(place / "model.weights.h5", f"{label}/file")
    found["report"] = timeless(json.loads((workdir / "report.json").read_text()))
    found["versions"] = sorted(path.name for path in workdir.glob("export/*"))
    for file in workdir.glob("export/*/assets.extra/golden.npz"):
        found |= arrays(file, f"golden {file.parts[-3]}")
    return found


def weights(path, label):
    found = {}

    def collect(name, item):
        if isinstance(item, h5py.Dataset):
            found[f"{label}/{name}"] = item[()].tobytes()

    with h5py.File(path) as file:
        file.visititems(collect)
    return found


def arrays(file, name):
    with np.load(file) as content:
        return {f"{name}/{key}": content[key].tobytes() for key in content.files}


def timeless(value):
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if "seconds" not in k}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def differences(one, two):
    """Names of what is not the same, to the last bit, in two results."""
    return sorted(
        name for name in one.keys() | two.keys() if one.get(name) != two.get(name)
    )
