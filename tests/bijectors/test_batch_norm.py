"""Batch normalisation: the batch's moments in training, fixed ones everywhere else."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows import bijectors as b
from tfp_flows.networks.weights.training_mode import TrainingMode

each = pytest.mark.parametrize("shape", [(3,), (2, 2, 3)], ids=["vector", "image"])


def batch(shape, count=50, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(3.0, 2.0, (count, *shape)))


def norm(shape, **kwargs):
    bijector = b.BatchNorm(shape, dtype="float64", **kwargs)
    laws.randomize(bijector)
    return bijector


def moments(y):
    rows = np.reshape(y, [-1, y.shape[-1]])
    return rows.mean(axis=0), rows.var(axis=0)


def averages(bijector):
    """The running moments in the unit of the data."""
    (weights,) = bijector.keras_layers
    unit = np.exp(weights["log_unit"])
    mean = weights["center"] + unit * weights["mean"]
    return mean.numpy(), (unit**2 * weights["variance"]).numpy()


def trained(bijector, y):
    """The inverse as a Keras model calls it while it trains."""
    return TrainingMode().run(lambda: bijector.inverse(tf.identity(y)), training=True)


@each
def test_training_takes_the_moments_of_the_batch_and_moves_the_averages(shape):
    bijector, y = norm(shape, momentum=0.9, epsilon=1e-9), batch(shape)
    before = averages(bijector)
    shift, log_scale = (v.numpy() for v in bijector.trainable_variables)
    x = trained(bijector, y)
    mean, variance = moments(x.numpy())
    np.testing.assert_allclose(mean, shift, atol=1e-9)
    np.testing.assert_allclose(variance, np.exp(2 * log_scale), rtol=1e-6)
    for old, new, seen in zip(
        before, averages(bijector), moments(y.numpy()), strict=True
    ):
        np.testing.assert_allclose(new, 0.9 * old + 0.1 * seen, rtol=1e-9)


@each
def test_evaluation_is_an_exact_bijection_of_each_event_alone(shape):
    bijector, y = norm(shape), batch(shape)
    for _ in range(3):
        trained(bijector, y)
    before = averages(bijector)
    laws.assert_round_trip(bijector, y)
    laws.assert_log_det_matches_autodiff(bijector, y[:2])
    whole = bijector.inverse(tf.identity(y))
    for rows in (slice(0, 1), slice(7, 9)):
        np.testing.assert_array_equal(bijector.inverse(y[rows]), whole[rows])
    in_keras = TrainingMode().run(lambda: bijector.inverse(y[:9]), training=False)
    np.testing.assert_array_equal(in_keras, whole[:9])
    for old, new in zip(before, averages(bijector), strict=True):
        np.testing.assert_array_equal(old, new)


def test_gradients_flow_through_the_moments_of_the_batch():
    bijector, y = norm((2,)), batch((2,), 6)
    weight = tf.constant(np.random.default_rng(1).normal(size=(6, 2)))
    loss = lambda v: tf.reduce_sum(weight * trained(bijector, v))  # noqa: E731
    with tf.GradientTape() as tape:
        tape.watch(y)
        value = loss(y)
    gradient = tape.gradient(value, y).numpy()
    step = np.zeros((6, 2))
    for place in np.ndindex(6, 2):
        step[place] = 1e-5
        slope = (loss(y + step) - loss(y - step)) / 2e-5
        np.testing.assert_allclose(gradient[place], slope, atol=1e-7)
        step[place] = 0.0


def test_adapting_sets_the_averages_to_the_moments_of_the_data(tmp_path):
    bijector, y = norm((3,)), batch((3,), 500)
    assert not bijector.is_adapted
    bijector.adapt(y)
    for found, wanted in zip(averages(bijector), moments(y.numpy()), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
    path = tf.train.Checkpoint(bijector=bijector).save(str(tmp_path / "c"))
    again = norm((3,))
    tf.train.Checkpoint(bijector=again).restore(path)
    assert again.is_adapted
    np.testing.assert_array_equal(again.inverse(y), bijector.inverse(y))
    with pytest.raises(ValueError, match="finite events to adapt"):
        bijector.adapt(tf.fill([5, 3], np.nan))


def test_a_batch_that_is_not_finite_leaves_the_averages():
    bijector, y = norm((3,)), batch((3,))
    before = averages(bijector)
    trained(bijector, tf.concat([y, tf.fill([1, 3], tf.constant(np.nan, y.dtype))], 0))
    for old, new in zip(before, averages(bijector), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("options", [{"momentum": 1.0}, {"epsilon": 0.0}])
def test_senseless_numbers_are_refused(options):
    with pytest.raises(ValueError, match="0 <= momentum < 1 and 0 < epsilon < 1"):
        b.BatchNorm((3,), **options)


@pytest.mark.parametrize("base", [None, 2], ids=["normal", "mixture"])
def test_a_trained_flow_has_a_density_that_integrates_to_one(base):
    flow = flows.maf(
        (2,),
        2,
        (8,),
        normalization="batch_norm",
        num_components=base,
        activation="tanh",
        dtype="float64",
    )
    y = batch((2,), 200).numpy()
    model = FlowModel(flow)
    model.compile(keras.optimizers.Adam(3e-2), jit_compile=False)
    history = model.fit(y, batch_size=50, epochs=5, verbose=0).history
    assert history["nll"][-1] < history["nll"][0]
    norms = [part for part in flow.bijector.bijectors if isinstance(part, b.BatchNorm)]
    # The moments of the batches went on after the first ones had been set.
    assert len(norms) == 2 and np.ptp([averages(n)[1] for n in norms], axis=0).all()
    z = flow.encode(y)
    np.testing.assert_allclose(flow.decode(z), y, atol=1e-8)
    nll = model.evaluate(y, batch_size=64, verbose=0, return_dict=True)["nll"]
    np.testing.assert_allclose(nll, -np.mean(flow.log_prob(y)), rtol=1e-6)
    assert abs(laws.integral_2d(flow, -17.0, 23.0) - 1) < 1e-3
