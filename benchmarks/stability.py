"""Does plain Adam train every recipe? `python -m benchmarks.stability`.

Recipes x sizes x data x rates x seeds, batch 32, four epochs, no warm-up, no clipping.
The loss of every batch is held against what the freshly adapted, untrained model has
on the same events. Runs go in processes of one thread each and are appended to a file,
so that a stopped benchmark goes on where it was. `--table=docs/stability.md` writes
what the file holds as a page. MNIST and CIFAR-10 take part with `--data_dir`. With
`--tuned` an optimizer as tuned as the job's trains one seed of each model, to a file of
its own, which `--reference` puts beside plain Adam on the page. Runs
whose row the page has with all seeds are not done again, unless another is named.
"""

import argparse
import concurrent.futures
import json
import math
import multiprocessing
import os
import pathlib
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks import stability_data, stability_table

EPOCHS, BATCH = 4, 32
RATES = (1e-3, 5e-3)
_TUNED_RATE = 2e-3
SIZES = ("default", "deeper", "wider")
_TABLES = ("moons", "wine", "cancer", "diabetes", "iris")
# What is met with all sizes, rates and three seeds.
_FULL = {
    **{f"glow {name}": ("digits",) for name in ("affine", "mixture", "spline")},
    **{n: ("digits", "wine") for n in ("real_nvp", "maf", "neural_spline")},
}
# Of these each recipe meets each size, each rate and each of the data with two seeds.
_SOME = {
    "glow affine": ("digits_float", "mnist", "cifar10"),
    "real_nvp": ("digits_float", "moons", "cancer", "diabetes", "iris", "mnist"),
    "maf": ("digits_float", "moons", "cancer", "diabetes", "iris"),
    "neural_spline": ("digits_float", "moons", "cancer", "diabetes", "iris"),
    "nice": ("digits", "digits_float", *_TABLES),
    "iaf": ("digits", "digits_float", *_TABLES),
    "flow_pp": ("digits", "digits_float", *_TABLES),
    "gaussian": ("digits", "digits_float", *_TABLES),
    "gaussian_mixture": ("digits", "digits_float", *_TABLES),
    "pixel_cnn": ("digits", "mnist"),
    "pixel_rnn": ("digits",),
    "wavenet": ("tones", "ar_process"),
    "recurrent": ("tones", "ar_process"),
}
# What four times as deep or as wide is, where the default is not simply num_steps.
_DEEPER = {
    "glow": {"num_steps": 32},
    "real_nvp": {"num_steps": 32},
    "neural_spline": {"num_steps": 32},
    "flow_pp": {"num_steps": 32},
    "nice": {"num_steps": 16},
    "maf": {"num_steps": 20},
    "iaf": {"num_steps": 20},
    "pixel_cnn": {"num_blocks": 16},
    "pixel_rnn": {"num_layers": 12},
    "wavenet": {"num_layers": 64},
    "recurrent": {"units": (128,) * 4},
}
_WIDER = {
    "glow": {"filters": 512},
    "pixel_cnn": {"filters": 256},
    "pixel_rnn": {"units": 128},
    "wavenet": {"filters": 256},
    "recurrent": {"units": (512,)},
}


class Group(NamedTuple):
    """Runs that one traced model serves: all but their weights and rate is equal."""

    recipe: str
    size: str
    data: str
    runs: tuple[tuple[float, int], ...]  # rate and seed


