"""Dequantization: bounds against exact masses, learned noise, files and errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows.bijectors import ActNorm, AffineCoupling, Chain, UnitInterval
from tfp_flows.distributions import Dequantized, Flow, StandardNormal
from tfp_flows.flows._dequantization import noise_flow
from tfp_flows.networks import MLP, masks

tfb = tfp.bijectors
VALUES = 3
CELLS = np.stack(np.meshgrid(range(VALUES), range(VALUES)), -1).reshape(-1, 2)


def noise(dtype="float64", **kwargs):
    return noise_flow((2,), VALUES, num_steps=2, filters=4, dtype=dtype, **kwargs)


def pairs(kind, context_shape=None, dtype="float64"):
    """Integers whose flow has all of its mass on [0, VALUES]^2."""
    couplings = [
        AffineCoupling(
            (2,),
            MLP((8,), "tanh", dtype=dtype),
            masks.half((2,), flip=flip),
            scale_bound=1.0,
            context_shape=context_shape,
            dtype=dtype,
        )
        for flip in (False, True)
    ]
    scale = tfb.Scale(tf.constant(VALUES, dtype))
    cell = UnitInterval((2,), margin=0.0, dtype=dtype)
    flow = Flow(Chain([scale, cell, *couplings]), StandardNormal((2,), dtype))
    learned = noise(dtype) if kind == "variational" else None
    laws.randomize(flow, scale=0.3)
    if learned is not None:
        laws.randomize(learned, seed=2, scale=0.3)
    return Dequantized(flow, VALUES, learned)


def exact_log_prob(model, cells, **kwargs):
    """Integrates the flow's density over each cell by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    inside = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2) / 2 + 0.5
    weights = np.outer(weights, weights).ravel() / 4
    density = model.flow.log_prob(cells[:, None] + inside, **kwargs)
    return np.log(np.exp(density) @ weights)


def many(model, cells, count=40000, seed=(0, 1), **kwargs):
    copies = np.broadcast_to(cells, (count, *cells.shape))
    return model.log_prob(copies, seed=seed, **kwargs).numpy()


@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_the_bound_is_below_the_mass_and_importance_weights_close_the_gap(kind):
    model = pairs(kind)
    exact = exact_log_prob(model, CELLS)
    np.testing.assert_allclose(np.exp(exact).sum(), 1.0, atol=1e-5)
    draws = many(model, CELLS)
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (draws.mean(axis=0) < exact - 3 * error).all()
    weighted = np.log(np.exp(draws).mean(axis=0))
    np.testing.assert_allclose(weighted, exact, atol=0.03)
    # More draws under the logarithm tighten the bound.
    groups = np.log(np.exp(draws).reshape(-1, 20, len(CELLS)).mean(axis=1)).mean(axis=0)
    assert (draws.mean(axis=0) < groups).all() and (groups < exact + 3 * error).all()


def test_log_q_is_the_density_of_the_noise_that_was_added():
    model = pairs("variational")
    u, log_q = model.sample_noise(CELLS, seed=(1, 2))
    again = model.noise.log_prob(tf.identity(u), context=model.noise_context(CELLS))
    np.testing.assert_allclose(log_q, again, atol=1e-8)
    np.testing.assert_allclose(model.dequantize(CELLS, seed=(1, 2)), CELLS + u)
    expected = model.flow.log_prob(CELLS + u) - log_q
    np.testing.assert_allclose(model.log_prob(CELLS, seed=(1, 2)), expected, atol=1e-9)


def test_the_noise_of_each_cell_is_a_density_on_the_unit_square():
    model = pairs("variational")
    axis = (np.arange(400) + 0.5) / 400
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 1, 2)
    context = model.noise_context(CELLS)
    density = np.exp(model.noise.log_prob(grid, context=context))
    np.testing.assert_allclose(density.mean(axis=0), 1.0, atol=0.01)
    assert density[:, 0].std() > 0.1  # and not the uniform one
    # Nor the same everywhere.
    assert np.abs(density[:, 0] - density[:, 1]).max() > 0.03


def test_noise_sees_the_middles_of_the_cells_between_minus_one_and_one():
    seen = pairs("variational").noise_context(np.array([[0, 1], [2, 2]]))
    np.testing.assert_allclose(seen, [[-2 / 3, 0.0], [2 / 3, 2 / 3]])


