"""Seconds of a sample by dimensions: `python -m benchmarks.growth`.

One MADE layer of 2 hidden layers, two units for each dimension, 64 samples; 64 to 784
dimensions. "Steps": `flows.maf`, one position of each layer at a time. "Naive
loop": `tfb.MaskedAutoregressiveFlow`, which runs the whole network once for each
dimension. Both in graphs and under XLA, after a first call whose seconds (tracing and
compiling) are reported as well. Prints a table and writes JSON and a plot.
"""

import argparse
import functools
import json
import pathlib

import tensorflow as tf

from benchmarks import maf, timing

SAMPLES = 64

_MODELS = {"steps": maf.ours, "naive loop": maf.tfps}


def main() -> None:
    """Times every size, model and mode."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128, 256, 512, 784])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default="runs/growth.json")
    arguments = parser.parse_args()
    rows = []
    for dims in arguments.dims:
        calls = {
            f"{name}, {mode}": sampler(make, dims, mode == "XLA")
            for name, make in _MODELS.items()
            for mode in ("graph", "XLA")
        }
        times = timing.milliseconds(
            calls, arguments.repetitions, patience=arguments.repetitions + 2
        )
        rows.append({"dims": dims, "times": times})
        for name, row in times.items():
            print(
                f"{dims:4} dimensions, {name:18} {row['median_ms']:9.1f} ms, first "
                f"call {row['first_call_s']:5.1f} s",
                flush=True,
            )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(rows, indent=2) + "\n")
    plot(rows, arguments.out.with_suffix(".png"))
    print(f"Written to {arguments.out} and {arguments.out.with_suffix('.png')}.")


def sampler(make, dims: int, jit_compile: bool):
    """Returns a call that draws from a one-layer flow of `dims` dimensions."""
    _, _, sample, _, _ = make(dims, 1, (2 * dims, 2 * dims), SAMPLES)
    function = tf.function(sample, jit_compile=jit_compile)
    return functools.partial(_touch, function, tf.constant([1, 2]))


def plot(rows: list[dict], path: pathlib.Path) -> None:
    """Draws the time of a sample, and of the first call, by dimensions."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    dims = [row["dims"] for row in rows]
    for name in rows[0]["times"]:
        line = [row["times"][name] for row in rows]
        axes[0].plot(dims, [t["median_ms"] / 1e3 for t in line], "o-", label=name)
        axes[1].plot(dims, [t["first_call_s"] for t in line], "o-", label=name)
    axes[0].set(title=f"{SAMPLES} samples", ylabel="seconds", yscale="log")
    axes[1].set(title="first call: tracing, compiling, sampling", ylabel="seconds")
    for axis in axes:
        axis.set_xlabel("dimensions")
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _touch(function, seed):
    return function(seed)[0, 0].numpy()


if __name__ == "__main__":
    main()