def main() -> None:
    """Runs what is left to run, or writes the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stability", description=__doc__
    )
    parser.add_argument("--out", type=pathlib.Path, default="runs/stability.jsonl")
    parser.add_argument("--tuned", action="store_true", help="the job's optimizer")
    parser.add_argument("--reference", type=pathlib.Path, help="runs of --tuned")
    parser.add_argument("--only", default="", help="regular expression on groups")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--data_dir", default="", help="of tensorflow-datasets")
    parser.add_argument("--table", type=pathlib.Path, help="page to write, and stop")
    parser.add_argument("--page", type=pathlib.Path, default="docs/stability.md")
    arguments = parser.parse_args()
    if arguments.table:
        _write_page(arguments)
        return
    groups = _left(arguments)
    print(f"{sum(len(g.runs) for g in groups)} runs of {len(groups)} models are left.")
    with concurrent.futures.ProcessPoolExecutor(
        arguments.processes,
        mp_context=multiprocessing.get_context("spawn"),
        max_tasks_per_child=1,  # TensorFlow keeps what it has traced
    ) as pool:
        jobs = [
            pool.submit(run, group, arguments.data_dir, arguments.out, arguments.tuned)
            for group in groups
        ]
        for job in concurrent.futures.as_completed(jobs):
            job.result()


def _left(arguments):
    """Returns the groups with the runs that are still to be done."""
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    done = {_key(found) for found in stability_table.read(arguments.out)}
    groups = groups_of(arguments.data_dir)
    if arguments.tuned:
        groups = [group._replace(runs=((_TUNED_RATE, 0),)) for group in groups]
    else:
        done |= _on_page(groups, arguments.page)
    return [
        group._replace(runs=runs)
        for group in groups
        if re.search(arguments.only, " ".join(group[:3]))
        and (runs := tuple(r for r in group.runs if (*group[:3], *r) not in done))
    ]


def _write_page(arguments):
    planned: dict[tuple, int] = {}
    for group in groups_of(arguments.data_dir):
        for rate, _ in group.runs:
            key = group.recipe, group.data, group.size, rate
            planned[key] = planned.get(key, 0) + 1
    stability_table.write(arguments.out, arguments.table, planned, arguments.reference)


def _on_page(groups, page):
    """Keys of the runs whose row a page has with all its seeds."""
    rows, found = stability_table.rows_of(page), set()
    for group in groups:
        for rate in {rate for rate, _ in group.runs}:
            row = rows.get((group.recipe, group.data, group.size, rate))
            runs = [run for run in group.runs if run[0] == rate]
            if row and stability_table.num_seeds(row) >= len(runs):
                found |= {(*group[:3], *run) for run in runs}
    return found


def _key(found):
    return tuple(found[k] for k in ("recipe", "size", "data", "rate", "seed"))


def groups_of(data_dir: str) -> list[Group]:
    """Returns all runs, the longest first, so that no process ends alone."""
    found: dict[tuple, list] = {}
    for recipe, sets in _FULL.items():
        for data in sets:
            for size in SIZES:
                runs = [(rate, seed) for rate in RATES for seed in range(3)]
                found[recipe, size, data] = runs
    grid = [(size, rate) for rate in RATES for size in SIZES]
    for recipe, sets in _SOME.items():
        sets = [d for d in sets if data_dir or d not in stability_data.TFDS]
        for i in range(max(len(grid), len(sets)) if sets else 0):
            size, rate = grid[i % len(grid)]
            if recipe.startswith("gaussian"):  # they have no width or depth
                size = "default"
            runs = found.setdefault((recipe, size, sets[i % len(sets)]), [])
            runs += [(rate, seed) for seed in range(2) if (rate, seed) not in runs]
    # Pixels that are always empty have no covariance, and the recipe refuses them.
    del found["gaussian", "default", "digits_float"]
    groups = [Group(*key, tuple(runs)) for key, runs in found.items()]
    return sorted(groups, key=lambda g: (g.size == "default", "glow" not in g.recipe))


def run(group: Group, data_dir: str, out: pathlib.Path, tuned: bool) -> None:
    """Trains one model from the weights of each seed, at each rate; writes lines."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    data = stability_data.load(group.data, data_dir)
    for found in _runs(group, data, tuned):
        with out.open("a") as file:
            file.write(json.dumps(found) + "\n")
        print(stability_table.line(found), flush=True)


def _runs(group, data, tuned) -> Iterator[dict[str, Any]]:
    import keras

    from tfp_flows import FlowModel

    keras.utils.set_random_seed(0)
    model = FlowModel(build(group, data, 0))
    steps = EPOCHS * math.ceil(len(data.train) / BATCH)
    optimizer = _tuned_optimizer(group, steps) if tuned else keras.optimizers.Adam()
    model.compile(optimizer, jit_compile=False)
    before = 0.0
    for rate, seed in group.runs:
        keras.utils.set_random_seed(seed)
        _restart(model, build(group, data, seed), data, seed)
        if not tuned:
            model.optimizer.learning_rate = rate
        yield {
            "recipe": group.recipe,
            "size": group.size,
            "data": group.data,
            "rate": rate,
            "seed": seed,
            "dims": math.prod(data.train.shape[1:]),
            "gaussian": data.gaussian,
            **measured(model, data, seed),
            "cpu_seconds": time.process_time() - before,  # imports and tracing included
        }
        before = time.process_time()


