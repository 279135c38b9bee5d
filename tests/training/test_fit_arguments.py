"""Each argument of Keras' methods works, or is refused, as docs/fit.md says."""

import inspect
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.test_pages import messages
from tfp_flows import FlowModel, flows

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs/fit.md").read_text()
X = np.random.default_rng(0).normal(size=(23, 2)).astype(np.float32)
CONTEXT = X[:, :1] * 2


def rows_of(method):
    section = PAGE.split(f"## `{method}`")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.M))


@pytest.mark.parametrize("method", ["fit", "compile", "evaluate", "predict"])
def test_every_argument_of_keras_has_a_row(method):
    parameters = inspect.signature(getattr(keras.Model, method)).parameters.values()
    names = [p.name for p in parameters if p.kind != p.VAR_KEYWORD][1:]
    assert list(rows_of(method)) == names


def test_the_tests_and_messages_that_the_page_names_are_there():
    for name in re.findall(r"`(test_\w+\.py)`", PAGE):
        assert (ROOT / "tests/training" / name).is_file(), name
    raised = "\n".join(messages())
    refusals = re.findall(r"Refused: `(.+?)`", PAGE)
    assert refusals and all(text in raised for text in refusals)


class Note(keras.callbacks.Callback):
    """Counts what it is told of."""

    def __init__(self):
        super().__init__()
        self.calls, self.steps = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.steps.append(self.params["steps"])

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append("train")

    def on_test_batch_end(self, batch, logs=None):
        self.calls.append("test")

    def on_predict_batch_end(self, batch, logs=None):
        self.calls.append("predict")


@pytest.fixture(scope="module")
def model():
    made = FlowModel(flows.real_nvp((2,), 1, (4,), context_shape=(1,)))
    made.flow.adapt(X, CONTEXT)
    made.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    return made


def nll(model, part=slice(None)):
    return -model.flow.log_prob(X[part], context=CONTEXT[part]).numpy().mean()


def test_arguments_of_fit(model, capsys):
    note = Note()
    history = model.fit(
        *(CONTEXT, X),
        batch_size=3,
        epochs=4,
        verbose=2,
        callbacks=[note],
        validation_data=(CONTEXT[:12], X[:12]),
        shuffle=False,
        initial_epoch=1,
        steps_per_epoch=2,
        validation_steps=2,
        validation_batch_size=3,
        validation_freq=3,
    ).history
    fitted = ["train"] * 2
    assert note.calls == [1, *fitted, 2, *fitted, "test", "test", 3, *fitted]
    np.testing.assert_allclose(history["nll"][0], nll(model, slice(6)), rtol=1e-5)
    np.testing.assert_allclose(history["val_nll"], nll(model, slice(6)), rtol=1e-5)
    assert "Epoch 4/4" in capsys.readouterr().out


def test_shuffling_changes_which_rows_come_first(model):
    first = [
        model.fit(CONTEXT, X, 5, shuffle=order, steps_per_epoch=1, verbose=0)
        for order in (False, True)
    ]
    one, two = (history.history["nll"][0] for history in first)
    np.testing.assert_allclose(one, nll(model, slice(5)), rtol=1e-5)
    assert abs(one - two) > 1e-3


def test_arguments_of_evaluate_and_predict(model):
    note = Note()
    some = {"batch_size": 5, "verbose": 0, "steps": 2, "callbacks": [note]}
    scores = model.evaluate(CONTEXT, X, return_dict=True, **some)
    np.testing.assert_allclose(scores["nll"], nll(model, slice(10)), rtol=1e-5)
    found = model.predict((CONTEXT, X), **some)
    np.testing.assert_allclose(-found.mean(), nll(model, slice(10)), rtol=1e-5)
    assert note.calls == ["test"] * 2 + ["predict"] * 2


@pytest.mark.parametrize(
    "given",
    [{"loss_weights": [1.0]}, {"weighted_metrics": ["mae"]}, {"auto_scale_loss": True}],
)
def test_what_compile_cannot_use_is_refused(given, model):
    with pytest.raises(ValueError, match=f"compile got {next(iter(given))}.*own neg"):
        model.compile("adam", **given)


def trained(optimizer=None, **options):
    keras.utils.set_random_seed(0)
    made = FlowModel(flows.real_nvp((2,), 2, (4,)))
    made.compile(optimizer or keras.optimizers.SGD(1e-2), jit_compile=False, **options)
    made.fit(X, batch_size=8, shuffle=False, verbose=0)
    return made


def test_eager_steps_are_those_of_a_graph():
    one, two = trained(), trained(run_eagerly=True)
    for v, w in zip(one.trainable_variables, two.trainable_variables, strict=True):
        np.testing.assert_allclose(v, w, atol=1e-6)


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("bfloat16", 3e-2), ("float16", 4e-3)]
)
def test_networks_in_mixed_precision(policy, tolerance):
    exact = trained()
    keras.config.set_dtype_policy(f"mixed_{policy}")
    try:
        optimizer = keras.optimizers.SGD(1e-2)
        if policy == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, 1024.0)
        mixed = trained(optimizer)
    finally:
        keras.config.set_dtype_policy("float32")
    assert policy in {layer.compute_dtype for layer in mixed._flatten_layers()}
    differ = 0.0
    for v, w in zip(exact.trainable_variables, mixed.trainable_variables, strict=True):
        assert w.dtype == "float32"
        np.testing.assert_allclose(v, w, atol=tolerance)
        differ = max(differ, np.abs(v.numpy() - w.numpy()).max())
    assert differ > 0


@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_a_data_set_of_unknown_length_is_used_whole(steps_per_execution):
    made, note = trained(keras.optimizers.SGD(0.0)), Note()
    options = {"jit_compile": False, "steps_per_execution": steps_per_execution}
    made.compile(keras.optimizers.SGD(0.0), **options)
    unknown = tf.data.Dataset.from_tensor_slices(X).batch(5).filter(lambda x: True)
    fit = {"epochs": 2, "shuffle": False, "verbose": 0}
    with pytest.warns(UserWarning, match="ran out of data; interrupting"):
        history = made.fit(unknown, validation_data=unknown, **fit, callbacks=[note])
    assert int(made.optimizer.iterations) == 10 and note.steps == [None, None]
    wanted = -made.flow.log_prob(X).numpy().mean()
    for name in ("nll", "val_nll"):
        np.testing.assert_allclose(history.history[name], [wanted] * 2, rtol=1e-5)
    told = unknown.apply(tf.data.experimental.assert_cardinality(5))
    made.fit(told, callbacks=[note], **fit)  # a warning would be an error here
    assert note.steps[2:] == [5, 5]
