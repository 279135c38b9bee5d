"""What tasks take beside a sample: `python -m benchmarks.tasks`.

Completion: 64 images of 28 x 28 pixels and 256 values by an untrained any-order model,
beside as many samples of it; medians, interleaved. Optimisation: the digits with the
least ink that a linear classifier takes for an 8, with a fresh RealNVP as density.
"""

import argparse
import functools
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfp_flows import flows, tasks
from tfp_flows.distributions import complete

_IMAGES, _SHAPE = 64, (28, 28, 1)


def main() -> None:
    """Prints seconds, and ratios to a sample."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tasks", description=__doc__
    )
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    found = completion(repeats)
    for name, seconds in found.items():
        print(f"{name}: {seconds:.1f} s, {seconds / found['sample']:.2f} x a sample")
    print(f"optimize on the digits: {optimisation():.1f} s")


def completion(repeats: int) -> dict[str, float]:
    """Returns the median seconds of a sample and of completions.

    Args:
      repeats: of each, after one that traces.
    """
    model = flows.any_order(_SHAPE, num_values=256, filters=16, num_blocks=2)
    x = np.random.default_rng(0).integers(0, 256, (_IMAGES, *_SHAPE))
    row = np.arange(28).reshape(28, 1, 1)
    masks = {"upper half known": row < 14, "nothing known": row < 0}
    calls: dict[str, Callable] = {"sample": functools.partial(model.sample, _IMAGES)}
    for name, mask in masks.items():
        calls[name] = functools.partial(complete, model, x, mask, 1)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for seed in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            tf.reduce_sum(call(seed=seed)).numpy()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(taken[1:])) for name, taken in times.items()}


def optimisation() -> float:
    """Returns the seconds of one search, tracing included."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    x, label = load_digits(return_X_y=True)
    flow = flows.real_nvp((64,), num_values=17)
    flow.adapt(x)
    linear = LogisticRegression(C=0.01, max_iter=1000).fit(x / 16, label)
    kernel, bias = (np.float32(a.T) for a in (linear.coef_ / 16, linear.intercept_))

    def less_ink(x):
        return -tf.reduce_mean(x, axis=1)

    def read_as_8(x):
        return np.log(0.5) - tf.nn.log_softmax(x @ kernel + bias)[:, 8]

    start = time.perf_counter()
    tasks.optimize(flow, less_ink, [read_as_8], n=16, seed=0)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