def _tuned_optimizer(group, steps):
    """Returns what `train.configs` have: a schedule, weight decay and clipping."""
    import keras

    warmup = min(100, steps // 4) if "glow" in group.recipe else 0
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else _TUNED_RATE,
        steps - warmup,
        warmup_target=_TUNED_RATE if warmup else None,
        warmup_steps=warmup,
    )
    return keras.optimizers.AdamW(schedule, weight_decay=1e-2, clipnorm=50.0)


def build(group: Group, data: stability_data.Data, seed: int) -> Any:
    """Returns a flow with the fresh weights of a seed."""
    from tfp_flows import flows

    recipe, *coupling = group.recipe.split()
    options: dict[str, Any] = {"event_shape": data.train.shape[1:]}
    if data.num_values:
        options["num_values"] = data.num_values
    if recipe == "glow":
        options |= {"coupling": coupling[0], "seed": seed}
        if data.train.shape[1] == 28:
            options |= {"num_levels": 2}
    is_image = len(options["event_shape"]) == 3
    if group.size == "deeper":
        options |= _DEEPER[recipe]
    elif group.size == "wider" and recipe in _WIDER:
        options |= _WIDER[recipe]
    elif group.size == "wider" and is_image and recipe not in ("nice", "maf", "iaf"):
        options |= {"filters": 256}
    elif group.size == "wider":
        options |= {"hidden_units": (1024, 1024)}
    return flows.build(recipe, **options)


def _restart(model, flow, data, seed):
    """Gives a traced model fresh weights, adapts it, and forgets what Adam knew."""
    for variable, fresh in zip(
        model.flow.raw_variables, flow.raw_variables, strict=True
    ):
        variable.assign(fresh)
    rows = np.random.default_rng(seed).permutation(len(data.train))[:1024]
    model.flow.adapt(data.train[rows])
    for variable in model.optimizer.variables:
        variable.assign(np.zeros(variable.shape, variable.dtype))


def measured(model: Any, data: stability_data.Data, seed: int) -> dict[str, float]:
    """Trains a model and returns what its losses did, in nats an event."""
    import tensorflow as tf

    before = -model.predict(data.train, batch_size=256, verbose=0)
    rng = np.random.default_rng(seed)
    size = len(data.train)
    order = np.concatenate([rng.permutation(size) for _ in range(EPOCHS)])
    batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    events = tf.data.Dataset.from_tensor_slices(data.train[order]).batch(BATCH)
    losses = np.full(len(batches), np.nan)
    seen = _losses(model, events)
    losses[: len(seen)] = seen
    began = np.array([before[rows].mean() for rows in batches])
    excess = losses - began
    allowed = 0.05 * np.abs(began) + math.prod(data.train.shape[1:]) / 10
    worst = int(np.argmax(np.nan_to_num(excess - allowed, nan=np.inf)))
    held_out = -model.predict(data.valid, batch_size=256, verbose=0)
    return {
        "first": float(before.mean()),
        # On the same events: which of them are in the last batches says nothing.
        "last": float(before.mean() + excess[-(len(batches) // EPOCHS) :].mean()),
        "valid": float(held_out.mean()),
        "excess": float(excess[worst]),
        "allowed": float(allowed[worst]),
    }


def _losses(model, events):
    """Returns the loss of each batch, up to the first that stops training."""
    import keras

    from tfp_flows.training import NonFiniteLossError

    losses, before = [], [0.0, 0.0]

    def note(batch, logs):
        tracker = model.metrics[1]  # nll, a running mean
        now = [float(tracker.total), float(tracker.count)]
        losses.append((now[0] - before[0]) / (now[1] - before[1]))
        before[:] = now

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    try:
        model.fit(events, verbose=0, callbacks=[callback])
    except NonFiniteLossError as error:
        print(error)
    return losses


if __name__ == "__main__":
    main()
