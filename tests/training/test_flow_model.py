"""FlowModel: Keras' fit, evaluate, predict, callbacks and files, on one device."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows.networks import MLP
from tfp_flows.training import NonFiniteLossError


def rows(count=64, dims=4, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, dims)) * 2 + 1).astype(np.float32)


def model(dims=4, learning_rate=1e-2, compile_with=None, **kwargs):
    flow = flows.real_nvp((dims,), 2, (8,), activation="tanh", **kwargs)
    made = FlowModel(flow)
    # XLA where a test asks for it.
    options = {"jit_compile": False, **(compile_with or {})}
    made.compile(keras.optimizers.Adam(learning_rate), **options)
    return made


@pytest.mark.parametrize("jit_compile", [True, False, "auto"])
def test_fit_lowers_the_loss_and_logs_what_it_promises(jit_compile):
    made = model(compile_with={"jit_compile": jit_compile})
    history = made.fit(
        rows(), validation_data=rows(seed=1), epochs=5, batch_size=16, verbose=0
    ).history
    assert set(history) == {
        f"{prefix}{name}"
        for prefix in ("", "val_")
        for name in ("loss", "nll", "bits_per_dim")
    }
    assert history["nll"][-1] < history["nll"][0]
    np.testing.assert_allclose(
        history["bits_per_dim"], np.array(history["nll"]) / (4 * np.log(2)), rtol=1e-6
    )


def test_both_sides_own_the_same_weights():
    made = model()
    laws.assert_both_sides_see_the_weights(made.flow, made.flow.keras_layers, 12)
    assert {id(v.value) for v in made.trainable_variables} == {
        id(v) for v in made.flow.trainable_variables
    }


def test_evaluate_and_predict_are_the_flows_log_prob_over_uneven_batches():
    made, x = model(), rows(37)
    made.flow.adapt(x)
    log_prob = made.flow.log_prob(x).numpy()
    scores = made.evaluate(x, batch_size=16, verbose=0, return_dict=True)
    np.testing.assert_allclose(scores["nll"], -log_prob.mean(), rtol=1e-6)
    np.testing.assert_allclose(
        made.predict(x, batch_size=16, verbose=0), log_prob, rtol=1e-5
    )


def test_the_first_fit_adapts_and_no_other_does():
    made = model(learning_rate=0.0)
    made.fit(rows(), epochs=1, batch_size=64, verbose=0)
    assert made.flow.is_adapted
    before = made.flow.log_prob(rows()).numpy()
    made.fit(rows(seed=5) * 10, epochs=1, verbose=0)
    np.testing.assert_allclose(made.flow.log_prob(rows()), before, rtol=1e-6)


def test_integers_are_trained_and_evaluated_with_seeded_noise():
    x = np.random.default_rng(0).integers(0, 5, (64, 2))
    flow = flows.real_nvp((2,), 2, (8,), num_values=5)
    made = FlowModel(flow)
    made.compile("adam")
    made.fit(x, epochs=2, verbose=0)
    one, two = (made.evaluate(x, verbose=0, return_dict=True) for _ in range(2))
    assert one == two
    assert one["nll"] > 0


def test_a_conditional_flow_fits_pairs_and_refuses_x_alone():
    x, context = rows(), rows(dims=1)
    made = model(context_shape=(1,))
    pairs = tf.data.Dataset.from_tensor_slices((context, x)).batch(16)
    history = made.fit(pairs, epochs=3, verbose=0, shuffle=False).history
    assert history["nll"][-1] < history["nll"][0]
    made.fit(context, x, epochs=1, verbose=0)
    with pytest.raises(ValueError, match="conditional"):
        made.fit(x, epochs=1, verbose=0)
    with pytest.raises(ValueError, match="takes no context"):
        model().fit(context, x, epochs=1, verbose=0)


@pytest.mark.parametrize("arguments", [{"loss": "mse"}, {"metrics": ["mae"]}])
def test_a_loss_or_metrics_are_refused(arguments):
    with pytest.raises(ValueError, match="own negative log-likelihood"):
        model(compile_with=arguments)


def test_a_wrong_shape_and_no_data_are_refused():
    with pytest.raises(ValueError, match="wants batches of shape"):
        model().fit(rows(dims=3), verbose=0)
    with pytest.raises(ValueError, match="empty"):
        model().fit(tf.data.Dataset.from_tensor_slices(rows()[:0]).batch(4), verbose=0)


def test_penalties_of_layers_are_in_the_loss_and_not_in_the_nll():
    network = lambda: keras.Sequential(  # noqa: E731
        [keras.layers.Dense(8, kernel_regularizer=keras.regularizers.L2(0.1))]
    )
    made = FlowModel(flows.real_nvp((4,), 2, network=network))
    made.compile("sgd", jit_compile=False)
    made.flow.adapt(rows())
    scores = made.evaluate(rows(), verbose=0, return_dict=True)
    penalty = sum(float(p) for p in made.losses)
    assert penalty > 0.1
    np.testing.assert_allclose(scores["loss"], scores["nll"] + penalty, rtol=1e-5)
    for _ in range(5):  # the penalty alone pulls the kernels of untouched units down
        made.fit(rows(), epochs=5, verbose=0)
    assert sum(float(p) for p in made.losses) < penalty


def test_dropout_and_batch_norm_are_in_training_mode_while_fitting_only():
    network = lambda: keras.Sequential(  # noqa: E731
        [
            keras.layers.Dense(8, "tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
        ]
    )
    made = FlowModel(flows.real_nvp((4,), 2, network=network))
    made.compile("adam")
    moving = [v for v in made.non_trainable_variables if "moving" in v.path]
    assert len(moving) == 4
    before = [v.numpy() for v in moving]
    made.evaluate(rows(), verbose=0)
    for v, value in zip(moving, before, strict=True):
        np.testing.assert_array_equal(v, value)
    made.fit(rows(), epochs=1, verbose=0)
    assert all((v.numpy() != w).any() for v, w in zip(moving, before, strict=True))
    one, two = (made.evaluate(rows(), verbose=0) for _ in range(2))
    assert one == two


def test_steps_per_execution_gives_the_same_weights():
    results = []
    for steps in (1, 4):
        keras.utils.set_random_seed(0)
        made = model(compile_with={"steps_per_execution": steps})
        made.fit(rows(), epochs=2, batch_size=8, shuffle=False, verbose=0)
        results.append([v.numpy() for v in made.trainable_variables])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_callbacks_of_keras_work(tmp_path):
    made = model(learning_rate=0.0)
    history = made.fit(
        rows(),
        validation_data=rows(seed=1),
        epochs=9,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping(patience=2),
            keras.callbacks.ModelCheckpoint(
                tmp_path / "best.weights.h5",
                save_weights_only=True,
                save_best_only=True,
            ),
            keras.callbacks.ModelCheckpoint(tmp_path / "last.keras"),
            keras.callbacks.TensorBoard(tmp_path / "logs"),
        ],
    )
    assert len(history.epoch) < 9
    assert (tmp_path / "best.weights.h5").is_file()
    assert list((tmp_path / "logs").rglob("events.*"))
    loaded = keras.models.load_model(tmp_path / "last.keras")
    np.testing.assert_allclose(
        loaded.flow.log_prob(rows()), made.flow.log_prob(rows()), rtol=1e-6
    )


def test_averaged_weights_and_clipping_through_the_optimizer():
    flow = flows.real_nvp((4,), 2, (8,))
    made = FlowModel(flow)
    made.compile(
        keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9, clipnorm=1e-9),
        jit_compile=False,
    )
    made.fit(rows(), epochs=1, verbose=0)
    before = [v.numpy() for v in made.trainable_variables]
    made.compile(keras.optimizers.SGD(1.0, clipnorm=1e-4), jit_compile=False)
    made.fit(rows(), epochs=1, batch_size=64, verbose=0)
    for v, w in zip(made.trainable_variables, before, strict=True):
        assert np.linalg.norm(v.numpy() - w) < 1.1e-4  # one clipped step


def test_weights_file_round_trip(tmp_path):
    made = model()
    made.fit(rows(), epochs=1, verbose=0)
    made.save_weights(tmp_path / "m.weights.h5")
    other = model()
    other.load_weights(tmp_path / "m.weights.h5")
    assert other.flow.is_adapted
    np.testing.assert_allclose(
        other.flow.log_prob(rows()), made.flow.log_prob(rows()), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("make", "differs"),
    [
        (lambda: flows.real_nvp((4,), 1, (8,)), "holds 28 arrays .* has 16"),
        (lambda: flows.real_nvp((4,), 2, (9,)), r"\[\[2, 8\]\] in the file"),
        (lambda: flows.maf((4,), 2, (8,), normalization=None), "of a 'real_nvp'"),
    ],
    ids=["fewer steps", "wider", "another recipe"],
)
def test_weights_of_another_architecture_are_refused(tmp_path, make, differs):
    path = tmp_path / "model.weights.h5"
    model().save_weights(path)
    other = FlowModel(make())
    with pytest.raises(ValueError, match=differs):
        other.load_weights(path)


def test_weights_fit_whatever_does_not_change_them(tmp_path):
    path, made = tmp_path / "model.weights.h5", model()
    laws.randomize(made.flow)
    made.save_weights(path)
    other = model(memory="constant", dropout=0.1)
    other.load_weights(path)
    np.testing.assert_array_equal(
        other.flow.log_prob(rows()), made.flow.log_prob(rows())
    )


def test_keras_file_continues_training_as_if_not_stopped(tmp_path):
    whole, part = model(), model()
    for v, w in zip(part.variables, whole.variables, strict=True):
        v.assign(w)
    whole.fit(rows(), epochs=4, shuffle=False, verbose=0)
    part.fit(rows(), epochs=2, shuffle=False, verbose=0)
    part.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    loaded.fit(rows(), epochs=2, shuffle=False, verbose=0)
    for v, w in zip(loaded.trainable_variables, whole.trainable_variables, strict=True):
        np.testing.assert_allclose(v, w, atol=1e-5)


def test_a_flow_without_recipe_has_no_keras_file(tmp_path):
    made = FlowModel(flows.real_nvp((4,), 2, network=lambda: MLP((8,))))
    with pytest.raises(ValueError, match="save_weights"):
        made.save(tmp_path / "m.keras")


@pytest.mark.parametrize("jit_compile", [True, False])
def test_a_nan_stops_training_names_the_bijector_and_keeps_the_weights(jit_compile):
    x = rows()
    x[40] = np.nan
    made = model(compile_with={"jit_compile": jit_compile})
    made.flow.adapt(rows())
    with pytest.raises(NonFiniteLossError, match="'standardize'") as caught:
        made.fit(x, epochs=3, batch_size=64, verbose=0)
    assert caught.value.bijector == "standardize"
    assert "example 40 of batch 0" in str(caught.value)
    assert np.isfinite(made.flow.log_prob(rows())).all()


def test_a_weight_that_is_not_finite_is_blamed_on_its_bijector():
    made = model()
    made.flow.adapt(rows())
    part = made.flow.bijector.bijectors[2]
    part.trainable_variables[0].assign(
        tf.fill(part.trainable_variables[0].shape, np.nan)
    )
    with pytest.raises(NonFiniteLossError, match=part.name):
        made.fit(rows(), epochs=1, verbose=0)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_a_step_is_traced_once(jit_compile):
    calls = []

    class Counting(MLP):
        def call(self, x, context=None):
            calls.append(1)
            return super().call(x, context)

    flow = flows.real_nvp((4,), 2, network=lambda: Counting((8,)))
    made = FlowModel(flow)
    made.compile("adam", jit_compile=jit_compile)
    made.fit(rows(), validation_data=rows(seed=1), epochs=1, batch_size=16, verbose=0)
    assert calls
    calls.clear()
    made.fit(rows(), validation_data=rows(seed=1), epochs=2, batch_size=16, verbose=0)
    assert not calls


@pytest.mark.parametrize(("shape", "compiled"), [((4,), True), ((4, 4, 1), False)])
def test_vectors_are_compiled_and_images_are_not(shape, compiled, monkeypatch):
    wanted = []
    function = tf.function

    def watched(*args, **kwargs):  # Keras compiles some of its own
        if args and args[0].__module__.startswith("tfp_flows.training"):
            wanted.append(kwargs.get("jit_compile"))
        return function(*args, **kwargs)

    monkeypatch.setattr(tf, "function", watched)
    image = {"filters": 4, "num_blocks": 1}
    size = image if len(shape) == 3 else {"hidden_units": (8,)}
    made = FlowModel(flows.real_nvp(shape, 2, **size))
    made.compile("adam")
    assert set(wanted) == ({True} if compiled else set())
