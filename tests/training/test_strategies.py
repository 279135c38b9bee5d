"""The same numbers on one device and two replicas."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.replicas import mirrored
from tfp_flows import FlowModel, flows
from tfp_flows.training import steps

# One process for all that share what two replicas trained.
pytestmark = pytest.mark.xdist_group("strategies")

STEPS, BATCH = 20, 18  # 18 examples do not share evenly with a last batch of 7


def data():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(STEPS * BATCH - 11, 4)) * 2 + 1
    return tf.data.Dataset.from_tensor_slices(rows.astype(np.float32)).batch(BATCH)


def trained(strategy, jit_compile, loss_scale=None, **optimizer):
    """Weights after 20 steps from the same start, as NumPy arrays."""
    keras.utils.set_random_seed(1)
    with strategy.scope():
        flow = flows.real_nvp((4,), 2, (8,), activation="tanh")
        model = FlowModel(flow, adapt_examples=50)
        optimizer = keras.optimizers.SGD(3e-2, momentum=0.9, **optimizer)
        if loss_scale:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, loss_scale)
        model.compile(optimizer, jit_compile=jit_compile)
    history = model.fit(data(), epochs=1, verbose=0, shuffle=False).history
    return [v.numpy() for v in model.variables], history, model


@functools.cache
def of_two_replicas():
    return trained(mirrored(), False)


def assert_same(one, two):
    for v, w in zip(one, two, strict=True):
        np.testing.assert_allclose(v, w, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("jit_compile", "clip"),
    [
        (False, {}),
        (True, {"clipnorm": 0.5}),
        (False, {"global_clipnorm": 0.3, "loss_scale": 2.0**15}),
        # The first scaled gradients overflow, and that must not be clipped away.
        (False, {"clipvalue": 0.1, "loss_scale": 2.0**126}),
    ],
)
def test_two_replicas_train_as_one_device(jit_compile, clip):
    one, one_history, _ = trained(tf.distribute.get_strategy(), jit_compile, **clip)
    two, two_history, model = (
        trained(mirrored(), jit_compile, **clip) if clip else of_two_replicas()
    )
    assert model.distribute_strategy.num_replicas_in_sync == 2
    assert_same(one, two)
    for name, values in one_history.items():
        np.testing.assert_allclose(values, two_history[name], rtol=1e-5)


OTHERS = {
    "conditional glow": functools.partial(
        flows.glow, (4, 4, 1), 2, 1, 4, context_shape=(2,)
    ),
    "recomputed chain": functools.partial(
        *(flows.real_nvp, (4,), 3, (8,)), memory="constant"
    ),
    "spline": functools.partial(flows.neural_spline, (4,), 2, 4, (8,)),
    "batch norm": functools.partial(
        flows.maf, (4,), 2, (8,), normalization="batch_norm"
    ),
    "batch norm of networks": functools.partial(
        flows.real_nvp, (4,), 2, network=lambda: normalised(synchronized=True)
    ),
}


def normalised(**kwargs):
    norm = keras.layers.BatchNormalization(**kwargs)
    return keras.Sequential([keras.layers.Dense(8, "tanh"), norm])


@pytest.mark.parametrize("name", OTHERS)
def test_gradients_of_every_kind_are_summed_over_replicas(name):
    weights, rng = [], np.random.default_rng(0)
    for strategy in (tf.distribute.get_strategy(), mirrored()):
        keras.utils.set_random_seed(1)
        with strategy.scope():
            model = FlowModel(OTHERS[name](), adapt_examples=20)
            # XLA by itself for vectors, but where replicas talk within a step
            jit = "auto" if "norm" in name else False
            model.compile(keras.optimizers.SGD(1e-2), jit_compile=jit)
        if not weights:
            rows = rng.normal(size=(40, *model.flow.event_shape)).astype(np.float32)
            given = rng.normal(size=(40, 2)).astype(np.float32)
        data = (rows,) if model.flow.context_shape is None else (given, rows)
        model.fit(*data, batch_size=9, epochs=2, verbose=0, shuffle=False)
        weights.append([v.numpy() for v in model.variables])
    assert_same(*weights)


NOISY = {
    "of images, learned, padded, dropout": functools.partial(
        *(flows.glow, (3, 3, 1), 1, 2, 4),
        num_values=5,
        pad_to=(4, 4),
        dequantization="variational",
        dropout=0.5,
    ),
    "of vectors, dropout": functools.partial(
        flows.real_nvp, (4,), 2, (8,), num_values=5, dropout=0.5
    ),
    "of an auxiliary variable": functools.partial(flows.reversible, (4,), 2, (8,)),
}


# Those of a pixel network: tests/train/test_strategies.py.
@pytest.mark.parametrize("name", NOISY)
def test_noise_belongs_to_examples_not_to_replicas(name):
    found, rng = [], np.random.default_rng(0)
    for strategy in (tf.distribute.get_strategy(), mirrored()):
        keras.utils.set_random_seed(1)
        with strategy.scope():
            model = FlowModel(NOISY[name](), adapt_examples=20)
            model.compile(keras.optimizers.SGD(1e-2), jit_compile="vectors" in name)
        if not found:
            rows = rng.integers(0, 5, (23, *model.flow.event_shape))
            rows = rows.astype(model.flow.dtype.as_numpy_dtype)
        fitted = model.fit(rows, batch_size=9, epochs=2, verbose=0, shuffle=False)
        scores = model.evaluate(rows, batch_size=9, verbose=0)
        found.append(
            [*(v.numpy() for v in model.variables), *fitted.history["nll"], *scores]
        )
    assert_same(*found)


def test_adapting_gives_every_replica_the_same_values():
    _, _, model = of_two_replicas()
    assert model.flow.is_adapted
    for variable in model.flow.variables:
        first, second = (v.numpy() for v in variable.values)
        np.testing.assert_array_equal(first, second)


def test_evaluating_on_two_replicas_is_exact_with_an_uneven_batch():
    _, _, model = of_two_replicas()
    x = np.concatenate(list(data().as_numpy_iterator()))[:31]
    uneven = tf.data.Dataset.from_tensor_slices(x).batch(16)
    scores = model.evaluate(uneven, verbose=0, return_dict=True)
    expected = -model.flow.log_prob(x).numpy().mean()
    np.testing.assert_allclose(scores["nll"], expected, rtol=1e-5)


def averaging(**options):
    return keras.optimizers.SGD(1e-2, use_ema=True, **options)


def test_a_flow_of_another_strategy_is_refused():
    flow = flows.real_nvp((4,), 2, (8,))
    with mirrored().scope(), pytest.raises(ValueError, match="scope"):
        FlowModel(flow)


@pytest.mark.parametrize(
    ("flow", "compiled", "message"),
    [
        (lambda: flows.real_nvp((4,), 2, network=normalised), {}, "synchronized=True"),
        (OTHERS["batch norm"], {"jit_compile": True}, "talk within a step"),
        (
            OTHERS["spline"],
            {"optimizer": lambda: keras.optimizers.SGD(gradient_accumulation_steps=2)},
            "one device only",
        ),
        (
            OTHERS["spline"],
            {"optimizer": lambda: averaging(ema_overwrite_frequency=2)},
            "ema_overwrite_frequency=2 works on one device only",
        ),
    ],
    ids=["batch norm alone", "XLA", "accumulation", "averages"],
)
def test_what_would_see_a_replicas_part_only_is_refused(flow, compiled, message):
    with mirrored().scope():
        model = FlowModel(flow())
        with pytest.raises(ValueError, match=message):
            model.compile(**{k: v() if callable(v) else v for k, v in compiled.items()})


@pytest.mark.parametrize("option", ["ema_overwrite_frequency", "accumulation"])
def test_a_mirrored_strategy_of_one_device_refuses_the_same(option):
    options = {"ema_overwrite_frequency": 2}
    if option == "accumulation":
        options = {"gradient_accumulation_steps": 2}
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = FlowModel(OTHERS["spline"]())
        with pytest.raises(ValueError, match="on one device only, without a mirrored"):
            model.compile(keras.optimizers.LossScaleOptimizer(averaging(**options)))
    # Elsewhere both work.
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        model = FlowModel(OTHERS["spline"](), adapt_examples=20)
        model.compile(averaging(**options))
    assert np.isfinite(model.fit(rows, batch_size=5, verbose=0).history["loss"][0])


def test_gathered_gradients_of_two_batches_are_those_of_one():
    found, rows = [], np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    for gathered in (None, 2):
        keras.utils.set_random_seed(1)
        model = FlowModel(OTHERS["spline"](), adapt_examples=20)
        optimizer = keras.optimizers.SGD(
            1e-2, momentum=0.9, gradient_accumulation_steps=gathered
        )
        model.compile(keras.optimizers.LossScaleOptimizer(optimizer, 1024.0))
        size = 10 // (gathered or 1)
        model.fit(rows, batch_size=size, epochs=2, verbose=0, shuffle=False)
        found.append([v.numpy() for v in model.variables])
    assert_same(*found)


def test_noise_of_steps_that_only_gather_is_their_own():
    seeds = []
    optimizer = keras.optimizers.SGD(1e-2, gradient_accumulation_steps=3)
    optimizer.build([keras.Variable([1.0])])
    for _ in range(4):
        seeds.append(int(steps.number(optimizer)))
        optimizer.apply([tf.constant([1.0])])
    assert seeds == [0, 1, 2, 3]
