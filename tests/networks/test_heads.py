"""Heads begin at zero, and one step of Adam moves what they give by about its rate."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.bijectors.conditioner import Conditioner
from tfp_flows.networks import (
    MADE,
    MLP,
    CausalConv,
    ConvResNet,
    ZeroConv,
    ZeroDense,
    gains,
)
from tfp_flows.networks.grids import convolve
from tfp_flows.networks.masked_dense import MaskedDense

RATE = 1e-3


def features(shape, seed=0):
    """Rectified, as behind an act norm: all positive, of mean 0.4."""
    rng = np.random.default_rng(seed)
    return tf.constant(np.maximum(rng.standard_normal(shape), 0.0), tf.float32)


def change(head, h, seed=0):
    """The largest change of the output in one step of Adam, in rates."""
    target = tf.constant(np.random.default_rng(seed).normal(size=head(h).shape))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.cast(target, tf.float32) * head(h))
    optimizer = keras.optimizers.Adam(RATE)
    gradients = tape.gradient(loss, [v.value for v in head.trainable_variables])
    optimizer.apply(gradients, head.trainable_variables)
    return float(tf.reduce_max(tf.abs(head(h)))) / RATE


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_the_change_in_one_step_of_adam_does_not_grow_with_the_width(kernel_size):
    found = []
    for width in (64, 256, 1024):
        head, h = ZeroConv(4, kernel_size), features((16, 4, 4, width))
        head.build(h.shape)
        head.adapt(h)
        found.append(change(head, h))
    assert max(found) < 40.0, found
    assert found[-1] < 2.0 * found[0]


def test_the_change_does_not_grow_with_the_layers_that_features_are_the_sum_of():
    found = []
    for count in (1, 4, 16):
        head = ZeroDense(4, num_summed=count)
        h = sum(features((64, 256), seed) for seed in range(count))
        head.build(h.shape)
        head.adapt(h)
        found.append(change(head, h))
    np.testing.assert_allclose(found, found[0], rtol=0.3)


@pytest.mark.parametrize(
    ("network", "wanted"),
    [
        (ConvResNet(200, num_blocks=3), 32 / 200 / 2),
        (keras.layers.Dense(200), 128 / 200),
    ],
)
def test_conditioners_tell_their_head_what_features_are_the_sum_of(network, wanted):
    conditioner = Conditioner(network, (4, 4, 2), 6, None, tf.float32, "mine")
    gain, _ = conditioner.layers["head"].factors
    assert gain == pytest.approx(wanted)


@pytest.mark.parametrize(("residual", "count"), [(False, 1), (True, 4)])
def test_residual_networks_of_vectors_are_sums_of_all_their_layers(residual, count):
    units = (200,) * 4
    assert MLP(units, residual=residual).num_summed == count
    for size, counted in ((3, 0.16), (10, 0.3), (64, 0.6)):
        made = MADE((size,), 2, hidden_units=units, residual=residual)
        made.build((None, size))
        gain = 128 / 200 * counted / (0.6 * count**0.5)  # until they are known
        assert float(made._dense[-1]._gain) == pytest.approx(gain)


class OfOnePart(MaskedDense):
    """A masked head on features that are not cut, all seen by all of four units."""

    def __init__(self, width):
        super().__init__(np.zeros(width), np.zeros(4), depth=1)

    def adapt(self, h):
        super().adapt([h])

    def call(self, h):
        return super().call([h])[0]


KINDS = {
    "vectors": lambda width: ZeroDense(4),
    "masked": OfOnePart,
}


@pytest.mark.parametrize("width", [64, 500])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_moves_as_far_whatever_the_spread_of_vectors(kind, width):
    h = features((16, width))
    found = []
    for scale in (1.0, 0.2, 3.0, 0.0, 1e-30):
        head, scaled = KINDS[kind](width), scale * h
        head.build(h.shape)
        head.adapt(scaled)
        found.append(change(head, scaled) - 1.0)  # the bias moves by 1
    usual, small, large, none, tiny = found
    assert small == pytest.approx(usual, rel=1e-2)
    assert large == pytest.approx(usual, rel=1e-2)
    assert none == pytest.approx(0.0, abs=1e-3)
    assert tiny == pytest.approx(0.0, abs=1e-3)  # not 1e30 times as far


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_vary_by_rounding_alone_have_the_usual_gain(kind):
    head, h = KINDS[kind](64), features((16, 64))
    head.build(h.shape)
    usual = float(head._gain)
    head.adapt(tf.ones_like(h) + 1e-7 * h)
    assert float(head._gain) == usual  # for the day on which they do vary
    head.adapt(tf.ones_like(h) + 1e-3 * h)
    assert usual < float(head._gain) < 21 * usual


def test_the_bound_holds_without_adapting_too():
    for width in (16, 256, 4096):
        head, h = ZeroDense(4), features((64, width))
        most = float(tf.reduce_max(tf.reduce_mean(h, axis=1)))
        bound = 1.0 + gains.head(width) * width * most
        assert change(head, h) <= bound * 1.001
        assert gains.head(width) * width <= 128.0 * 1.001


def test_a_common_mean_of_the_features_moves_nothing_but_the_bias():
    head, h = ZeroDense(2), tf.ones([5, 300])
    head.build(h.shape)
    head.adapt(h)
    assert change(head, h) == pytest.approx(1.0, rel=1e-3)


HEADS = [
    ZeroDense(3),
    ZeroConv(3),
    ZeroDense(3, depth=50),
    ZeroDense(3, num_summed=4),
    ZeroConv(3, num_summed=4, bounded=True),
]


def test_only_bounded_features_have_the_small_gain():
    for filters, wanted in ((200, 128 / 200 / 2), (100, 128 / 100 / 2), (50, 1.0)):
        wavenet = CausalConv((8, 1), 2, filters=filters, num_layers=4)
        wavenet.build((None, 8, 1))
        assert wavenet._last.factors[0] == pytest.approx(wanted)
    again = ZeroDense.from_config(wavenet._last.get_config())
    assert again.num_summed == 4 and not again.bounded


@pytest.mark.parametrize("head", HEADS)
def test_heads_begin_at_zero_and_rebuild_from_their_config(head):
    h = features((2, 4, 4, 200))
    assert not np.any(head(h))
    again = type(head).from_config(head.get_config())
    again.build(h.shape)
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=w.shape) for w in head.get_weights()]
    head.set_weights(weights)
    again.set_weights(weights)
    np.testing.assert_array_equal(head(h), again(h))


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
def test_outside_of_the_image_lie_the_mean_features(kernel_size):
    head, h = ZeroConv(2, kernel_size), features((3, 4, 3, 5))
    head.build(h.shape)
    head.adapt(h)
    rng = np.random.default_rng(0)
    for variable in head.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    kernel, bias = head.trainable_variables
    mean = tf.reduce_mean(h, axis=[0, 1, 2])
    before = (kernel_size - 1) // 2
    pad = before, kernel_size - 1 - before
    padded = tf.pad(h - mean, [(0, 0), pad, pad, (0, 0)])
    wanted = tf.nn.conv2d(padded, kernel.value, 1, "VALID") + bias
    np.testing.assert_allclose(head(h), wanted, atol=1e-5)


@pytest.mark.parametrize("units", [40, 300])
def test_made_has_the_same_params_by_steps_when_its_layers_have_centres(units):
    made = MADE((6,), 2, hidden_units=(units, units))
    x = features((20, 6))
    made.build(x.shape)
    rng = np.random.default_rng(0)
    for variable in made.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) / units**0.5)
    made.adapt(x)
    assert not np.allclose(made(tf.zeros([1, 6])), 0.0)
    state, found = made.initial_state(20), []
    before = tf.zeros([20, 1])
    for i in range(6):
        params, state = made.step(state, before, i)
        before = x[:, i : i + 1]
        found.append(params[:, 0])
    np.testing.assert_allclose(tf.stack(found, 1), made(x), atol=1e-5)


def randomized(head, h):
    """A head with random weights and what it would give if it centred its features."""
    head.build(h.shape)
    rng = np.random.default_rng(0)
    weights = head.kernel, head.bias, head.center
    for variable in weights:
        variable.assign(rng.normal(size=variable.shape))
    gain, share = head.factors
    kernel, bias, center = (tf.identity(v.value) for v in weights)
    return lambda h: convolve(h - center, gain * kernel) + share * bias


@pytest.mark.parametrize("positions", [(5,), (1,), (2, 1), (3, 4), (3, 2, 4)])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_signals_and_volumes_have_centred_features_too(positions, kernel_size):
    head, h = ZeroConv(2, kernel_size, dtype="float64"), features((3, *positions, 20))
    h = tf.cast(h, tf.float64)
    centred = randomized(head, h)

    @tf.function
    def value_and_gradient(function):
        y = function(h)
        return y, tf.gradients(tf.sin(y), h)[0]

    wanted, found = value_and_gradient(centred), value_and_gradient(head)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-11)


@pytest.mark.parametrize("built", [(4, 4), (1, 1), (1, 8), (None, None), (None, 8)])
def test_a_head_goes_on_at_other_positions(built):
    head, h = ZeroConv(2), features((3, 8, 8, 20))
    centred = randomized(head, tf.TensorSpec([None, *built, 20]))
    np.testing.assert_allclose(head(h), centred(h), atol=1e-4)
    model = keras.Sequential([keras.Input((*built, 20)), head])
    assert model.output_shape == (None, *built, 2)
    np.testing.assert_allclose(model(h), centred(h), atol=1e-4)


def test_what_is_prepared_is_small_beside_the_kernel():
    for side in (4, 16):
        head, h = ZeroConv(2), features((3, side, side, 20))
        centred = randomized(head, h)
        np.testing.assert_allclose(head(h), centred(h), atol=1e-4)
        others = sum(np.size(value) for value in head.prepare()[1:])
        assert others <= head.kernel.shape.num_elements() / 4


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_sums_of_weights_are_not_made_in_16_bits(policy):
    head, h = ZeroConv(4, dtype=policy), features((8, 8, 8, 512))
    exact = ZeroConv(4)
    exact.build(h.shape)
    exact.adapt(h)
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=exact.kernel.shape) / gains.head(9 * 512) / 68.0
    exact.kernel.assign(kernel * 0.3)
    head.build(h.shape)
    head.set_weights(exact.get_weights())
    error = np.asarray(tf.cast(head(h), tf.float32) - exact(h))
    rounding = {"mixed_float16": 2.0**-11, "mixed_bfloat16": 2.0**-8}[policy]
    assert np.sqrt(np.mean(error**2)) < 0.3 * rounding


def test_a_head_traced_for_unknown_positions_does_not_spread_those_it_was_built_for():
    for built in (1, 4):
        head = ZeroConv(3)
        head(features((2, built, built, 40)))
        head.kernel.assign(np.random.default_rng(0).normal(size=head.kernel.shape))
        head.adapt(features((9, 40)))
        spec = [tf.TensorSpec([None, None, None, 40])]
        traced = tf.function(head, input_signature=spec)
        for size in (4, 7):
            h = features((2, size, size, 40), seed=1)
            np.testing.assert_allclose(traced(h), head(h), atol=1e-4)
            centred = convolve(h - head.center, head.kernel * head.factors[0])
            np.testing.assert_allclose(traced(h), centred, atol=1e-4)