@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_a_part_of_a_batch_has_the_noise_that_it_has_in_the_whole(kind):
    model = pairs(kind)
    whole = model.log_prob(CELLS, seed=tf.constant([1, 2]))
    part = model.log_prob(CELLS[3:7], seed=tf.constant([1, 2, 3]))
    np.testing.assert_allclose(part, whole[3:7], rtol=1e-12)
    np.testing.assert_array_equal(model.log_prob(CELLS, seed=(1, 2)), whole)
    assert np.abs(model.log_prob(CELLS, seed=3) - whole).max() > 1e-3


def test_uniform_noise_has_no_base():
    model = pairs("uniform")
    assert model.noise is None
    with pytest.raises(ValueError, match="uniform noise, which has no base"):
        model.noise_from_base(CELLS, CELLS)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 2)])
def test_learned_noise_begins_as_uniform_noise(shape):
    learned = noise_flow(shape, 256)
    x = tf.random.stateless_uniform([4000, *shape], (1, 2), minval=-1.0)
    u, log_q = learned.experimental_sample_and_log_prob([], seed=(3, 4), context=x)
    margin = 256 * np.finfo(np.float32).eps
    size = int(np.prod(shape))
    np.testing.assert_allclose(log_q, -size * np.log(1 - 2 * margin), atol=1e-4)
    # Kolmogorov and Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand.
    ordered, steps = np.sort(u.numpy().ravel()), np.arange(4000 * size) / (4000 * size)
    assert np.abs(ordered - steps).max() < 1.95 / np.sqrt(4000 * size)


def test_the_first_bound_of_a_recipe_is_that_of_uniform_noise():
    x = np.random.default_rng(0).integers(0, 17, (5000, 4, 4, 1))
    uniform, variational = (
        flows.real_nvp((4, 4, 1), 2, filters=4, num_values=17, dequantization=name)
        for name in ("uniform", "variational")
    )
    difference = variational.log_prob(x, seed=1) - uniform.log_prob(x, seed=2)
    error = np.std(difference) / np.sqrt(len(x))
    assert error < 0.06  # of 48 nats
    assert abs(np.mean(difference)) < 4 * error


