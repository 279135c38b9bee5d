"""Peak memory of a training step by depth: `python -m benchmarks.memory`.

Glow 32 x 32 x 3, 3 levels of K steps with 128 filters, Adam; every depth in a fresh
process. "peak": resident memory beyond what the process holds with TensorFlow
imported. "parameters": weights, gradients and Adam's two slots, which grow with depth
by right; the rest are activations and the framework's own. Prints a table and writes
JSON and a plot.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

from benchmarks import glow, models
from tfp_flows import flows

_KINDS = {
    "constant": 'memory="constant"',
    "activations": 'memory="activations"',
    "networks": "the networks alone",
}


def main() -> None:
    """Measures every kind, depth and batch, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--out", type=pathlib.Path, default="runs/memory.json")
    parser.add_argument("--one", nargs=3, metavar=("KIND", "DEPTH", "BATCH"))
    arguments = parser.parse_args()
    if arguments.one:
        kind, depth, batch = arguments.one
        print(json.dumps(measured(kind, int(depth), int(batch))))
        return
    rows = []
    for batch in arguments.batches:
        for kind in _KINDS:
            for depth in arguments.depths:
                rows.append(_in_a_new_process(kind, depth, batch))
                _print(rows[-1])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(rows, indent=2) + "\n")
    plot(rows, arguments.out.with_suffix(".png"))
    print(f"Written to {arguments.out} and {arguments.out.with_suffix('.png')}.")


def measured(kind: str, depth: int, batch: int, steps: int = 6) -> dict:
    """Trains for some steps and reads this process's peak.

    Args:
      kind: one of "constant", "activations", "networks".
      depth: steps of a level.
      batch: images.
      steps: training steps after the first.

    Returns:
      Mebibytes, seconds to the first step's end, and milliseconds a step.
    """
    (tf.random.stateless_normal([2], [1, 2]) + 1.0).numpy()  # starts the runtime
    baseline = _mebibytes("VmRSS")
    rng = np.random.default_rng(0)
    images = tf.constant(rng.standard_normal((batch, *glow.SHAPE)), tf.float32)
    start = time.perf_counter()
    step, variables = _train_step(kind, depth, images)
    step(images).numpy()
    first = time.perf_counter() - start
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step(images).numpy()
        times.append(time.perf_counter() - start)
    weights = 4 * sum(int(np.prod(v.shape)) for v in variables) / 2**20
    return {
        "kind": kind,
        "depth": depth,
        "batch": batch,
        "peak_mib": round(_mebibytes("VmHWM") - baseline, 1),
        "parameters_mib": round(4 * weights, 1),  # weights, gradients, two slots
        "first_step_s": round(first, 1),
        "step_ms": round(1e3 * float(np.median(times)), 1),
    }


def _train_step(kind, depth, images):
    if kind == "networks":
        model = glow.networks(images, depth)
    else:
        flow = flows.glow(glow.SHAPE, glow.LEVELS, depth, glow.FILTERS, memory=kind)
        model = models.ours(flow, glow.BATCH)
    loss, _, _, variables, apply = model

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            value = loss(x)
        apply(tape.gradient(value, variables))
        return value

    return step, variables


def plot(rows: list[dict], path: pathlib.Path) -> None:
    """Draws peak memory by depth, a panel for each batch size."""
    from matplotlib import pyplot as plt

    batches = sorted({row["batch"] for row in rows})
    figure, axes = plt.subplots(1, len(batches), figsize=(9, 3.6), squeeze=False)
    for axis, batch in zip(axes[0], batches, strict=True):
        for kind, label in _KINDS.items():
            line = [r for r in rows if (r["kind"], r["batch"]) == (kind, batch)]
            depths = [r["depth"] for r in line]
            axis.plot(depths, [r["peak_mib"] for r in line], "o-", label=label)
        axis.set(title=f"batch {batch}", xlabel="steps of a level", ylabel="peak, MiB")
        axis.set_ylim(bottom=0)
        axis.set_xticks(depths)
        axis.grid(alpha=0.3)
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _in_a_new_process(kind, depth, batch):
    command = [sys.executable, "-m", "benchmarks.memory", "--one"]
    command += [kind, str(depth), str(batch)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(out.stdout.splitlines()[-1])


def _print(row):
    print(
        f"batch {row['batch']:3} K={row['depth']:3} {_KINDS[row['kind']]:22} "
        f"peak {row['peak_mib']:7.0f} MiB, of these parameters "
        f"{row['parameters_mib']:4.0f}; first step {row['first_step_s']:5.1f} s, "
        f"then {row['step_ms']:6.0f} ms",
        flush=True,
    )


def _mebibytes(key):
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(key))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
