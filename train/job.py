"""The job: load, build, train, evaluate, export."""

import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from tfp_flows import FlowModel, flows, serving
from tfp_flows.distributions import Model
from tfp_flows.training import adaptation, sampling
from train import (
    audio,
    callbacks,
    evaluation,
    pictures,
    pipelines,
    report,
    strategies,
)

_POINTS = 10_000  # test events in a scatter plot


def run(config: Any, workdir: pathlib.Path, say: Callable = print) -> dict:
    """Runs a job; the same call again continues one that was stopped.

    Args:
      config: see `train/configs/digits_real_nvp.py`.
      workdir: where everything is written: `checkpoints/`, `logs/` for TensorBoard,
        `metrics.jsonl`, PNGs, for sound `samples.wav`, `report.md`, `report.json`,
        `config.json`, `model.weights.h5`, `export/1`.
      say: prints a line.

    Returns:
      The report: scores of all models on the test split.

    Raises:
      ValueError: for data, options or checkpoints that do not fit.
    """
    _check(config)
    there = strategies.place(config.strategy)
    keras.config.set_dtype_policy(config.policy)
    if there.is_chief:
        workdir.mkdir(parents=True, exist_ok=True)
        (workdir / "config.json").write_text(
            config.to_json_best_effort(indent=2) + "\n"
        )
    splits = _load(config, workdir, there)
    trained = [
        (label, *train(model, splits, config, place, there))
        for label, model, place in models_of(config, workdir)
    ]
    saved = {}
    if there.is_chief:
        saved = _report(trained, splits, config, workdir, say)
    strategies.wait_for_all(there)
    return saved


def _load(config, workdir, there):
    """Loads the data; the others prepare what has to be prepared for themselves."""
    if there.is_chief:
        return pipelines.load(config.data, workdir)
    with tempfile.TemporaryDirectory() as own:
        return pipelines.load(config.data, pathlib.Path(own))


def models_of(config: Any, workdir: pathlib.Path) -> list[tuple]:
    """Returns label, recipe with options and epochs, directory of each flow to train.

    The config's own comes first, then what it is compared with.
    """
    rivals = [(k, rival) for k, rival in config.rivals.items() if rival.epochs]
    flow = ml_collections.ConfigDict(config.flow.to_dict() | {"epochs": config.epochs})
    first = (config.flow.name, flow, workdir)
    return [first, *((label, rival, workdir / label) for label, rival in rivals)]


def _report(trained, splits, config, workdir, say):
    """Scores all models, writes pictures and report, exports the first."""
    scores = [
        evaluation.score(label, flow, splits, config, history)
        for label, flow, history in trained
    ]
    _, flow, history = trained[0]
    baselines = evaluation.baseline_scores(splits, config)
    scores = [*baselines, *scores[1:], scores[0]]
    note = report.how_measured(scores, splits, config)
    saved = report.save(scores, workdir, say, note, len(baselines) - 1)
    draw(flow, splits, scores[-1].bits, history, workdir, config.seed)
    if config.export:
        path = publish(flow, splits, saved, config, workdir)
        say(f"Exported to {path}. Check it: python -m tfp_flows.serving.check {path}")
    return saved


def _check(config):
    for name, value in {
        "epochs": config.epochs,
        "patience": config.patience,
        "num_draws": config.num_draws,
        "eval_batch_size": config.eval_batch_size,
        "data.batch_size": config.data.batch_size,
        "optimizer.learning_rate": config.optimizer.learning_rate,
    }.items():
        if not value > 0:
            raise ValueError(f"config.{name} must be positive, got {value}.")


def train(
    chosen: Any,
    splits: Any,
    config: Any,
    workdir: pathlib.Path,
    there: strategies.Place,
) -> tuple[Model, list[dict]]:
    """Builds and trains a flow, from where the last checkpoint in `workdir` left off.

    Args:
      chosen: recipe's `name`, its `options`, and `epochs` at most.
      splits: of the data.
      config: of the job.
      workdir: for checkpoints and logs.
      there: what it runs on.

    Returns:
      The flow with the best weights on valid, and the metrics of every epoch.
    """
    size, epochs = config.data.batch_size, chosen.epochs
    keras.utils.set_random_seed(config.seed)  # whatever ran in this process before
    if there.is_chief:
        workdir.mkdir(exist_ok=True)
    with there.strategy.scope():
        flow = _build(chosen.name, chosen.options, splits)
        model = FlowModel(flow, seed=config.seed, adapt_examples=config.adapt_examples)
        steps = epochs * splits.train.steps_per_epoch(size)
        model.compile(_optimizer(config.optimizer, steps), jit_compile=_jit(config))
        checkpoints = callbacks.Checkpoints(
            model, workdir / "checkpoints", config.patience, there.is_chief
        )
    checkpoints.restore_last()
    first, log = checkpoints.next_epoch, workdir / "metrics.jsonl"
    if first < epochs and not checkpoints.is_finished:
        _adapt(model, splits.train)
        n = splits.train.steps_per_epoch(size)
        model.fit(
            splits.train.steps(
                size, config.seed, first * n, epochs * n, config.data.flip
            ),
            steps_per_epoch=n,
            validation_data=splits.valid.batches(size),
            initial_epoch=first,
            epochs=epochs,
            verbose=_verbosity(there),
            shuffle=False,  # the data set shuffles itself
            callbacks=_callbacks(config, workdir, there, checkpoints, first),
        )
    checkpoints.restore_best()
    if there.is_chief:
        model.save_weights(workdir / "model.weights.h5")
    return flow, callbacks.read_metrics(log)


