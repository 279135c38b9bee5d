"""What an export costs: CPU seconds here and in the gate, and bytes of graph.

    python -m benchmarks.exporting

README's Glow of digits, the one of `python -m train`, and one of 32 x 32 x 3; each
in a process of its own, trained for a few steps before. CPU seconds say what an export
takes on a machine that does other work as well.
"""

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

_IMAGES: dict[str, dict[str, Any]] = {
    "README's Glow, 8 x 8": {
        "event_shape": (8, 8, 1),
        "num_levels": 2,
        "num_values": 17,
    },
    "Glow 32 x 32 x 3": {"event_shape": (32, 32, 3), "num_values": 256},
}


def main() -> None:
    """Prints the table, or one row of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exporting")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(_row(asked.one))
        return
    print("| flow | export, CPU s | gate, CPU s | both | saved_model.pb, MB |")
    print("|---|---:|---:|---:|---:|")
    for name in _options():
        command = [sys.executable, "-m", "benchmarks.exporting", "--one", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(done.stdout.strip(), flush=True)


def _options():
    from train.configs import digits_glow

    of_job = digits_glow.get_config().flow.options.to_dict()
    of_job |= {"event_shape": (8, 8, 1), "num_values": 17}
    return {**_IMAGES, "the job's Glow, 8 x 8": of_job}


def _row(name):
    from tfp_flows import flows, serving, training

    options = _options()[name]
    flow = flows.glow(**options)
    rng = np.random.default_rng(0)
    x = rng.integers(0, options["num_values"], (128, *options["event_shape"]))
    model = training.FlowModel(flow)
    model.compile("adam")
    model.fit(x, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        before = _cpu()
        directory = serving.export(flow, os.path.join(folder, "glow"))
        here, gate = (now - then for now, then in zip(_cpu(), before, strict=True))
        megabytes = pathlib.Path(directory, "saved_model.pb").stat().st_size / 1e6
    numbers = f"{here:.1f} | {gate:.1f} | {here + gate:.1f} | {megabytes:.2f}"
    return f"| {name} | {numbers} |"


def _cpu():
    """CPU seconds of this process, and of those that it has waited for."""
    whose = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    used = [resource.getrusage(who) for who in whose]
    return [usage.ru_utime + usage.ru_stime for usage in used]


if __name__ == "__main__":
    main()
