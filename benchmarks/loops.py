"""What the benchmarks of sampling share: two loops that draw the same, timed in turn.

"Steps" go on from where they stand; the naive loop runs the network over everything
again for each position. That costs the same at every position, so a share of them is
timed, and the whole follows by proportion.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from benchmarks import timing

MODES = ("graph", "XLA")


class Loop(NamedTuple):
    """A call, and the share of a sample's positions that it goes through."""

    call: Callable[[], object]
    share: float = 1.0


def loop(
    sample: Callable[[tf.Tensor], tf.Tensor], jit_compile: bool, share: float = 1.0
) -> Loop:
    """Compiles a function from a seed to samples.

    Args:
      sample: `[2]` -> a tensor.
      jit_compile: by XLA, or a graph.
      share: of the positions that it computes.
    """
    function, seed = tf.function(sample, jit_compile=jit_compile), tf.constant([1, 2])
    # Touches the result, so that the time is that of finished work.
    return Loop(lambda: tf.reshape(function(seed), [-1])[0].numpy(), share)


def in_both_modes(makers: dict[str, Callable[[bool], Loop]]) -> dict[str, Loop]:
    """Returns "name, mode" -> loop.

    Args:
      makers: name -> a function of `jit_compile`.
    """
    return {
        f"{name}, {mode}": make(mode == "XLA")
        for name, make in makers.items()
        for mode in MODES
    }


def timed(loops: dict[str, Loop], repetitions: int) -> dict[str, dict]:
    """Times the loops in turn.

    Args:
      loops: name -> loop.
      repetitions: undisturbed ones wanted of each.

    Returns:
      name -> what `timing.milliseconds` gives, and "seconds" of a whole sample and
      "setup_s", what the first call took beyond a later one: tracing and compiling;
      both also as the time that this process computed, "cpu_seconds" and "cpu_setup_s".
    """
    calls = {name: one.call for name, one in loops.items()}
    times = timing.milliseconds(calls, repetitions, patience=repetitions + 2)
    for name, row in times.items():
        for prefix, once, first in (
            ("", row["median_ms"] / 1e3, row["first_call_s"]),
            ("cpu_", row["cpu_ms"] / 1e3, row["first_call_cpu_s"]),
        ):
            row[f"{prefix}seconds"] = once / loops[name].share
            row[f"{prefix}setup_s"] = max(0.0, first - once)
    return times


def report(times: dict[str, dict], naive: str) -> None:
    """Prints the seconds and how many times faster than the faster naive loop.

    Args:
      times: of `timed`; gets "times_faster" and "cpu_times_faster".
      naive: how the names of the naive loops begin.
    """
    for prefix in ("", "cpu_"):
        seconds = {name: row[f"{prefix}seconds"] for name, row in times.items()}
        best = min(s for name, s in seconds.items() if name.startswith(naive))
        for name, row in times.items():
            row[f"{prefix}times_faster"] = best / seconds[name]
    print(f"  times faster than the faster {naive}; in brackets, CPU time")
    for name, row in times.items():
        print(
            f"  {name:22} {row['seconds']:8.2f} s {row['times_faster']:6.1f} x  "
            f"({row['cpu_seconds']:.2f} s, {row['cpu_times_faster']:.1f} x)  "
            f"set up in {row['setup_s']:.1f} s ({row['cpu_setup_s']:.1f} s); "
            f"{row['repetitions']} repetitions, {row['disturbed']} disturbed",
            flush=True,
        )
