"""Runs the benchmarks, prints ratios and writes JSON: `make bench`."""

import argparse
import json
import pathlib
import platform

import keras
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows
from benchmarks import glow, maf, real_nvp, spline, timing

_WORKLOADS = {"real_nvp": real_nvp, "spline": spline, "maf": maf, "glow": glow}


def main() -> None:
    """Times every workload with and without XLA in one process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=25)
    parser.add_argument("--out", type=pathlib.Path, default="runs/benchmarks.json")
    parser.add_argument("--only", choices=_WORKLOADS, help="one workload, not all")
    arguments = parser.parse_args()
    results: dict = {"machine": _machine()}
    for name in [arguments.only] if arguments.only else _WORKLOADS:
        results[name] = _timed(_WORKLOADS[name], arguments.repetitions)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")
    print(f"Written to {arguments.out}.")


def _timed(workload, repetitions):
    results = {}
    for jit_compile in (False, True):
        mode = "XLA" if jit_compile else "graph"
        for work, calls in workload.candidates(jit_compile).items():
            times = timing.milliseconds(calls, repetitions)
            results[f"{work}, {mode}"] = times
            _print(f"{workload.TITLE} {work}, {mode}", times)
    return results


def _machine():
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "tensorflow_probability": tfp.__version__,
        "keras": keras.__version__,
        "tfp_flows": tfp_flows.__version__,
        "cpu_devices": len(tf.config.list_physical_devices("CPU")),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "processor": platform.machine(),
    }


def _print(title, times):
    floor = times.get("networks", times["flow"])["median_ms"]
    print(f"\n{title}")
    for name, row in times.items():
        print(
            f"  {name:24} {row['median_ms']:9.2f} ms  "
            f"{row['median_ms'] / floor:5.2f} x  "
            f"({row['min_ms']:.2f} to {row['max_ms']:.2f}, "
            f"{row['repetitions']} repetitions, {row['disturbed']} set aside, "
            f"first call {row['first_call_s']} s)"
        )


if __name__ == "__main__":
    main()
