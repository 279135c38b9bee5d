"""Training of one flow: built, restored or adapted, and fitted."""

import pathlib
import sys
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfp_flows import FlowModel, flows
from tfp_flows.distributions import Model
from tfp_flows.training import adaptation, sampling
from train import callbacks, checkpoints, files, parts, stopping, strategies


def train(
    chosen: Any,
    splits: Any,
    config: Any,
    workdir: pathlib.Path,
    there: strategies.Place,
    stop: stopping.Stop | None = None,
    say: Callable[[str], Any] = print,
) -> tuple[Model, list[dict]]:
    """Builds and trains a flow, from where the last checkpoint in `workdir` left off.

    Args:
      chosen: recipe's `name`, its `options`, and `epochs` at most.
      splits: of the data.
      config: of the job.
      workdir: for checkpoints and logs.
      there: what it runs on.
      stop: whether to save and end after a step.
      say: prints a line.

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
    if not model.flow.is_adapted:
        _adapt(model, splits.train)
    with stop.saved_first():
        while not saved.is_done:
            found = _callbacks(config, workdir, there, saved)
            if there.is_chief:
                found.append(parts.Remaining(chosen.epochs, say))
            _fit(model, splits, config, saved, there, found)
    saved.restore_best()
    if there.is_chief:
        files.write_whole(workdir / "model.weights.h5", model.save_weights)
        if model.flow.recipe is not None:  # None: an option has no JSON form
            files.write_whole(workdir / "model.keras", model.save)
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


def _adapt(model, part):
    """Adapts the flow to a sample: `fit` would read a whole epoch to draw one."""
    (x, context), places = part.sample(model.adapt_examples, model.seed)
    given = None if context is None else tf.convert_to_tensor(context)
    sample = sampling.Sample(tf.convert_to_tensor(x), given, places)
    adaptation.adapt(model, sample)


def _fit(model, splits, config, saved, there, found):
    """Fits the rest of an epoch that was begun, or all epochs that are left."""
    size, seed, flip = config.data.batch_size, config.seed, config.data.flip
    epoch, step, *_ = saved.position
    epochs, steps, _ = saved.length
    first, last = epoch * steps + step, epochs * steps
    model.fit(
        there.dealt(lambda s: splits.train.steps(size, seed, first, last, flip, s)),
        steps_per_epoch=steps - step,
        validation_data=there.dealt(lambda share: splits.valid.batches(size, share)),
        validation_steps=splits.valid.steps_per_epoch(size),
        initial_epoch=epoch,
        epochs=epochs,
        verbose=_verbosity(there.is_chief),
        shuffle=False,  # the data set shuffles itself
        callbacks=found,
    )


def _build(name, options, splits):
    if name == "tabular" and splits.columns is not None:
        known = splits.columns.names[: (splits.context_shape or (0,))[0]]
        return flows.tabular(splits.columns, condition_on=known, **options.to_dict())
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
