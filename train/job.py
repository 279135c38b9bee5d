"""The job: load, build, train, evaluate, export."""

import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import ml_collections
import numpy as np

from tfp_flows.distributions import Model
from train import (
    audio,
    evaluation,
    exports,
    fitting,
    lock,
    page,
    parts,
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
        `report.html`, `config.json`, `model.weights.h5`, `model.keras`, `export/1`.
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
    models = models_of(config, workdir)
    say = say if there.is_chief else lambda line: None
    story = parts.Parts(_titles(config, models), say)
    with story.next():
        splits = _load(config, workdir, there)
    _check_table(config, splits)
    if there.is_chief:
        if splits.columns is not None:
            say(f"{config.data.path} was taken for\n{splits.columns.summary()}")
        settings.save(config, changes, workdir)
    trained = []
    for label, model, place in models:
        with story.next():
            found = fitting.train(model, splits, config, place, there, stop, say)
            trained.append((label, *found))
    saved = {}
    if there.is_chief:
        saved = _report(trained, splits, config, workdir, say, story, changes)
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


def _titles(config, models):
    """Names the parts of the job."""
    trained = [
        f"{label}, {chosen.epochs} epochs at most" for label, chosen, _ in models
    ]
    last = ["export"] if config.export else []
    return ["data", *trained, "baselines and scores", "pictures and report", *last]


def _report(trained, splits, config, workdir, say, story, changes):
    """Scores all models, writes pictures and report, exports the first."""
    _, flow, history = trained[0]
    with story.next():
        scores = [
            evaluation.score(label, model, splits, config, rows)
            for label, model, rows in trained
        ]
        baselines = evaluation.baseline_scores(splits, config)
        scores = [*baselines, *scores[1:], scores[0]]
    with story.next():
        note = report.how_measured(scores, splits, config)
        saved = report.save(scores, workdir, say, note, len(baselines) - 1, changes)
        draw(flow, splits, scores[-1].bits, history, workdir, config.seed)
        diagnosis = page.diagnose(flow, splits, config, say)
        report.add(saved, "diagnosis", diagnosis.plain(), diagnosis.text(), workdir)
        page.save(scores, saved["note"], diagnosis, workdir)
    if config.export:
        with story.next():
            path = exports.publish(flow, splits, saved, config, workdir)
        say(f"Exported to {path}. Check it: python -m tfp_flows.serving.check {path}")
    say(f"Open {workdir / 'report.html'}")
    return saved


def _check_table(config, splits):
    may_miss = config.flow.options.get("missing", False)
    if config.export and (config.flow.name == "tabular" or may_miss):
        raise ValueError(
            f"{config.flow.name} takes missing values and is not served. Set "
            "config.export to False."
        )
    if config.flow.name == "tabular" and splits.columns is None:
        raise ValueError(
            f"flows.tabular needs to know what columns hold, and {config.data.name!r} "
            "does not say it. Set config.data.name to table."
        )


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
    if 0 != config.diagnosed < page.LEAST:
        raise ValueError(
            f"config.diagnosed must be {page.LEAST} test events or more, or 0 for no "
            f"diagnosis, got {config.diagnosed}."
        )


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
        pictures.vectors(flow, splits.test, workdir / "samples.png", seed)
        return
    pictures.samples_beside_data(flow, splits.test, workdir / "samples.png", seed)
    if flow.flow is None:  # no latent to walk in
        pictures.completions(flow, splits.test, workdir / "completions.png", seed)
    else:
        pictures.interpolations(flow, splits.test, workdir / "interpolations.png")
    pictures.extremes(bits, splits.test, workdir / "extremes.png")