def test_rounding_never_carries_noise_into_the_next_cell():
    for values in (2, 17, 32, 256):
        learned = noise_flow((2,), values)
        model = Dequantized(Flow(UnitInterval((2,))), values, learned)
        for extreme in (-1e4, 1e4):
            x = np.arange(values)[:, None] * np.ones(2)
            u, log_q = model.noise_from_base(x, tf.fill([values, 2], extreme))
            point = (x.astype(np.float32) + u).numpy()
            np.testing.assert_array_equal(np.floor(point), x)
            assert np.isfinite(log_q).all()
            assert (u.numpy() > 0).all() and (u.numpy() < 1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_estimate_is_a_function_of_the_seed_eager_and_traced(dtype):
    model = pairs("variational", dtype=dtype)
    seed = tf.constant([3, 4])

    def bound(x, seed=None):
        return model.log_prob(x, seed=seed)

    one = bound(CELLS, seed).numpy()
    assert one.dtype == dtype
    np.testing.assert_array_equal(bound(CELLS, seed), one)
    np.testing.assert_array_equal(bound(CELLS, 9), bound(CELLS, 9))
    any_batch = [tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([2], tf.int32)]
    traced = tf.function(bound, input_signature=any_batch)
    for rows in (CELLS, CELLS[:4]):
        np.testing.assert_allclose(traced(rows, seed), bound(rows, seed), rtol=1e-4)
    for different in (bound(CELLS, seed + 1), bound(CELLS)):
        assert (different.numpy() != one).all()


def test_xla_draws_other_noise_but_from_the_same_bound():
    # TensorFlow's generators give other numbers under XLA, from the same seed.
    model = pairs("variational")
    x = np.broadcast_to(CELLS[4], (4000, 2))
    compiled = tf.function(model.log_prob, jit_compile=True)(
        x, seed=tf.constant([1, 2])
    )
    eager = model.log_prob(x, seed=(1, 2))
    error = np.std(eager) * np.sqrt(2 / 4000)
    assert 0 < abs(np.mean(compiled) - np.mean(eager)) < 4 * error


def test_the_noise_networks_run_once_for_a_log_prob():
    model, calls = pairs("variational"), []
    for layer in model.noise.keras_layers:
        if isinstance(layer, MLP):
            call = layer.call
            layer.call = lambda *a, c=call, **k: calls.append(1) or c(*a, **k)
    model.log_prob(CELLS, seed=1)
    assert len(calls) == 2


def test_gradients_reach_all_weights_of_both_flows_and_both_sides_see_them():
    model = pairs("variational")
    own = len(model.flow.trainable_variables), len(model.noise.trainable_variables)
    assert min(own) > 0
    laws.assert_both_sides_see_the_weights(model, model.keras_layers, sum(own))
    laws.assert_every_weight_gets_gradient(
        model, lambda: tf.reduce_mean(model.log_prob(CELLS, seed=1) ** 2)
    )
    fixed = [v for v in model.raw_variables if not v.trainable]
    assert len(model.raw_variables) == sum(own) + len(fixed)
    assert {v.name.split("/")[-1].split(":")[0] for v in fixed} == {
        "adapted",
        "center",
        "gain",
    }


def test_the_gradient_is_that_of_finite_differences():
    model = pairs("variational")
    weight = next(v for v in model.noise.trainable_variables if v.shape.rank == 2)

    def loss():
        return tf.reduce_mean(model.log_prob(CELLS, seed=1))

    with tf.GradientTape() as tape:
        value = loss()
    gradient = tape.gradient(value, weight).numpy()
    there = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    step = np.zeros(gradient.shape)
    step[there] = 1e-5
    around = [weight.assign_add(s * step) is not None and loss() for s in (1, -2)]
    numeric = float(around[0] - around[1]) / 2e-5
    np.testing.assert_allclose(gradient[there], numeric, rtol=1e-6)


def test_a_conditional_flow_may_have_learned_noise():
    model = pairs("variational", context_shape=(1,))
    context = np.array([[0.5], [-1.0]])
    bounds = []
    for c in context:
        exact = exact_log_prob(model, CELLS, context=c)
        np.testing.assert_allclose(np.exp(exact).sum(), 1.0, atol=1e-5)
        bounds.append(many(model, CELLS, 4000, context=c).mean(axis=0))
        assert (bounds[-1] < exact).all()
    assert np.abs(bounds[0] - bounds[1]).max() > 0.05
    assert model.log_prob(CELLS[:, None], seed=1, context=context).shape == [9, 2]
    assert model.given(context).log_prob(CELLS[:2], seed=1).shape == [2]
    with pytest.raises(ValueError, match="conditional"):
        model.log_prob(CELLS, seed=1)


def test_learned_noise_leaves_samples_codes_and_traces_alone():
    model = pairs("variational")
    plain = Dequantized(model.flow, VALUES)
    np.testing.assert_array_equal(model.sample(50, seed=1), plain.sample(50, seed=1))
    np.testing.assert_array_equal(model.encode(CELLS), plain.encode(CELLS))
    np.testing.assert_array_equal(model.decode(model.encode(CELLS)), CELLS)
    last = [m.trace(CELLS)[-1][2] for m in (model, plain)]
    np.testing.assert_array_equal(last[0], last[1])


def test_what_is_no_integer_in_range_has_no_mass_with_learned_noise_either():
    model = pairs("variational")
    outside = np.array([[-1.0, 0.0], [0.0, VALUES], [0.5, 1.0]])
    np.testing.assert_array_equal(model.log_prob(outside, seed=1), [-np.inf] * 3)


def test_noise_that_leaves_the_cell_gives_no_bound():
    wide = Flow(
        Chain([tfb.Scale(np.float64(3.0)), *noise().bijector.bijectors]),
        noise().distribution,
    )
    model = Dequantized(pairs("uniform").flow, VALUES, wide)
    draws = many(model, CELLS[:1], 200)
    assert np.isneginf(draws).any() and np.isfinite(draws).any()


def test_a_copy_shares_the_weights_of_both_flows():
    model = pairs("variational")
    clone = model.copy(name="clone")
    assert clone.noise is model.noise and clone.flow is model.flow
    np.testing.assert_array_equal(
        clone.log_prob(CELLS, seed=1), model.log_prob(CELLS, seed=1)
    )


def test_a_noise_flow_with_act_norms_is_adapted_to_uniform_noise():
    chain = noise().bijector.bijectors
    norm = ActNorm((2,), dtype="float64")
    learned = Flow(Chain([chain[0], norm, *chain[1:]]), noise().distribution)
    recipe = flows.real_nvp((2,), 2, (8,), num_values=VALUES, dtype="float64")
    model = Dequantized(recipe.flow, VALUES, learned)
    x = np.random.default_rng(0).integers(0, VALUES, (4000, 2))
    assert not model.is_adapted
    recipe.adapt(x)
    assert model.flow.is_adapted and not model.is_adapted
    model.adapt(tf.data.Dataset.from_tensor_slices(x).batch(1000))
    assert model.is_adapted
    # A logit of uniform noise is logistic: its deviation is pi / sqrt(3).
    deviation = np.exp(norm.keras_layers[0]["log_scale"])
    np.testing.assert_allclose(deviation, np.pi / np.sqrt(3), rtol=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: noise_flow((3,), 3, dtype="float64"), r"shape \(2,\) in float64.*3,"),
        (lambda: flows.real_nvp((2,), 2, dtype="float64"), "context_shape None"),
        (lambda: noise(dtype="float32"), "in float32"),
        (
            lambda: StandardNormal((2,), "float64"),
            "needs a Flow as noise, got Standard",
        ),
    ],
)
def test_noise_that_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        Dequantized(pairs("uniform").flow, VALUES, make())


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2,) * 5, {}, "Flatten"),
        ((4,), {"num_steps": 0}, "num_steps >= 1"),
        ((1,), {}, "at least 2 units"),
        ((1, 1, 3), {}, "at least 2 positions"),
    ],
)
def test_noise_needs_something_to_couple(shape, options, message):
    with pytest.raises(ValueError, match=message):
        noise_flow(shape, 4, **options)