def _build(name, options, splits):
    given = {"context_shape": splits.context_shape} if splits.context_shape else {}
    return flows.build(
        name,
        event_shape=splits.event_shape,
        num_values=splits.num_values,
        **given,
        **options.to_dict(),
    )


def _adapt(model, part):
    """Adapts the flow to a sample: `fit` would read all steps to draw one."""
    if not model.flow.is_adapted:
        (x, context), places = part.sample(model.adapt_examples, model.seed)
        given = None if context is None else tf.convert_to_tensor(context)
        sample = sampling.Sample(tf.convert_to_tensor(x), given, places)
        adaptation.adapt(model, sample)


def _verbosity(there):
    """A progress bar for people, a line an epoch for log files, of one worker."""
    if not there.is_chief:
        return 0
    return 1 if sys.stdout.isatty() else 2


def _callbacks(config, workdir, there, checkpoints, first):
    # Validates the averaged weights.
    found = [keras.callbacks.SwapEMAWeights()] if config.optimizer.ema else []
    if there.is_chief:
        found += [
            callbacks.MetricsLog(workdir / "metrics.jsonl", first),
            keras.callbacks.TensorBoard(workdir / "logs"),
        ]
    if there.strategy.num_replicas_in_sync > 1:
        found.append(strategies.Watch(config.strategy.timeout))
    return [*found, checkpoints]


def _optimizer(config, steps):
    warmup = min(config.warmup, steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else config.learning_rate,
        steps - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    return keras.optimizers.AdamW(
        schedule,
        weight_decay=config.weight_decay,
        clipnorm=config.clipnorm or None,
        use_ema=bool(config.ema),
        ema_momentum=config.ema,
    )


def _jit(config):
    choices = {"auto": "auto", "true": True, "false": False}
    if config.jit_compile not in choices:
        raise ValueError(
            f"config.jit_compile must be one of {sorted(choices)}, got "
            f"{config.jit_compile!r}."
        )
    return choices[config.jit_compile]


def draw(
    flow: Model,
    splits: Any,
    bits: np.ndarray,
    history: list[dict],
    workdir: pathlib.Path,
    seed: int,
) -> None:
    """Writes the pictures of a run, and the sound if there is any."""
    pictures.curves(history, workdir / "curves.png")
    if splits.audio:
        audio.write(flow, splits.audio, workdir, seed)
        return
    if len(splits.event_shape) == 2:
        pictures.sequences(flow, splits.test, workdir / "samples.png", seed)
        return
    if len(splits.event_shape) != 3:
        x, context = splits.test.head(_POINTS)
        kwargs = {} if context is None else {"context": context}
        drawn = flow.sample(() if kwargs else len(x), seed=(seed, 0), **kwargs).numpy()
        pictures.points(drawn, x, workdir / "samples.png")
        return
    pictures.samples_beside_data(flow, splits.test, workdir / "samples.png", seed)
    if flow.flow is None:  # no latent to walk in
        pictures.completions(flow, splits.test, workdir / "completions.png", seed)
    else:
        pictures.interpolations(flow, splits.test, workdir / "interpolations.png")
    pictures.extremes(bits, splits.test, workdir / "extremes.png")


def publish(
    flow: Model, splits: Any, saved: dict, config: Any, workdir: pathlib.Path
) -> pathlib.Path:
    """Exports the flow with its saved report on the card."""
    examples, contexts = splits.test.head(8)
    return serving.export(
        flow,
        workdir / "export",
        examples=examples,
        contexts=contexts,
        card={"report": saved, "data": _data_facts(config.data)},
    )


def _data_facts(config):
    facts = {"name": config.name}
    if config.binarize:
        facts |= {"binarize": config.binarize, "seed": config.seed}
    return facts
