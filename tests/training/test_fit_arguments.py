"""Each argument of Keras' methods works, or is refused, as docs/fit.md says."""

import inspect
import pathlib
import re

import keras
import numpy as np
import pandas as pd
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


class OneBatch(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, i):
        return (np.zeros((8, 2), "float32"),)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"epochs": -1}, "epochs must be an integer from 0 on, got -1"),
        ({"epochs": 1.5}, "epochs must be an integer"),
        ({"initial_epoch": -2}, "initial_epoch must be an integer from 0 on"),
        ({"batch_size": True}, "batch_size must be a positive integer, got True"),
        ({"validation_batch_size": 0}, "validation_batch_size must be a positive"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be a positive integer, got 0"),
        ({"validation_steps": 0, "validation_data": 0}, "validation_steps must be a p"),
        ({"validation_split": 1.5}, "validation_split must be .* without 1, got 1.5"),
        ({"validation_split": -0.2}, "validation_split must be .* got -0.2"),
        ({"validation_split": "half"}, "validation_split must be .* got 'half'"),
        ({"validation_freq": 0}, "validation_freq must be a positive integer, got 0"),
        ({"callbacks": ["early"]}, "callbacks must be Keras callbacks, got 'early'"),
        ({"sample_weight": ["a"] * 8}, "sample_weight holds text"),
        ({"sample_weight": np.ones(8) * 1j}, "sample_weight holds complex numbers"),
        ({"sample_weight": {0: 1.0}}, "sample_weight came as a dict"),
    ],
)
def test_what_no_argument_can_be_is_refused_before_any_work(options, match):
    model = FlowModel(flows.real_nvp((2,), 1, (4,)))
    model.compile("adam", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    with pytest.raises(ValueError, match=match):
        model.fit(x, verbose=0, **options)
    assert not model.flow.is_adapted


@pytest.mark.parametrize("kind", ["data set", "Keras data set", "generator"])
def test_a_share_is_cut_from_arrays_alone(kind):
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    data = {
        "data set": lambda: tf.data.Dataset.from_tensor_slices(x).batch(4),
        "Keras data set": OneBatch,
        "generator": lambda: iter([(x,)]),
    }[kind]()
    model = FlowModel(flows.real_nvp((2,), 1, (4,)))
    model.compile("adam", jit_compile=False)
    with pytest.raises(ValueError, match="validation_split cuts arrays, got it beside"):
        model.fit(data, validation_split=0.5, verbose=0)


def test_other_methods_refuse_by_name_too():
    model = FlowModel(flows.real_nvp((2,), 1, (4,)))
    with pytest.raises(ValueError, match="needs an optimizer, got None"):
        model.compile(None)
    with pytest.raises(ValueError, match="steps_per_execution must be a positive"):
        model.compile("adam", steps_per_execution=0)
    model.compile("adam", jit_compile=False)
    x, flat = np.zeros((8, 2), "float32"), np.zeros(8, "float32")
    for ask in (model.evaluate, model.predict):
        with pytest.raises(ValueError, match="steps must be a positive integer, got 0"):
            ask(x, steps=0, verbose=0)
        with pytest.raises(ValueError, match=r"of shape \[B, 2\], got \(8, 1\)"):
            ask(flat, verbose=0)
    with pytest.raises(ValueError, match=r"of shape \[B, 2\], got \(8, 1\)"):
        model.fit(flat, verbose=0)


def test_data_frames_of_nullable_and_mixed_numbers_are_arrays():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "real": pd.array(rng.normal(size=20), "Float64"),
            "whole": pd.array(range(20), "Int64"),
            "flag": rng.random(20) < 0.5,
        }
    )
    model = FlowModel(flows.gaussian((3,), missing=True))
    model.compile("adam", jit_compile=False)
    model.fit(frame, verbose=0)
    x = frame.to_numpy(float)
    np.testing.assert_allclose(
        model.predict(frame, verbose=0), model.flow.log_prob(x), rtol=1e-5
    )
    frame.loc[3, "real"] = pd.NA
    found = model.predict(frame, verbose=0)
    x[3, 0] = np.nan
    np.testing.assert_allclose(found, model.flow.log_prob(x), rtol=1e-5)
    plain = FlowModel(flows.real_nvp((3,), 1, (4,)))
    plain.compile("adam", jit_compile=False)
    with pytest.raises(ValueError, match="NaN or infinite values: row 3 of"):
        plain.fit(frame, verbose=0)
    weights = pd.Series(pd.array([0, 1] * 10, "Int64"))
    weighted = model.evaluate(frame, sample_weight=weights, verbose=0)[0]
    np.testing.assert_allclose(weighted, -found[1::2].mean(), rtol=1e-5)
