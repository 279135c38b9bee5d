"""Recipes: built again from their notes, refused kindly, and able to learn."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import flows
from tfp_flows.networks import MLP


@pytest.mark.parametrize(
    "make",
    [
        lambda: flows.gaussian((3,)),
        lambda: flows.gaussian_mixture((3,), 2),
        lambda: flows.nice((4,), 2, (8,), base="normal"),
        lambda: flows.real_nvp(tf.TensorShape([4]), np.int64(2), (8,), dropout=0.1),
        lambda: flows.real_nvp((4, 4, 1), 2, num_values=17, filters=4),
        lambda: flows.reversible((3,), 2, (8,)),
        lambda: flows.any_order((2, 2, 1), num_values=3, filters=4, num_blocks=1),
        lambda: flows.wavenet((3, 1), 2, 4, num_values=3, order=np.array([2, 0, 1])),
        lambda: flows.neural_spline((4,), 2, 4, (8,), bound=3.0),
        lambda: flows.flow_pp((4, 4, 1), 2, 3, num_values=17, filters=4),
        lambda: flows.glow(
            (4, 4, 1), 2, 1, 4, num_values=17, dequantization="variational"
        ),
    ],
)
def test_a_flow_is_built_again_from_its_recipe(make):
    flow = make()
    again = flows.build(flow.recipe.name, **flow.recipe.options)
    shapes = [[v.shape for v in f.trainable_variables] for f in (flow, again)]
    assert shapes[0] == shapes[1]
    assert type(again) is type(flow)
    assert again.recipe == flow.recipe


def test_a_flow_with_a_network_of_the_users_has_no_recipe():
    assert flows.real_nvp((4,), 2, network=lambda: MLP((8,))).recipe is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flows.build("glov"), "Unknown flow 'glov'. Choose from"),
        (lambda: flows.build("nice", event_shape=(4,), steps=3), "no option steps"),
        (lambda: flows.real_nvp(()), "positive sizes"),
        (lambda: flows.real_nvp(64), "positive sizes"),
        (lambda: flows.real_nvp((2,) * 5), "Flatten"),
        (lambda: flows.real_nvp((4,), 0), "num_steps"),
        (lambda: flows.neural_spline((2,) * 5), "neural_spline needs .* Flatten"),
        (lambda: flows.neural_spline((4,), num_bins=1), "num_bins >= 2"),
        (lambda: flows.flow_pp((4,), num_components=0), "num_components >= 1"),
        (lambda: flows.real_nvp((6, 6, 1), num_levels=2), "multiples of 4"),
        (lambda: flows.nice((4,), base="cauchy"), "no base 'cauchy'"),
        (lambda: flows.gaussian((3,), num_values=1), "num_values >= 2"),
        (lambda: flows.real_nvp((4,), dequantization="variational"), "num_values"),
        (
            lambda: flows.glow((4, 4, 1), 1, num_values=4, dequantization="none"),
            "no dequantization 'none'. Choose uniform or",
        ),
    ],
)
def test_bad_arguments_are_refused_with_a_hint(call, message):
    with pytest.raises(ValueError, match=message):
        call()


_TINY = {"filters": 4, "num_blocks": 1}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gaussian", {}),
        ("gaussian_mixture", {"num_components": 2}),
        ("nice", {"num_steps": 2, "hidden_units": (8,)}),
        ("real_nvp", {"num_steps": 2, **_TINY}),
        ("neural_spline", {"num_steps": 2, **_TINY}),
        ("flow_pp", {"num_steps": 2, **_TINY}),
        ("glow", {"num_levels": 2, "num_steps": 1, "filters": 4}),
    ],
)
def test_every_recipe_takes_images_of_5_bits(name, options):
    flow = flows.build(name, event_shape=(4, 4, 1), num_values=32, **options)
    x = np.random.default_rng(0).integers(0, 32, (64, 4, 4, 1))
    flow.adapt(x)
    assert flow.num_values == 32
    assert np.isfinite(flow.log_prob(x, seed=1)).all()
    assert np.isneginf(flow.log_prob(np.full_like(x, 32), seed=1)).all()
    # Uniform integers have an entropy of 5 bits; 64 of them can be overfitted a bit.
    assert 4.0 < np.mean(flow.bits_per_dim(x, seed=1)) < 6.0
    drawn = flow.sample(200, seed=1).numpy()
    assert drawn.min() >= 0 and drawn.max() <= 31 and drawn.max() > 16


def test_nice_has_constant_volume_and_real_nvp_has_not():
    for make, constant in ((flows.nice, True), (flows.real_nvp, False)):
        flow = make((4,), 2, (8,), activation="tanh")
        laws.randomize(flow)
        _, log_det = flow.encode_and_log_det(tf.random.normal([10, 4]))
        assert (np.std(log_det) < 1e-5) == constant


def test_data_of_any_scale_come_to_lie_where_splines_act():
    flow = flows.neural_spline((4,), 2, hidden_units=(8,))
    x = tf.random.normal([200, 4], mean=1e3, stddev=50.0)
    flow.adapt(x)
    first = next(value for name, value, _ in flow.trace(x) if name == "standardize")
    np.testing.assert_allclose(tf.math.reduce_std(first, 0), 1.0, atol=1e-3)


@pytest.mark.parametrize("name", ["glow", "real_nvp"])
def test_an_image_may_be_the_context_of_a_multiscale_flow(name):
    options = {"num_levels": 2, "num_steps": 2, "filters": 4}
    flow = flows.build(name, event_shape=(4, 4, 1), context_shape=(4, 4, 3), **options)
    x, context = (np.random.default_rng(0).normal(size=(20, 4, 4, c)) for c in (1, 3))
    flow.adapt(x, context)
    laws.randomize(flow)
    log_prob = flow.log_prob(x, context=context)
    assert (log_prob.numpy() != flow.log_prob(x, context=-context).numpy()).all()
    z = flow.encode(x, context)
    np.testing.assert_allclose(flow.decode(z, context), x, atol=1e-4)


def test_every_unit_of_a_vector_is_reached_by_two_steps():
    flow = flows.real_nvp((4,), 2, (8,), activation="tanh", dtype="float64")
    laws.randomize(flow)
    x = tf.random.normal([1, 4], dtype=tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = flow.encode(x)
    assert (np.abs(tape.batch_jacobian(z, x)).sum(axis=(0, 2)) > 1e-6).all()


def two_moons(count, seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, count)
    angle = rng.uniform(0, np.pi, count)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.where(label[:, None] == 1, [1.0, 0.5] - x, x)
    x += rng.normal(0, 0.1, x.shape)
    return x.astype(np.float32), label[:, None].astype(np.float32)


@pytest.mark.slow
def test_a_conditional_real_nvp_learns_two_moons_given_the_label():
    x, label = two_moons(2000, seed=0)
    flow = flows.real_nvp((2,), 6, (32, 32), context_shape=(1,))
    flow.adapt(x, label)
    optimizer = keras.optimizers.Adam(3e-3)
    optimizer.build(flow.trainable_variables)

    @tf.function(jit_compile=True)
    def step(x, label):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x, context=label))
        gradients = tape.gradient(loss, flow.trainable_variables)
        optimizer.apply_gradients(zip(gradients, flow.trainable_variables, strict=True))

    for _ in range(500):
        step(x, label)
    x, label = two_moons(2000, seed=1)
    right = tf.reduce_mean(flow.log_prob(x, context=label))
    wrong = tf.reduce_mean(flow.log_prob(x, context=1 - label))
    assert float(right) > float(wrong) + 3.0
    # A Gaussian for each label has an entropy near 1.2 nats; the moons are thinner.
    gaussian = sum(
        0.5 * np.linalg.slogdet(np.cov(x[label[:, 0] == k].T))[1] for k in (0, 1)
    ) / 2 + np.log(2 * np.pi * np.e)
    assert -float(right) < gaussian - 0.3
    drawn = flow.given([[0.0], [1.0]]).sample(500, seed=(1, 2)).numpy()
    for k in (0, 1):
        centre = x[label[:, 0] == k].mean(axis=0)
        np.testing.assert_allclose(drawn[:, k].mean(axis=0), centre, atol=0.15)
