"""What more replicas cost: `python -m benchmarks.scaling`.

Replicas are parts of one CPU, so their steps share its cores, and what a step takes
beyond one device's at the same global batch is what the strategy costs: collectives,
and starting operations more than once. Each number of replicas has a process of its
own. Checkpoints of models of several sizes are written and read as a job does it.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

_STEPS, _BATCH = 40, 128
_REPLICAS = (1, 2, 4)
_PARAMETERS = (10**6, 10**7, 44 * 10**6)


def main() -> None:
    """Prints both tables; with `--replicas` one line of the first."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__
    )
    parser.add_argument("--replicas", type=int, help="only so many, as JSON")
    replicas = parser.parse_args().replicas
    if replicas:
        print(json.dumps(step_of(replicas)))
        return
    found = [_in_own_process(count) for count in _REPLICAS]
    print("replicas | rows each | ms a step | over one device | MB reduced a step")
    for count, row in zip(_REPLICAS, found, strict=True):
        ratio = row["seconds"] / found[0]["seconds"]
        print(
            f"{count} | {_BATCH // count} | {1e3 * row['seconds']:.1f} | {ratio:.2f} | "
            f"{row['megabytes'] if count > 1 else 0.0:.2f}"
        )
    print("parameters | MB | seconds to write | to read and check")
    for size in _PARAMETERS:
        print(" | ".join(checkpoint_of(size)))


def _in_own_process(count):
    command = [sys.executable, "-m", "benchmarks.scaling", f"--replicas={count}"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(lines.splitlines()[-1])


def step_of(replicas: int) -> dict[str, float]:
    """Returns the median time of a training step, and what its replicas send.

    Args:
      replicas: how many parts the CPU is cut into.
    """
    import keras
    import tensorflow as tf

    from tfp_flows import FlowModel, flows

    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(cpu, parts)
    devices = [f"CPU:{i}" for i in range(replicas)]
    strategy: Any = tf.distribute.get_strategy()
    if replicas > 1:
        strategy = tf.distribute.MirroredStrategy(devices)
    with strategy.scope():
        flow = flows.glow((8, 8, 1), 2, 4, 32, num_values=17, memory="activations")
        model = FlowModel(flow)
        model.compile(keras.optimizers.Adam(1e-3))
    x = np.random.default_rng(0).integers(0, 17, (_STEPS * _BATCH, 8, 8, 1))
    times: list[float] = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: times.append(time.perf_counter())
    )
    model.fit(x, batch_size=_BATCH, verbose=0, callbacks=[note])
    weights = sum(int(np.prod(v.shape)) for v in flow.trainable_variables)
    return {
        "seconds": float(np.median(np.diff(times[5:]))),
        "megabytes": 4e-6 * weights,
    }


def checkpoint_of(parameters: int) -> list[str]:
    """Returns a row: size, time to write, time to read, of a checkpoint.

    Args:
      parameters: of the model; Adam keeps two numbers more for each.
    """
    from train import snapshots

    values = np.random.default_rng(0).normal(size=parameters).astype(np.float32)
    arrays = {"weights": [values], "optimizer": [values, values], "best": [values]}
    with tempfile.TemporaryDirectory() as directory:
        store = snapshots.Store(pathlib.Path(directory))
        start = time.perf_counter()
        path = store.save(snapshots.Snapshot(arrays, {}))
        written = time.perf_counter()
        store.newest()
        read = time.perf_counter()
        size = sum(file.stat().st_size for file in path.iterdir())
    seconds = written - start, read - written
    return [f"{parameters:,}", f"{size / 1e6:.0f}", *(f"{s:.2f}" for s in seconds)]


if __name__ == "__main__":
    main()
