"""Learnt posteriors beside those published for the sbi benchmark [1].

    git clone https://github.com/sbi-benchmark/sbibm
    python -m benchmarks.inference --sbibm=sbibm

The simulators of three of its tasks, written anew, its ten observations of each and its
reference samples of their posteriors, and its own measure: the accuracy of a classifier
between 10,000 draws of the learnt posterior and as many of the reference, in five
folds; 0.5 is no difference, 1 all. `tasks.posterior` has its default options but one:
for `two_moons` the bins of splines may be as narrow as the crescents. Prints a line for
each observation and a Markdown row for each task and number of simulations.

[1] Lueckmann, Boelts, Greenberg, Goncalves, Macke. Benchmarking simulation-based
    inference. AISTATS 2021. arXiv:2101.04653
"""

import argparse
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier

from tfp_flows import tasks

tfd = tfp.distributions


class Task(NamedTuple):
    """One of the benchmark's.

    Attributes:
      prior: of the parameters.
      simulator: of theta and a random generator.
      options: of `tasks.posterior`.
      seen: of an observation, what the posterior is learnt from.
    """

    prior: tfd.Distribution
    simulator: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    options: Mapping[str, Any] = {}
    seen: Callable[[np.ndarray], np.ndarray] = np.asarray


def main() -> None:
    """Learns, draws and compares."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference")
    parser.add_argument("--sbibm", type=pathlib.Path, required=True)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--simulations", nargs="*", type=int, default=[1000, 10_000])
    parser.add_argument("--observations", type=int, default=10)
    parser.add_argument("--method", default="posterior")
    arguments = parser.parse_args()
    rows = ["| task | simulations | C2ST, mean (standard error) of observations |"]
    rows.append("|---|---:|---:|")
    for name in arguments.tasks:
        for count in arguments.simulations:
            found = _accuracies(name, count, arguments)
            error = found.std(ddof=1) / np.sqrt(len(found))
            rows.append(f"| {name} | {count:,} | {found.mean():.3f} ({error:.3f}) |")
    print("\n".join(rows))


def _accuracies(name, count, arguments):
    task = TASKS[name]
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    begin = time.perf_counter()
    learnt = tasks.posterior(
        lambda theta: task.seen(task.simulator(theta, rng)),
        task.prior,
        count,
        method=arguments.method,
        drop_invalid=arguments.method == "posterior",
        **task.options,
    )
    print(f"{name}, {count}: learnt in {time.perf_counter() - begin:.0f} s", flush=True)
    found = []
    for i in range(1, arguments.observations + 1):
        files = arguments.sbibm / f"sbibm/tasks/{name}/files/num_observation_{i}"
        x = np.loadtxt(files / "observation.csv", delimiter=",", skiprows=1)
        packed = files / "reference_posterior_samples.csv.bz2"
        reference = np.loadtxt(packed, delimiter=",", skiprows=1)
        drawn = learnt.given(task.seen(x)).sample(len(reference), seed=i).numpy()
        found.append(accuracy(reference, drawn))
        print(f"{name}, {count}, observation {i}: {found[-1]:.3f}", flush=True)
    return np.array(found)


def accuracy(reference: np.ndarray, drawn: np.ndarray) -> float:
    """Returns how often the benchmark's classifier tells two samples apart.

    Args:
      reference: `[N, D]`.
      drawn: `[N, D]`.
    """
    mean, deviation = reference.mean(axis=0), reference.std(axis=0)
    both = (np.concatenate([reference, drawn]) - mean) / deviation
    label = np.repeat([0, 1], [len(reference), len(drawn)])
    width = 10 * reference.shape[1]
    classifier = MLPClassifier((width, width), max_iter=10_000, random_state=1)
    folds = KFold(5, shuffle=True, random_state=1)
    return float(cross_val_score(classifier, both, label, cv=folds).mean())


def two_moons(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns a point of a crescent about |theta_1 + theta_2|, theta_2 - theta_1."""
    count = len(theta)
    angle = rng.uniform(-np.pi / 2, np.pi / 2, count)
    radius = rng.normal(0.1, 0.01, count)
    along, across = theta.sum(axis=1), theta[:, 1] - theta[:, 0]
    moved = np.stack([-np.abs(along), across], axis=1) / np.sqrt(2)
    crescent = np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], axis=1)
    return crescent + moved


def slcp(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Simple likelihood, complex posterior: four points of a Gaussian in the plane."""
    first, second = theta[:, 2] ** 2, theta[:, 3] ** 2
    correlation = np.tanh(theta[:, 4])
    noise = rng.standard_normal((len(theta), 4, 2))
    x = theta[:, None, 0] + first[:, None] * noise[..., 0]
    mixed = correlation[:, None] * noise[..., 0]
    mixed += np.sqrt(1 - correlation**2)[:, None] * noise[..., 1]
    y = theta[:, None, 1] + second[:, None] * mixed
    return np.stack([x, y], axis=-1).reshape(len(theta), 8)


def lotka_volterra(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts of prey and of predators at ten times, with noise of 10 %, `[N, 20]`."""
    counts = np.tile([30.0, 1.0], (len(theta), 1))
    seen, step = [], 0.02

    def slope(counts):
        prey, hunters = counts.T
        born, eaten, died, fed = theta.T
        met = prey * hunters
        return np.stack([born * prey - eaten * met, fed * met - died * hunters], axis=1)

    with np.errstate(all="ignore"):  # those that explode are dropped
        for i in range(190 * 5):  # to day 18.9, every 2.1 days
            if i % 105 == 0:
                seen.append(counts)
            k1 = slope(counts)
            k2 = slope(counts + step / 2 * k1)
            k3 = slope(counts + step / 2 * k2)
            k4 = slope(counts + step * k3)
            counts = counts + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        clipped = np.clip(np.stack(seen, axis=2), 1e-10, 10_000.0)
        return clipped.reshape(len(theta), 20) * np.exp(
            0.1 * rng.standard_normal((len(theta), 20))
        )


TASKS = {
    "two_moons": Task(
        tfd.Sample(tfd.Uniform(-1.0, 1.0), 2),
        two_moons,
        {
            "options": {
                "num_steps": 4,
                "hidden_units": (64, 64),
                "min_bin": 0.05,
                "min_derivative": 0.01,
            }
        },
    ),
    "slcp": Task(tfd.Sample(tfd.Uniform(-3.0, 3.0), 5), slcp),
    "lotka_volterra": Task(
        tfd.Independent(
            tfd.LogNormal(tf.constant([-0.125, -3.0, -0.125, -3.0]), 0.5), 1
        ),
        lotka_volterra,
        seen=np.log,
    ),
}


if __name__ == "__main__":
    main()
