"""Padded images: the bound against enumerated masses, and a flow's whole life."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows.bijectors import AffineCoupling, Chain, UnitInterval
from tfp_flows.distributions import Dequantized, Flow, Padded, StandardNormal
from tfp_flows.flows._dequantization import noise_flow
from tfp_flows.networks import MLP, masks

tfb = tfp.bijectors
LARGER, SMALLER, VALUES = (2, 2, 1), (1, 2, 1), 2
CELLS = np.array(list(itertools.product(range(VALUES), repeat=4))).reshape(-1, 2, 2, 1)
IMAGES = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]).reshape(-1, 1, 2, 1)


def four_pixels(kind="uniform"):
    """A flow with all of its mass on [0, 2]^4, and the middle of its images."""
    couplings = [
        AffineCoupling(
            LARGER,
            MLP((8,), "tanh", dtype="float64"),
            mask,
            scale_bound=1.0,
            dtype="float64",
        )
        for mask in (masks.checkerboard(LARGER), masks.checkerboard(LARGER, flip=True))
    ]
    scale = tfb.Scale(tf.constant(VALUES, tf.float64))
    cell = UnitInterval(LARGER, margin=0.0, dtype="float64")
    flow = Flow(Chain([scale, cell, *couplings]), StandardNormal(LARGER, "float64"))
    noise = None
    if kind == "variational":
        noise = noise_flow(LARGER, VALUES, num_steps=2, filters=4, dtype="float64")
        laws.randomize(noise, seed=2)
    laws.randomize(flow, scale=0.5)
    return Padded(Dequantized(flow, VALUES, noise), SMALLER)


def exact_masses(flow):
    """Integrates the density over every cell by Gauss and Legendre, `[16]`."""
    nodes, weights = np.polynomial.legendre.leggauss(10)
    grid = np.array(list(itertools.product(nodes, repeat=4))) / 2 + 0.5
    weights = np.prod(list(itertools.product(weights / 2, repeat=4)), axis=1)
    inside = grid.reshape(-1, *LARGER)
    return np.array([np.exp(flow.log_prob(cell + inside)) @ weights for cell in CELLS])


@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_the_bound_is_below_the_mass_of_all_borders_together(kind):
    model = four_pixels(kind)
    masses = exact_masses(model.flow)
    np.testing.assert_allclose(masses.sum(), 1.0, atol=5e-3)
    top = CELLS[:, :1]  # no rows before, one after
    exact = np.log([masses[(top == x).all((1, 2, 3))].sum() for x in IMAGES])
    of_zeros = np.log(
        [masses[(CELLS == model.pad(x).numpy()).all((1, 2, 3))] for x in IMAGES]
    )
    copies = np.broadcast_to(IMAGES, (20000, *IMAGES.shape))
    draws = model.log_prob(copies, seed=1).numpy()
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (draws.mean(axis=0) < of_zeros[:, 0] - 2 * error).all()
    assert (of_zeros[:, 0] < exact - 0.1).all()
    weighted = np.log(np.exp(draws).mean(axis=0))
    np.testing.assert_allclose(weighted, of_zeros[:, 0], atol=0.1)
    # What is drawn follows the masses of all borders together.
    drawn = model.sample(20000, seed=2).numpy()
    for x, log_mass in zip(IMAGES, exact, strict=True):
        share = (drawn == x).all((1, 2, 3)).mean()
        deviation = np.sqrt(share * (1 - share) / len(drawn))
        np.testing.assert_allclose(share, np.exp(log_mass), atol=4 * deviation)


def padded_flow(dequantization="uniform", **kwargs):
    flow = flows.real_nvp(
        (3, 5, 2),
        1,
        num_values=5,
        pad_to=(6, 6),
        num_levels=1,
        filters=4,
        num_blocks=1,
        dequantization=dequantization,
        **kwargs,
    )
    laws.randomize(flow)
    return flow


def images(count=8, context=False):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (count, 3, 5, 2))
    return (x, rng.normal(size=(count, 2)).astype(np.float32)) if context else x


def bordered(x):
    """One row above and two below, one column to the right."""
    return np.pad(x, [*[(0, 0)] * (x.ndim - 3), (1, 2), (0, 1), (0, 0)])


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float64])
def test_zeros_are_put_around_and_taken_away(dtype):
    flow, x = padded_flow(), images().astype(dtype)
    np.testing.assert_array_equal(flow.pad(x), bordered(x))
    np.testing.assert_array_equal(flow.crop(flow.pad(x[None])), x[None])


def test_glow_takes_images_of_28_pixels_on_three_levels():
    flow = flows.glow((28, 28, 1), 3, 1, 2, num_values=2, pad_to=(32, 32))
    around = flow.pad(np.ones((28, 28, 1))).numpy()[..., 0]
    assert around[2:-2, 2:-2].all() and around.sum() == 28 * 28
    assert flow.event_shape == (28, 28, 1) and flow.flow.event_shape == (32, 32, 1)
    assert np.isfinite(flow.log_prob(np.ones((2, 28, 28, 1)), seed=1)).all()


@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_everything_is_that_of_the_larger_images(kind):
    flow, x = padded_flow(kind), images()
    inner = flow.dequantized
    log_prob = flow.log_prob(x, seed=1)
    np.testing.assert_array_equal(log_prob, inner.log_prob(bordered(x), seed=1))
    np.testing.assert_array_equal(flow.encode(x), inner.encode(bordered(x)))
    np.testing.assert_array_equal(flow.decode(flow.encode(x)), x)
    for one, two in zip(flow.trace(x), inner.trace(bordered(x)), strict=True):
        assert one[0] == two[0]
        np.testing.assert_array_equal(one[1], two[1])
    assert flow.flow is inner.flow and flow.noise is inner.noise
    assert flow.num_values == 5 and flow.event_shape == (3, 5, 2)
    assert [id(v) for v in flow.raw_variables] == [id(v) for v in inner.raw_variables]
    laws.assert_both_sides_see_the_weights(flow, flow.keras_layers)
    laws.assert_every_weight_gets_gradient(
        flow, lambda: tf.reduce_mean(flow.log_prob(x, seed=1) ** 2)
    )
    clone = flow.copy(name="clone")
    np.testing.assert_array_equal(clone.log_prob(x, seed=1), log_prob)
    np.testing.assert_array_equal(flow.prob(x, seed=1), np.exp(log_prob))


def test_bits_count_the_pixels_of_the_image_alone():
    flow, x = padded_flow(), images()
    bits = -flow.log_prob(x, seed=1) / (3 * 5 * 2 * np.log(2))
    np.testing.assert_allclose(flow.bits_per_dim(x, seed=1), bits, rtol=1e-6)


def test_samples_are_middles_and_temperature_is_passed_on():
    flow = padded_flow()
    drawn = flow.sample([2, 3], seed=1, temperature=0.7)
    assert drawn.shape == [2, 3, 3, 5, 2] and drawn.dtype == tf.int32
    larger = flow.dequantized.sample([2, 3], seed=1, temperature=0.7)
    np.testing.assert_array_equal(drawn, flow.crop(larger))
    np.testing.assert_array_equal(
        tf.function(lambda: flow.sample(2, seed=(1, 2)))(), flow.sample(2, seed=(1, 2))
    )


def test_nan_values_out_of_range_and_fractions_have_no_mass():
    flow, x = padded_flow(), images(4).astype(np.float64)
    x[0, 1, 2, 0], x[1, 0, 0, 0], x[2, 2, 4, 1] = 0.5, -1, 5
    assert np.isneginf(flow.log_prob(x, seed=1)).tolist() == [True] * 3 + [False]
    x[3, 0, 0, 0] = np.nan
    assert not np.isfinite(flow.log_prob(x, seed=1)).any()


def test_contexts_reach_the_flow():
    flow, (x, context) = padded_flow(context_shape=(2,)), images(context=True)
    together = flow.log_prob(x, context=context, seed=1)
    inner = flow.dequantized.log_prob(bordered(x), context=context, seed=1)
    np.testing.assert_array_equal(together, inner)
    np.testing.assert_array_equal(flow.given(context).log_prob(x, seed=1), together)
    assert flow.given(context[:2]).sample(3, seed=1).shape == [3, 2, 3, 5, 2]
    np.testing.assert_array_equal(flow.decode(flow.encode(x, context), context), x)
    with pytest.raises(ValueError, match="conditional"):
        flow.log_prob(x)
    pairs = tf.data.Dataset.from_tensor_slices((context, x)).batch(3)
    flow.adapt(pairs)
    assert flow.is_adapted


def test_adapting_is_adapting_to_padded_images():
    one, two = padded_flow(), padded_flow()
    assert not one.is_adapted
    one.adapt(images(), seed=3)
    two.dequantized.adapt(bordered(images()), seed=3)
    for v, w in zip(one.raw_variables, two.raw_variables, strict=True):
        np.testing.assert_array_equal(v, w)
    assert one.is_adapted


@pytest.mark.parametrize("name", ["real_nvp", "neural_spline", "flow_pp"])
def test_other_image_flows_may_be_padded(name):
    options = {"num_levels": 2, "num_steps": 1, "filters": 4, "num_blocks": 1}
    flow = flows.build(
        name, event_shape=(3, 3, 1), num_values=4, pad_to=(4, 4), **options
    )
    again = flows.build(flow.recipe.name, **flow.recipe.options)
    for made in (flow, again):
        assert isinstance(made, Padded) and made.flow.event_shape == (4, 4, 1)
    assert np.isfinite(flow.log_prob(np.ones((2, 3, 3, 1)), seed=1)).all()


def test_images_that_fit_are_not_wrapped():
    flow = flows.glow((4, 4, 1), 1, 1, 4, num_values=4, pad_to=[4, 4])
    assert isinstance(flow, Dequantized)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: flows.glow((28, 28, 1), 3, 1, 4),
            r"multiples of 8, got \(28, 28, 1\).*pad_to=\(32, 32\), or choose 2 levels",
        ),
        (lambda: flows.glow((7, 9, 1), 1, 1, 4), r"pad_to=\(8, 10\), or crop"),
        (
            lambda: flows.glow((28, 28, 1), 3, 1, 4, pad_to=(32, 32)),
            "without num_values.*a density on them grows without end",
        ),
        (
            lambda: flows.glow((28, 28, 1), 3, 1, 4, num_values=4, pad_to=(24, 32)),
            r"at least as large, got \(28, 28, 1\) and \(24, 32\)",
        ),
        (lambda: flows.glow((4, 4, 1), 1, num_values=4, pad_to=8), "and 8"),
        (lambda: flows.real_nvp((4,), num_values=4, pad_to=(8, 8)), "with positions"),
        (lambda: Padded(flows.glow((4, 4, 1), 1, 1, 4), (3, 3, 1)), "continuous"),
        (lambda: Padded(four_pixels().dequantized, (3, 2, 1)), "lies inside"),
        (lambda: Padded(four_pixels().dequantized, (2, 2, 2)), "lies inside"),
        (lambda: Padded(four_pixels().dequantized, (2, 2)), "lies inside"),
        (lambda: four_pixels().log_prob(np.zeros((3, 2, 2, 1))), "wants images of sh"),
    ],
)
def test_what_cannot_be_padded_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_model_trains_and_is_saved(tmp_path):
    model = FlowModel(padded_flow(), adapt_examples=16)
    model.compile(keras.optimizers.Adam(1e-3))
    history = model.fit(images(16), batch_size=8, epochs=2, verbose=0).history
    bits = np.array(history["nll"]) / (3 * 5 * 2 * np.log(2))
    np.testing.assert_allclose(history["bits_per_dim"], bits, rtol=1e-6)
    wanted = model.flow.log_prob(images(), seed=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.flow, Padded)
    path = tf.train.Checkpoint(flow=model.flow).save(str(tmp_path / "checkpoint"))
    other = padded_flow()
    tf.train.Checkpoint(flow=other).restore(path).assert_consumed()
    for flow in (loaded.flow, other):
        np.testing.assert_array_equal(flow.log_prob(images(), seed=1), wanted)


@pytest.mark.slow
def test_training_learns_the_border_and_so_closes_the_gap():
    flow = flows.real_nvp((3, 3, 1), 4, filters=16, num_values=4, pad_to=(4, 4))
    rng = np.random.default_rng(0)
    level = rng.integers(0, 4, (512, 1, 1, 1))
    x = np.clip(level + rng.integers(-1, 2, (512, 3, 3, 1)), 0, 3)
    model = FlowModel(flow)
    model.compile(keras.optimizers.Adam(3e-3))
    shares = []
    for epochs in (0, 20):
        model.fit(x, batch_size=64, epochs=epochs, verbose=0)
        drawn = flow.dequantized.sample(1000, seed=1).numpy()
        kept = flow.pad(flow.crop(drawn)).numpy()
        shares.append((drawn == kept).all((1, 2, 3)).mean())
    assert shares[0] < 0.2 and shares[1] > 0.35
