"""A run that was stopped anywhere ends with the bits of one that was not."""

import json
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.replicas import mirrored
from tfp_flows import FlowModel, flows
from train import (
    callbacks,
    checkpoints,
    fitting,
    job,
    pipelines,
    snapshots,
    stopping,
    strategies,
)
from train.configs import two_moons

STEPS = 5


def config(**fields):
    found = two_moons.get_config()
    tiny = {
        "epochs": 3,
        "jit_compile": "false",
        "flow.options.num_steps": 2,
        "flow.options.hidden_units": (8,),
        "data.num_train": 64 * STEPS - 10,  # the last batch is smaller
        "data.num_valid": 100,
        "data.num_test": 100,
        "data.batch_size": 64,
    }
    found.update_from_flattened_dict({**tiny, **fields})
    return found


class StopAt(checkpoints.Checkpoints):
    """Is asked to stop at the end of a step of the whole run."""

    at: int | None = None
    done = 0

    def on_train_batch_end(self, batch, logs=None):
        StopAt.done += 1
        if StopAt.done == self.at:
            self._stop.signal = signal.SIGTERM
        super().on_train_batch_end(batch, logs)


def train(workdir, settings, monkeypatch, stop_at=None):
    """Trains a flow; returns whether it was stopped."""
    monkeypatch.setattr(checkpoints, "Checkpoints", StopAt)
    monkeypatch.setattr(StopAt, "at", stop_at)
    monkeypatch.setattr(StopAt, "done", 0)
    workdir.mkdir(exist_ok=True)
    splits = pipelines.load(settings.data, workdir)
    chosen = job.models_of(settings, workdir)[0][1]
    is_mirrored = settings.strategy.name == "mirrored"
    strategy = mirrored() if is_mirrored else tf.distribute.get_strategy()
    there = strategies.Place(strategy, is_chief=True)
    try:
        fitting.train(chosen, splits, settings, workdir, there)
    except stopping.Stopped as stopped:
        assert stopped.code == 143
        return True
    return False


def rows(workdir):
    found = callbacks.read_metrics(workdir / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found]


def assert_same_bits(one, two):
    """Last checkpoints and logs of two work directories."""
    first, second = (
        snapshots.Store(place / "checkpoints").newest() for place in (one, two)
    )
    assert first.arrays.keys() == second.arrays.keys()
    for name, values in first.arrays.items():
        for a, b in zip(values, second.arrays[name], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
    assert rows(one) == rows(two)
    assert len(rows(one)) == first.state["epoch"]
    for name in checkpoints.Position._fields:
        assert first.state[name] == second.state[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "stops"),
    [
        # After the first step, the last of an epoch, one in the middle.
        ({"optimizer.ema": 0.5}, (1, 4, 2)),
        ({"strategy.name": "mirrored", "optimizer.ema": 0.5}, (3, 6)),
        ({"patience": 1, "optimizer.learning_rate": 0.3}, (7,)),
    ],
)
def test_stopping_inside_of_an_epoch_changes_no_bit(
    tmp_path, monkeypatch, fields, stops
):
    settings = config(**fields)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert not train(whole, settings, monkeypatch)
    for steps in stops:
        assert train(parts, settings, monkeypatch, steps)
    assert not train(parts, settings, monkeypatch)
    assert_same_bits(whole, parts)


@pytest.mark.slow
def test_going_back_to_an_older_checkpoint_changes_no_bit(tmp_path, monkeypatch):
    settings = config(**{"checkpoint.minutes": 1e-9, "optimizer.ema": 0.5})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert not train(whole, settings, monkeypatch)
    assert train(parts, settings, monkeypatch, STEPS + 2)
    *_, one, two = sorted((parts / "checkpoints").iterdir())
    (one / "optimizer.npz").unlink()
    (two / "best.npz").write_bytes(b"")
    assert not train(parts, settings, monkeypatch)
    assert len(list((parts / "checkpoints").glob("damaged-*"))) == 2
    assert_same_bits(whole, parts)


