"""Seconds of 64 samples by dimensions: `python -m benchmarks.growth`.

"vectors": one MADE layer of 2 hidden layers, two units for each dimension; 64 to 784
dimensions. "Steps": `flows.maf`, one position at a time. "Naive loop":
`tfb.MaskedAutoregressiveFlow`, which runs the whole network once for each dimension.
"images" (`python -m benchmarks.growth images`): the PixelCNN of `pixel_cnn`, squares of
64 to 784 pixels, by steps against the whole image for each pixel.

Both in graphs and under XLA. Prints a table and writes JSON and a plot, whose second
panel is what the first call takes beyond a later one: tracing and compiling. `--clock
cpu` plots the time that the process computed, for machines that others use as well.
"""

import argparse
import functools
import json
import pathlib
from collections.abc import Callable
from typing import NamedTuple

from benchmarks import loops, maf, pixel_cnn

SAMPLES = pixel_cnn.BATCH

_CLOCKS = {"wall": ("", "seconds"), "cpu": ("cpu_", "CPU seconds")}


class Growth(NamedTuple):
    """What grows.

    Attributes:
      title: of the plot's first panel.
      sizes: from small to large.
      exponent: dimensions are a size to this power.
      make: size -> name -> loop.
    """

    title: str
    sizes: tuple[int, ...]
    exponent: int
    make: Callable[[int], dict[str, loops.Loop]]


def main() -> None:
    """Times every size, loop and mode."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("of", choices=_GROWTHS, nargs="?", default="vectors")
    parser.add_argument("--sizes", type=int, nargs="+", help="dimensions, or sides")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--clock", choices=_CLOCKS, default="wall")
    parser.add_argument("--out", type=pathlib.Path, help="runs/growth_OF.json")
    parser.add_argument("--plot", type=pathlib.Path, help="beside the JSON")
    arguments = parser.parse_args()
    growth = _GROWTHS[arguments.of]
    out = arguments.out or pathlib.Path(f"runs/growth_{arguments.of}.json")
    picture = arguments.plot or out.with_suffix(".png")
    rows = []
    for one in growth.make(growth.sizes[0]).values():
        one.call()  # what only a process's first call costs is of no size
    for size in arguments.sizes or growth.sizes:
        times = loops.timed(growth.make(size), arguments.repetitions)
        rows.append({"dims": size**growth.exponent, "times": times})
        _print(rows[-1])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(rows, indent=2) + "\n")
    plot(rows, growth.title, picture, arguments.clock)
    print(f"Written to {out} and {picture}.")


def vectors(dims: int) -> dict[str, loops.Loop]:
    """One-layer flows of `dims` dimensions: this library's and TFP's."""
    hidden = (2 * dims, 2 * dims)
    makers = {}
    for name, make in (("steps", maf.ours), ("naive loop", maf.tfps)):
        _, _, sample, _, _ = make(dims, 1, hidden, SAMPLES)
        makers[name] = functools.partial(loops.loop, sample)
    return loops.in_both_modes(makers)


def images(side: int) -> dict[str, loops.Loop]:
    """A PixelCNN over square images."""
    return pixel_cnn.both(pixel_cnn.model(side))


_GROWTHS = {
    "vectors": Growth(
        f"{SAMPLES} samples of a MADE layer", (64, 128, 256, 512, 784), 1, vectors
    ),
    "images": Growth(f"{SAMPLES} images of a PixelCNN", (8, 11, 16, 22, 28), 2, images),
}


def plot(rows: list[dict], title: str, path: pathlib.Path, clock: str) -> None:
    """Draws the time of a sample, and of setting up, by dimensions.

    Args:
      rows: of `main`.
      title: of the first panel.
      path: of the picture.
      clock: "wall", or "cpu", the time that the process computed: on a busy machine.
    """
    from matplotlib import pyplot as plt

    prefix, unit = _CLOCKS[clock]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    dims = [row["dims"] for row in rows]
    for name in rows[0]["times"]:
        line = [row["times"][name] for row in rows]
        axes[0].plot(dims, [t[f"{prefix}seconds"] for t in line], "o-", label=name)
        axes[1].plot(dims, [t[f"{prefix}setup_s"] for t in line], "o-", label=name)
    axes[0].set(title=title, ylabel=unit, yscale="log")
    axes[1].set(title="tracing and compiling", ylabel=unit, ylim=(0, None))
    for axis in axes:
        axis.set_xlabel("dimensions")
        axis.grid(alpha=0.3)
    labels = axes[0].get_legend_handles_labels()
    figure.legend(*labels, loc="lower center", ncol=len(labels[0]), frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _print(row):
    for name, times in row["times"].items():
        print(
            f"{row['dims']:4} dimensions, {name:18} {times['seconds']:8.3f} s, set up "
            f"in {times['setup_s']:5.1f} s; CPU time {times['cpu_seconds']:.3f} s and "
            f"{times['cpu_setup_s']:.1f} s; {times['repetitions']} repetitions, "
            f"{times['disturbed']} disturbed",
            flush=True,
        )


if __name__ == "__main__":
    main()
