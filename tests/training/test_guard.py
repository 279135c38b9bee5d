"""A step that is not finite changes nothing, and says so at once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.replicas import mirrored
from tfp_flows import FlowModel, flows
from tfp_flows.training import NonFiniteLossError

BATCH = 32


def rows(count=320):
    return np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)


def outlier(row=300, value=1e12):
    """Rows of which one has a finite loss, but gradients whose squares overflow."""
    x = rows()
    x[row, 0] = value
    return x


@tf.custom_gradient
def cliff(x):
    """tanh, with a gradient that is infinite far out."""
    y = tf.tanh(x)
    return y, lambda dy: tf.where(tf.abs(x) > 1e3, np.inf, dy * (1 - y**2))


def cliffs():
    return keras.Sequential([keras.layers.Dense(8, activation=cliff)])


def built(optimizer=None, strategy=None, network=None, compile_with=None, **kwargs):
    keras.utils.set_random_seed(0)
    with (strategy or tf.distribute.get_strategy()).scope():
        size = {"network": network} if network else {"hidden_units": (8,)}
        flow = flows.real_nvp((2,), 2, **size)
        model = FlowModel(flow, **kwargs)
        # XLA where a test asks for it.
        options = {"jit_compile": False, **(compile_with or {})}
        model.compile(optimizer or "adam", **options)
    model.flow.adapt(rows(200))
    return model


def state(model):
    """All that a step may change, as NumPy arrays."""
    variables = [*model.variables, *model.optimizer.variables]
    return [v.numpy() for v in variables]


def assert_equal_bits(one, two):
    for v, w in zip(one, two, strict=True):
        np.testing.assert_array_equal(v, w)


def fit(model, x, **kwargs):
    return model.fit(x, batch_size=BATCH, shuffle=False, verbose=0, **kwargs)


class Halt(keras.callbacks.Callback):
    """Breaks off before averages take the weights' place at the end of `fit`."""

    def __init__(self, last):
        super().__init__()
        self._last = last

    def on_train_batch_end(self, batch, logs=None):
        if batch >= self._last:  # the end of an execution of several steps
            raise InterruptedError


