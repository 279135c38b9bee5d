"""A timer that interleaves its candidates and sets disturbed repetitions aside."""

import os
import random
import statistics
import time
from collections.abc import Callable

_QUIET = 0.12  # cores that other processes may use before a repetition is set aside
_TICK = os.sysconf("SC_CLK_TCK")


def milliseconds(
    candidates: dict[str, Callable[[], object]],
    repetitions: int = 25,
    seconds: float = 0.1,
    patience: int = 60,
) -> dict[str, dict]:
    """Times several calls in turn, so that drift of the machine meets them all.

    Many short repetitions say more than a few long ones: the speed of a shared machine
    changes within a second, by more than the differences that are looked for.

    Args:
      candidates: name -> call that returns when its work is done.
      repetitions: undisturbed repetitions wanted of each.
      seconds: about how long one repetition runs.
      patience: repetitions to try at most; after that disturbed ones count too, and
        are reported.

    Returns:
      name -> median, min and max in milliseconds a call, the seconds of the first
      call (tracing and compilation), and how many repetitions were disturbed. "cpu_ms"
      and "first_call_cpu_s" are what all threads of this process computed, together:
      they say more when other processes take the cores away.
    """
    rounds, first = {}, {}
    for name, call in candidates.items():
        start, own = time.perf_counter(), time.process_time()
        call()
        first[name] = (time.perf_counter() - start, time.process_time() - own)
        call()
        start = time.perf_counter()
        call()
        rounds[name] = max(1, round(seconds / (time.perf_counter() - start)))
    clean = {name: [] for name in candidates}
    disturbed = {name: [] for name in candidates}
    for _ in range(patience):
        if all(len(times) >= repetitions for times in clean.values()):
            break
        # In another order each time: a call finds the caches as the last one left them.
        for name in random.sample(list(candidates), len(candidates)):
            wall, own, foreign = _repetition(candidates[name], rounds[name])
            (clean if foreign <= _QUIET else disturbed)[name].append((wall, own))
    return {
        name: _summary(clean[name] or disturbed[name], first[name], disturbed[name])
        for name in candidates
    }


def _repetition(call, count):
    """Returns ms a call, CPU ms a call, and cores that other processes used."""
    busy, own, start = _busy_seconds(), time.process_time(), time.perf_counter()
    for _ in range(count):
        call()
    elapsed, mine = time.perf_counter() - start, time.process_time() - own
    foreign = max(0.0, (_busy_seconds() - busy - mine) / elapsed)
    return 1e3 * elapsed / count, 1e3 * mine / count, foreign


def _busy_seconds():
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, soft = map(int, stat.readline().split()[1:8])
    return (user + nice + system + irq + soft) / _TICK


def _summary(repetitions, first, disturbed):
    times, cpu = zip(*repetitions, strict=True)
    wall_first, cpu_first = first
    return {
        "median_ms": round(statistics.median(times), 3),
        "min_ms": round(min(times), 3),
        "max_ms": round(max(times), 3),
        "cpu_ms": round(statistics.median(cpu), 3),
        "first_call_s": round(wall_first, 2),
        "first_call_cpu_s": round(cpu_first, 2),
        "repetitions": len(times),
        "disturbed": len(disturbed),
    }
