"""What a checkpoint holds, and which weights are the best ones."""

import keras
import numpy as np
import pytest

from tfp_flows import FlowModel, flows
from train import callbacks


def trained_model(use_ema, epochs=3):
    keras.utils.set_random_seed(0)
    model = FlowModel(flows.real_nvp((2,), 2, (8,)))
    model.compile(keras.optimizers.Adam(0.1, use_ema=use_ema, ema_momentum=0.9))
    x = np.random.default_rng(0).normal(3.0, 1.0, (64, 2)).astype(np.float32)
    model.fit(x, epochs=epochs, verbose=0)
    return model


def values(model):
    return [v.numpy() for v in model.trainable_variables]


def differ(one, two):
    return any((a != b).any() for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("use_ema", [False, True])
def test_the_best_weights_are_the_averages_if_there_are_any(tmp_path, use_ema):
    model = trained_model(use_ema)
    checkpoints = callbacks.Checkpoints(model, tmp_path, patience=3)
    for variable in model.trainable_variables:  # `fit` ends with the averages in place
        variable.assign(variable + 1.0)
    trained = values(model)
    checkpoints.on_epoch_end(0, {"val_loss": 1.0})
    assert not differ(values(model), trained), "saving must not disturb training"
    assert checkpoints.restore_best()
    assert differ(values(model), trained) == use_ema
    assert checkpoints.restore_last()
    assert not differ(values(model), trained)


def test_a_worse_epoch_leaves_the_best_weights_alone(tmp_path):
    model = trained_model(use_ema=False)
    checkpoints = callbacks.Checkpoints(model, tmp_path, patience=3)
    checkpoints.on_epoch_end(0, {"val_loss": 1.0})
    best = values(model)
    for variable in model.trainable_variables:
        variable.assign(variable + 1.0)
    checkpoints.on_epoch_end(1, {"val_loss": 2.0})
    assert checkpoints.restore_best()
    assert not differ(values(model), best)


def test_patience_is_counted_across_restarts(tmp_path):
    model = trained_model(use_ema=False)
    first = callbacks.Checkpoints(model, tmp_path, patience=2)
    first.set_model(model)
    for epoch, loss in enumerate([2.0, 1.0, 1.5]):
        first.on_epoch_end(epoch, {"val_loss": loss})
    assert not first.is_finished
    again = callbacks.Checkpoints(model, tmp_path, patience=2)
    again.set_model(model)
    assert again.restore_last()
    assert again.next_epoch == 3
    again.on_epoch_end(3, {"val_loss": 1.1})
    assert again.is_finished
    assert model.stop_training


def test_a_directory_without_checkpoints_is_a_new_run(tmp_path):
    model = trained_model(use_ema=False, epochs=1)
    checkpoints = callbacks.Checkpoints(model, tmp_path, patience=2)
    assert not checkpoints.restore_last()
    assert not checkpoints.restore_best()
    assert checkpoints.next_epoch == 0