def assert_stops_as_if_only(good, model, other, x, match, rows, **kwargs):
    """Stops in x, in the state that `other` has after the good steps alone."""
    with pytest.raises(NonFiniteLossError, match=match) as caught:
        fit(model, x, epochs=3, **kwargs)
    assert caught.value.rows == rows
    with pytest.raises(InterruptedError):
        fit(other, x[:good], callbacks=[Halt(good // BATCH - 1)])
    assert_equal_bits(state(model), state(other))
    return caught.value


@pytest.mark.parametrize(
    ("reason", "steps_per_execution", "jit_compile"),
    [
        ("gradient", 1, False),
        ("update", 4, True),
    ],
)
def test_a_bad_row_stops_training_at_its_step(reason, steps_per_execution, jit_compile):
    options = {"jit_compile": jit_compile, "steps_per_execution": steps_per_execution}
    network, value = {"gradient": (cliffs, 1e5), "update": (None, 1e12)}[reason]
    models = (built(network=network, compile_with=options) for _ in range(2))
    error = assert_stops_as_if_only(
        288, *models, outlier(value=value), "not finite at step 9 of epoch 0", (300,)
    )
    assert error.reason == reason


@pytest.mark.parametrize(("value", "jit_compile"), [(np.nan, True), (1e12, False)])
def test_a_bad_row_on_one_replica_leaves_both_as_they_were(jit_compile, value):
    options = {"jit_compile": jit_compile}
    model, other = (built(None, mirrored(), compile_with=options) for _ in range(2))
    x = outlier(value=value)
    assert_stops_as_if_only(288, model, other, x, "at step 9", (300,))
    for variable in (*model.variables, *model.optimizer.variables):
        values = getattr(variable.value, "values", ())
        for copy in values:
            np.testing.assert_array_equal(copy.numpy(), values[0].numpy())


OPTIMIZERS = {
    "averaged": lambda: keras.optimizers.AdamW(
        1e-3, use_ema=True, ema_momentum=0.9, clipnorm=1.0, weight_decay=0.1
    ),
    "clipped values": lambda: keras.optimizers.SGD(0.1, momentum=0.9, clipvalue=1.0),
    "accumulated squares": lambda: keras.optimizers.Adagrad(1e-2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_slots_and_averages_of_every_optimizer_stay(name):
    model, other = (built(OPTIMIZERS[name](), network=cliffs) for _ in range(2))
    x = outlier(value=1e5)
    assert_stops_as_if_only(288, model, other, x, "gradient is not finite", (300,))


UPDATES = {
    "rate": lambda: keras.optimizers.SGD(1e39),
    "zero over zero": lambda: keras.optimizers.Adam(1e-3, epsilon=0.0),
}


@pytest.mark.parametrize(
    ("name", "steps_per_execution"), [("rate", 4), ("zero over zero", 1)]
)
def test_an_update_that_is_not_finite_is_undone(name, steps_per_execution):
    options = {"steps_per_execution": steps_per_execution}
    model = built(UPDATES[name](), compile_with=options)
    before = state(model)
    with pytest.raises(NonFiniteLossError, match="after the update.* step 0 of"):
        fit(model, rows(), epochs=3)
    assert_equal_bits(state(model), before)


def test_running_averages_of_layers_stay_and_none_is_left_infinite():
    def network():
        return keras.Sequential(
            [keras.layers.Dense(8, "tanh"), keras.layers.BatchNormalization()]
        )

    model, other = (built(network=network) for _ in range(2))
    assert any("moving" in v.path for v in model.variables)
    x = outlier(value=1e25)  # the variance of its batch overflows
    with pytest.raises(NonFiniteLossError, match="at step 9"):
        fit(model, x)
    fit(other, x[:288])
    assert_equal_bits(state(model), state(other))


def test_a_scaled_gradient_that_overflows_is_the_loss_scalers_own_business():
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(1e-3), initial_scale=2.0**127
    )
    model = built(optimizer)
    history = fit(model, 30 * rows()).history
    assert np.isfinite(history["loss"]).all()
    assert float(optimizer.dynamic_scale) < 2.0**127
    x = rows()
    x[300] = np.nan
    with pytest.raises(NonFiniteLossError, match="loss is not finite at step 9"):
        fit(model, x)


def test_skipping_goes_on_and_is_counted_and_keeps_the_metrics():
    model, other = (built(on_nonfinite="skip") for _ in range(2))
    x = outlier()
    x[40] = np.nan  # in the second batch
    history = fit(model, x, epochs=2).history
    assert history["skipped"] == [2, 4]
    assert model.skipped_steps == 4
    assert np.isfinite(history["loss"]).all()
    good = np.delete(x, np.r_[32:64, 288:320], axis=0)
    expected = fit(other, good, epochs=2).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-6)
    assert_equal_bits(state(model), state(other))


def test_too_many_skips_in_a_row_stop_training():
    model = built(on_nonfinite="skip", max_skips=2)
    x = rows()
    x[64:128] = np.nan
    fit(model, x)
    x[128] = np.nan
    with pytest.raises(NonFiniteLossError, match="last of 3 steps in a row"):
        fit(model, x)
    fit(model, rows())  # a new fit begins anew


@pytest.mark.parametrize("options", [{"on_nonfinite": "ignore"}, {"max_skips": 0}])
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ValueError, match="on_nonfinite"):
        FlowModel(flows.real_nvp((2,), 1, (4,)), **options)


def test_the_choice_is_saved_with_the_model(tmp_path):
    model = built(on_nonfinite="skip", max_skips=3)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert (loaded.on_nonfinite, loaded.max_skips) == ("skip", 3)


def test_validation_data_that_are_not_finite_are_named():
    model, held_out = built(), rows(64)
    held_out[50, 1] = np.inf
    with pytest.raises(NonFiniteLossError, match="val_loss is .* row 50") as caught:
        fit(model, rows(), validation_data=held_out)
    assert caught.value.reason == "val_loss"
    assert caught.value.rows == (50,)
    assert caught.value.bijector is not None
    with pytest.warns(UserWarning, match="no finite log_prob"):
        assert not np.isfinite(model.evaluate(held_out, verbose=0)).all()


def test_rows_that_are_no_integers_of_the_model_are_named():
    x = np.random.default_rng(0).integers(0, 16, (64, 2)).astype(np.float64)
    x[40] = [3.5, 16.0]
    model = FlowModel(flows.real_nvp((2,), 2, (8,), num_values=16))
    model.compile("adam", jit_compile=False)
    model.flow.adapt(x[:32])
    with pytest.raises(NonFiniteLossError, match=r"0 \.\. 15.*3\.5, 16\.") as it:
        model.fit(x, verbose=0)
    assert it.value.rows == (40,)


def test_one_batch_by_hand_raises_too():
    model = built()
    before = state(model)
    with pytest.raises(NonFiniteLossError, match="after the update"):
        model.train_on_batch(outlier()[290:])
    assert_equal_bits(state(model), before)
    assert np.isfinite(model.train_on_batch(rows())).all()


class InPython(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that XLA cannot compile."""

    def __call__(self, step):
        return tf.py_function(lambda s: 1e-2 / (1.0 + float(s)), [step], tf.float32)

    def get_config(self):
        return {}


def clipped_in_python(weight):
    """A constraint that XLA cannot compile."""
    clipped = tf.py_function(lambda w: tf.minimum(w, 0.1), [weight.value], tf.float32)
    return tf.ensure_shape(clipped, weight.shape)


class DoublingInPython(keras.optimizers.SGD):
    """An optimizer that XLA cannot compile."""

    def update_step(self, gradient, variable, learning_rate):
        doubled = tf.py_function(lambda g: 2.0 * g, [gradient], tf.float32)
        super().update_step(
            tf.ensure_shape(doubled, variable.shape), variable, learning_rate
        )


@pytest.mark.parametrize("what", ["schedule", "optimizer", "scaled", "constraint"])
def test_what_only_python_can_do_trains_where_xla_is_a_choice(what):
    optimizers = {
        "schedule": lambda: keras.optimizers.Adam(InPython()),
        "optimizer": lambda: DoublingInPython(1e-2),
        "scaled": lambda: keras.optimizers.LossScaleOptimizer(DoublingInPython(1e-2)),
        "constraint": lambda: keras.optimizers.SGD(1e-2),
    }

    def network():
        constraint = clipped_in_python if what == "constraint" else None
        return keras.Sequential([keras.layers.Dense(8, kernel_constraint=constraint)])

    def fitted(jit_compile):
        options = {"jit_compile": jit_compile}
        model = built(optimizers[what](), network=network, compile_with=options)
        model.fit(rows(64), batch_size=32, shuffle=False, verbose=0)
        return model.get_weights()

    for v, w in zip(fitted("auto"), fitted(False), strict=True):
        np.testing.assert_allclose(v, w, atol=1e-5)
