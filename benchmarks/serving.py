"""What an export costs beside the flow it came from, batch by batch; and memory.

    python -m benchmarks.serving [--requests 20000] [--memory] [--only Glow]

`log_prob` and `sample` of RealNVP on 64 dimensions, Glow 32 x 32 x 3 and PixelCNN
28 x 28: through the C++ runtime that TF Serving uses, in a process without TensorFlow's
Python, beside the same functions under `tf.function` here, in turn. Then the resident
memory of a process that answers requests of random sizes.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

_SIZES = (1, 8, 32, 256)
_WORKS = ("log_prob", "sample")
_ROUNDS = 15
_SECONDS = 0.2  # of one round


def main() -> None:
    """Prints the tables, or answers another process of this file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--only", default="", help="part of a flow's name")
    parser.add_argument("--memory", action="store_true", help="times nothing")
    parser.add_argument("--rows", type=int, default=16, help="of the largest request")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--weigh", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(arguments.serve)
    elif arguments.weigh:
        _weigh(arguments.weigh, arguments.requests, arguments.rows)
    else:
        _compare(arguments)


def _compare(asked):
    if not asked.memory:
        print("| flow | work | rows | served, ms | tf.function, ms | ratio |")
        print("|---|---|---:|---:|---:|---:|")
    exports = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, flow in _flows(asked.only):
            from tfp_flows import serving

            base = pathlib.Path(folder) / name.replace(" ", "")
            exports[name] = serving.export(flow, base, allow_unadapted=True)
            if not asked.memory:
                with _process("--serve", exports[name]) as served:
                    _rows(name, flow, served)
        print("\nResident memory, MiB, at first and after each tenth of the requests:")
        options = ("--requests", asked.requests, "--rows", asked.rows)
        for name, directory in exports.items():
            print(name, end=": ", flush=True)
            subprocess.run(_command("--weigh", directory, *options), check=True)


def _flows(only):
    from tfp_flows import flows

    recipes = {
        "RealNVP-64": lambda: flows.real_nvp((64,)),
        "Glow 32 x 32 x 3": lambda: flows.glow(
            (32, 32, 3), num_levels=3, num_steps=8, filters=64, num_values=256
        ),
        "PixelCNN 28 x 28": lambda: flows.pixel_cnn((28, 28, 1), num_values=2),
    }
    return ((name, build()) for name, build in recipes.items() if only in name)


def _process(*options):
    pipe = subprocess.PIPE
    return subprocess.Popen(_command(*options), stdin=pipe, stdout=pipe, text=True)


def _command(*options):
    return [sys.executable, "-m", "benchmarks.serving", *map(str, options)]


def _rows(name, flow, served):
    """Prints the rows of one flow."""

    def ask(*order):
        served.stdin.write(json.dumps(order) + "\n")
        served.stdin.flush()
        return json.loads(served.stdout.readline())

    for work in _WORKS:
        for size in _SIZES:
            call = _here(flow, work, size)
            calls = _calls_a_round(call)
            both = [
                (ask(work, size, calls), _milliseconds(call, calls))
                for _ in range(_ROUNDS)
            ]
            there, here = map(statistics.median, zip(*both, strict=True))
            print(
                f"| {name} | {work} | {size} | {there:.2f} | {here:.2f} "
                f"| {there / here:.2f} |",
                flush=True,
            )


def _here(flow, work, size):
    """Returns a call of the same work under `tf.function`."""
    import tensorflow as tf

    noise = {} if flow.is_exact else {"seed": 0}
    rng = np.random.default_rng(size)

    @tf.function(autograph=False)
    def log_prob(x):
        return flow.log_prob(x, **noise)

    @tf.function(autograph=False)
    def sample(seed):
        if flow.is_exact:
            return flow.experimental_sample_and_log_prob(size, seed=seed)
        x = flow.sample(size, seed=seed)
        return x, flow.log_prob(tf.identity(x), **noise)

    if work == "sample":
        return lambda: sample(tf.constant([1, 2]))[1].numpy()
    x = _events(rng, (size, *flow.event_shape), flow.num_values is not None)
    return lambda: log_prob(tf.constant(x)).numpy()


def _events(rng, shape, is_integer):
    if is_integer:
        return rng.integers(0, 2, shape).astype(np.int32)
    return rng.standard_normal(shape).astype(np.float32)


def _calls_a_round(call: Callable) -> int:
    call()
    return max(1, round(1000 * _SECONDS / _milliseconds(call, 1)))


def _milliseconds(call, count):
    start = time.perf_counter()
    for _ in range(count):
        call()
    return 1000 * (time.perf_counter() - start) / count


def _serve(directory):
    """Answers [work, rows, calls] with milliseconds a call, line by line."""
    from tfp_flows.serving import c_api

    session = c_api.Session(directory)
    for line in sys.stdin:
        work, size, calls = json.loads(line)
        inputs = _inputs(session, work, size)
        session.run(work, inputs)
        taken = _milliseconds(lambda: session.run(work, inputs), calls)  # noqa: B023
        print(taken, flush=True)


def _inputs(session, work, size):
    """Returns a request of so many rows."""
    from tfp_flows.serving import row_seeds
    from tfp_flows.serving.c_api import dtype_of

    rng = np.random.default_rng(size)
    inputs = {}
    for key, info in session.signatures[work].inputs.items():
        shape, dtype = (size, *info.shape[1:]), dtype_of(info)
        if key == "seed":
            inputs[key] = row_seeds.seeds(size, size)
        elif key == "temperature":
            inputs[key] = np.ones(shape, np.float32)
        else:
            inputs[key] = _events(rng, shape, np.issubdtype(dtype, np.integer))
    return inputs


def _weigh(directory, count, largest):
    """Prints the resident memory while requests of random sizes are answered.

    Each is `log_prob` or `sample`, of 1 to `largest` rows. First come the largest
    requests of both, which take what the runtime takes for good.
    """
    from tfp_flows.serving import c_api

    session, rng = c_api.Session(directory), np.random.default_rng(0)
    for work in _WORKS:
        session.run(work, _inputs(session, work, largest))
    print(f"{_resident():.0f}", end=" ", flush=True)
    for i in range(1, count + 1):
        work, size = _WORKS[rng.integers(2)], int(rng.integers(1, largest + 1))
        session.run(work, _inputs(session, work, size))
        if i % max(count // 10, 1) == 0:
            print(f"{_resident():.0f}", end=" ", flush=True)
    print()


def _resident():
    status = pathlib.Path("/proc/self/status").read_text()
    line = next(s for s in status.splitlines() if s.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