def test_the_unit_interval_refuses_a_margin_without_room():
    with pytest.raises(ValueError, match=r"margin in \[0, 0.5\)"):
        UnitInterval((2,), margin=0.5)


_OPTIONS = {"num_values": VALUES, "dequantization": "variational", "activation": "tanh"}


def test_all_weights_are_saved_and_restored(tmp_path):
    made = [FlowModel(flows.real_nvp((2,), 2, (8,), **_OPTIONS)) for _ in range(3)]
    for model in made:
        model.compile("adam")
    laws.randomize(made[0].flow)
    wanted = made[0].flow.log_prob(CELLS, seed=1)
    made[0].save_weights(tmp_path / "model.weights.h5")
    made[1].load_weights(tmp_path / "model.weights.h5")
    made[0].save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    path = tf.train.Checkpoint(flow=made[0].flow).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(flow=made[2].flow).restore(path).assert_consumed()
    for model in (made[1], loaded, made[2]):
        assert model.flow.noise is not None
        np.testing.assert_array_equal(model.flow.log_prob(CELLS, seed=1), wanted)


def on_the_diagonal(count, seed):
    """Two equal values, mostly: three of nine cells have nearly all of the mass."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, VALUES, count)
    second = np.where(rng.random(count) < 0.95, first, rng.integers(0, VALUES, count))
    return np.stack([first, second], axis=-1)


@pytest.mark.slow
def test_learned_noise_beats_uniform_noise_after_training():
    x, scores = on_the_diagonal(1024, seed=0), {}
    for name in ("uniform", "variational"):
        keras.utils.set_random_seed(1)
        options = _OPTIONS | {"dequantization": name}
        model = FlowModel(flows.real_nvp((2,), 2, (32,), **options))
        model.compile(keras.optimizers.Adam(1e-2))
        first = model.fit(x, epochs=1, batch_size=256, verbose=0).history["nll"][0]
        model.fit(x, epochs=29, batch_size=256, verbose=0)
        draws = [model.flow.log_prob(x, seed=i) for i in range(20)]
        scores[name] = -np.mean(draws)
        assert scores[name] < first - 0.3
    assert scores["variational"] < scores["uniform"] - 0.1
    shares = np.unique(x, axis=0, return_counts=True)[1] / len(x)
    assert scores["variational"] > -(shares * np.log(shares)).sum()
