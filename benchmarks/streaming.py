"""Memory of a job whose data do not fit: `python -m benchmarks.streaming [IMAGES]`.

Noise of 32 x 32 x 3 in TFRecord files, prepared by tensorflow-datasets in a process of
its own, trains a small NICE for one epoch with `config.data.cache="none"`. The base is
what this process holds (anonymous memory, pages of files left out) after a step on a
small set of the same images; "grown" is the most that it holds beyond that. Then the
time of a batch read at random beside one from memory. Prints one line of JSON.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np

from benchmarks.noise import SHAPE, Noise
from tfp_flows import FlowModel, flows
from train.configs import digits_real_nvp
from train.pipelines import Part, prepared
from train.pipelines.sources import Arrays, Chosen, in_memory

BATCH, SMALL = 250, 1000


def main() -> None:
    """Prepares the images, trains, and prints what it took."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as directory:
        code = f"from benchmarks import noise; noise.prepare({directory!r}, {count})"
        subprocess.run([sys.executable, "-c", code], check=True)
        print(json.dumps(measured(directory, count)))


def measured(directory: str, count: int) -> dict[str, float]:
    """Trains for an epoch.

    Args:
      directory: that holds the prepared images.
      count: number of images.

    Returns:
      MiB and milliseconds.
    """
    model = FlowModel(flows.nice(SHAPE, 2, (16,), num_values=256))
    model.compile("adam", jit_compile=False)
    small = Arrays(np.random.default_rng(1).integers(0, 256, (SMALL, *SHAPE), np.uint8))
    model.flow.adapt(small.rows(np.arange(SMALL)).x)
    _fit(model, Part(small))
    base = _mebibytes()
    config = digits_real_nvp.get_config().data
    config.name, config.cache = "noise", "none"
    builder = Noise(count=count, data_dir=directory)
    source = prepared.stored(builder, "train", config)
    highest, seconds = _fit(model, Part(source))
    some = Chosen(source, np.arange(min(count, 20_000)))
    size = sum(path.stat().st_size for path in pathlib.Path(directory).rglob("*tfrec*"))
    return {
        "images": count,
        "files_mib": round(size / 2**20),
        "grown_mib": round(highest - base, 1),
        "epoch_s": round(seconds, 1),
        "batch_at_random_ms": _milliseconds(Part(source)),
        "batch_in_memory_ms": _milliseconds(Part(in_memory(some))),
    }


def _fit(model, part):
    steps, start = part.steps_per_epoch(BATCH), time.perf_counter()
    seen = [0.0]
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: seen.append(_mebibytes())
    )
    data = part.steps(BATCH, 0, 0, steps)
    model.fit(data, verbose=0, shuffle=False, callbacks=[watch])
    return max(seen), time.perf_counter() - start


def _milliseconds(part, batches=40):
    start = time.perf_counter()
    for _ in part.steps(BATCH, 1, 0, batches):
        pass
    return round((time.perf_counter() - start) / batches * 1e3, 1)


def _mebibytes():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
