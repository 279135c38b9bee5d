"""The job: load, build, train, evaluate, export."""

import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import ml_collections
import numpy as np

from tfp_flows import FlowModel, flows
from tfp_flows.distributions import Model
from train import (
    audio,
    callbacks,
    checkpoints,
    evaluation,
    exports,
    files,
    lock,
    pictures,
    pipelines,
    report,
    settings,
    stopping,
    strategies,
)


def run(
    config: Any,
    workdir: pathlib.Path,
    say: Callable = print,
    stop: stopping.Stop | None = None,
) -> dict:
    """Runs a job; the same call again continues one that was stopped.

    Args:
      config: see `train/configs/digits_real_nvp.py`.
      workdir: where everything is written: `checkpoints/`, `logs/` for TensorBoard,
        `metrics.jsonl`, PNGs, for sound `samples.wav`, `report.md`, `report.json`,
        `config.json`, `model.weights.h5`, `export/1`.
      say: prints a line.
      stop: whether to save and end after a step.

    Returns:
      The report: scores of all models on the test split.

    Raises:
      ValueError: for data, options or checkpoints that do not fit, or a work directory
        that another job is in.
      OSError: if the disk is full; what was saved is whole.
    """
    _check(config)
    stop = stop or stopping.Stop()
    there = strategies.place(config.strategy)
    stop.listen()
    keras.config.set_dtype_policy(config.policy)
    if not there.is_chief:
        return _run(config, workdir, there, stop, say)
    workdir.mkdir(parents=True, exist_ok=True)
    with lock.held(workdir, say):
        return _run(config, workdir, there, stop, say)


def _run(config, workdir, there, stop, say):
    changes = settings.check(config, workdir) if there.is_chief else []
    splits = _load(config, workdir, there)
    if there.is_chief:
        settings.save(config, changes, workdir)
    trained = [
        (label, *train(model, splits, config, place, there, stop))
        for label, model, place in models_of(config, workdir)
    ]
    saved = {}
    if there.is_chief:
        saved = _report(trained, splits, config, workdir, say, changes)
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


def _report(trained, splits, config, workdir, say, changes):
    """Scores all models, writes pictures and report, exports the first."""
    scores = [
        evaluation.score(label, flow, splits, config, history)
        for label, flow, history in trained
    ]
    _, flow, history = trained[0]
    baselines = evaluation.baseline_scores(splits, config)
    scores = [*baselines, *scores[1:], scores[0]]
    note = report.how_measured(scores, splits, config)
    saved = report.save(scores, workdir, say, note, len(baselines) - 1, changes)
    draw(flow, splits, scores[-1].bits, history, workdir, config.seed)
    if config.export:
        path = exports.publish(flow, splits, saved, config, workdir)
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
        "checkpoint.minutes": config.checkpoint.minutes,
        "checkpoint.grace": config.checkpoint.grace,
    }.items():
        if not value > 0:
            raise ValueError(f"config.{name} must be positive, got {value}.")


def train(
    chosen: Any,
    splits: Any,
    config: Any,
    workdir: pathlib.Path,
    there: strategies.Place,
    stop: stopping.Stop | None = None,
) -> tuple[Model, list[dict]]:
    """Builds and trains a flow, from where the last checkpoint in `workdir` left off.

    Args:
      chosen: recipe's `name`, its `options`, and `epochs` at most.
      splits: of the data.
      config: of the job.
      workdir: for checkpoints and logs.
      there: what it runs on.
      stop: whether to save and end after a step.

    Returns:
      The flow with the best weights on valid, and the metrics of every epoch.
    """
    stop = stop or stopping.Stop()
    if there.is_chief:
        workdir.mkdir(exist_ok=True)
        files.remove_parts(workdir)
    steps = splits.train.steps_per_epoch(config.data.batch_size)
    length = checkpoints.Length(chosen.epochs, steps, config.patience)
    with there.strategy.scope():
        model = _model(chosen, splits, config, chosen.epochs * steps)
        saved = _checkpoints(model, length, config, workdir, there, stop)
    saved.restore()
    with stop.saved_first():
        while not saved.is_done:
            found = _callbacks(config, workdir, there, saved)
            _fit(model, splits, config, saved, found)
    saved.restore_best()
    if there.is_chief:
        files.write_whole(workdir / "model.weights.h5", model.save_weights)
    return model.flow, saved.log.rows


def _model(chosen, splits, config, steps):
    """Builds a model, the same whatever this process or an earlier one did before."""
    keras.utils.set_random_seed(config.seed)
    flow = _build(chosen.name, chosen.options, splits)
    model = FlowModel(flow, seed=config.seed, adapt_examples=config.adapt_examples)
    model.compile(_optimizer(config.optimizer, steps), jit_compile=_jit(config))
    return model


def _checkpoints(model, length, config, workdir, there, stop):
    return checkpoints.Checkpoints(
        model,
        workdir / "checkpoints",
        length,
        callbacks.MetricsLog(workdir / "metrics.jsonl"),
        minutes=config.checkpoint.minutes,
        stop=stop,
        writes=there.is_chief,
    )


def _fit(model, splits, config, saved, found):
    """Fits the rest of an epoch that was begun, or all epochs that are left."""
    size, flip = config.data.batch_size, config.data.flip
    epoch, step, *_ = saved.position
    epochs, steps, _ = saved.length
    data = splits.train.shuffled_epochs(size, config.seed, epoch, epochs, flip)
    model.fit(
        data.skip(step),
        steps_per_epoch=steps - step,
        validation_data=splits.valid.batches(size),
        initial_epoch=epoch,
        epochs=epochs,
        verbose=_verbosity(saved.writes),
        shuffle=False,  # the data set shuffles itself
        callbacks=found,
    )


def _build(name, options, splits):
    given = {"context_shape": splits.context_shape} if splits.context_shape else {}
    return flows.build(
        name,
        event_shape=splits.event_shape,
        num_values=splits.num_values,
        **given,
        **options.to_dict(),
    )


def _verbosity(is_chief):
    """A progress bar for people, a line an epoch for log files, of one worker."""
    if not is_chief:
        return 0
    return 1 if sys.stdout.isatty() else 2


def _callbacks(config, workdir, there, saved):
    # Validates the averaged weights.
    found = [keras.callbacks.SwapEMAWeights()] if config.optimizer.ema else []
    if there.is_chief:
        found.append(keras.callbacks.TensorBoard(workdir / "logs"))
    if there.strategy.num_replicas_in_sync > 1:
        found.append(strategies.Watch(config.strategy.timeout))
    return [*found, saved.log, saved]


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
        kwargs = (
            {} if splits.context_shape is None else {"context": splits.test.context}
        )
        count = () if kwargs else len(splits.test)
        drawn = flow.sample(count, seed=(seed, 0), **kwargs).numpy()
        pictures.points(drawn, splits.test.x, workdir / "samples.png")
        return
    pictures.samples_beside_data(flow, splits.test, workdir / "samples.png", seed)
    if flow.flow is None:  # no latent to walk in
        pictures.completions(flow, splits.test, workdir / "completions.png", seed)
    else:
        pictures.interpolations(flow, splits.test, workdir / "interpolations.png")
    pictures.extremes(bits, splits.test, workdir / "extremes.png")