def made_model(use_ema=False, hidden=8):
    keras.utils.set_random_seed(0)
    model = FlowModel(flows.real_nvp((2,), 2, (hidden,)))
    model.compile(keras.optimizers.Adam(0.1, use_ema=use_ema, ema_momentum=0.9))
    return model


def kept(model, workdir, epochs=9, patience=3):
    log = callbacks.MetricsLog(workdir / "metrics.jsonl")
    length = checkpoints.Length(epochs, STEPS, patience)
    found = checkpoints.Checkpoints(model, workdir / "checkpoints", length, log)
    found.set_model(model)
    found.set_params({"steps": STEPS})
    return found


def values(model):
    return [v.numpy() for v in model.trainable_variables]


def differ(one, two):
    return any((a != b).any() for a, b in zip(one, two, strict=True))


def changed(model):
    for variable in model.trainable_variables:
        variable.assign(variable + 1.0)


@pytest.mark.parametrize("use_ema", [False, True])
def test_the_best_weights_are_the_averages_if_there_are_any(tmp_path, use_ema):
    model = made_model(use_ema)
    saved = kept(model, tmp_path)
    changed(model)  # `fit` ends with the averages in place
    trained = values(model)
    saved.on_epoch_end(0, {"val_loss": 1.0})
    assert not differ(values(model), trained), "saving must not disturb training"
    assert saved.restore_best()
    assert differ(values(model), trained) == use_ema
    again = kept(model, tmp_path)
    assert again.restore()
    assert not differ(values(model), trained)
    assert again.restore_best()
    assert differ(values(model), trained) == use_ema


def test_a_worse_epoch_leaves_the_best_weights_alone(tmp_path):
    model = made_model()
    saved = kept(model, tmp_path)
    saved.on_epoch_end(0, {"val_loss": 1.0})
    best = values(model)
    changed(model)
    saved.on_epoch_end(1, {"val_loss": 2.0})
    again = kept(model, tmp_path)
    assert again.restore()
    assert again.restore_best()
    assert not differ(values(model), best)


def test_patience_is_counted_across_restarts(tmp_path):
    model = made_model()
    first = kept(model, tmp_path, patience=2)
    for epoch, loss in enumerate([2.0, 1.0, 1.5]):
        first.on_epoch_end(epoch, {"val_loss": loss})
    assert not first.is_done
    again = kept(model, tmp_path, patience=2)
    assert again.restore()
    assert again.position == (3, 0, 1, 1.0)
    again.on_epoch_end(3, {"val_loss": 1.1})
    assert again.is_done
    assert model.stop_training


def test_a_directory_without_checkpoints_is_a_new_run(tmp_path):
    saved = kept(made_model(), tmp_path)
    assert not saved.restore()
    assert not saved.restore_best()
    assert saved.position == checkpoints.Position()


def test_a_log_without_its_checkpoints_is_no_new_run(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0, "loss": 1.0}\n')
    with pytest.raises(ValueError, match="its checkpoints are gone"):
        kept(made_model(), tmp_path).restore()


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    kept(made_model(hidden=8), tmp_path).on_epoch_end(0, {"val_loss": 1.0})
    wanted = r"of its weights the first that differs is .*Use another --workdir"
    with pytest.raises(ValueError, match=wanted):
        kept(made_model(hidden=9), tmp_path).restore()


def test_the_log_is_that_of_the_checkpoint(tmp_path):
    model, path = made_model(), tmp_path / "metrics.jsonl"
    saved = kept(model, tmp_path)
    saved.log.on_epoch_begin(0)
    saved.log.on_epoch_end(0, {"nll": 1.0, "val_loss": 1.0})
    saved.on_epoch_end(0, {"val_loss": 1.0})
    (row,) = map(json.loads, path.read_text().splitlines())
    assert row.pop("seconds") >= 0.0
    assert row == {"epoch": 0, "nll": 1.0, "val_loss": 1.0}
    path.write_text('{"epo')  # by another program
    kept(model, tmp_path).restore()
    assert rows(tmp_path) == [row]
