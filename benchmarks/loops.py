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
      "setup_s", what the first call took beyond a later one: tracing and compiling.
    """
    calls = {name: one.call for name, one in loops.items()}
    times = timing.milliseconds(calls, repetitions, patience=repetitions + 2)
    for name, row in times.items():
        once = row["median_ms"] / 1e3
        row["seconds"] = once / loops[name].share
        row["setup_s"] = max(0.0, row["first_call_s"] - once)
    return times


def report(times: dict[str, dict], naive: str) -> None:
    """Prints the seconds and how many times faster than the faster naive loop.

    Args:
      times: of `timed`; gets "times_faster".
      naive: how the names of the naive loops begin.
    """
    slow = [row["seconds"] for name, row in times.items() if name.startswith(naive)]
    for name, row in times.items():
        row["times_faster"] = min(slow) / row["seconds"]
        print(
            f"  {name:22} {row['seconds']:8.2f} s  "
            f"{row['times_faster']:6.1f} x the faster {naive}  "
            f"({row['repetitions']} repetitions, {row['disturbed']} disturbed, "
            f"set up in {row['setup_s']:.1f} s)",
            flush=True,
        )
