"""Integers, auxiliary variables, bases and mixtures against independent answers."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import flows
from tfp_flows.bijectors import ActNorm
from tfp_flows.distributions import (
    Augmented,
    Dequantized,
    Flow,
    Given,
    StandardLogistic,
    StandardNormal,
)

tfd, tfb = tfp.distributions, tfp.bijectors


def pixels(**kwargs):
    flow = flows.real_nvp(
        (2,), 2, (8,), num_values=4, activation="tanh", dtype="float64", **kwargs
    )
    laws.randomize(flow)
    return flow


def test_bases_are_what_tfp_has():
    z = np.random.default_rng(0).normal(size=(5, 3)) * 4
    for ours, theirs in (
        (StandardNormal((3,), "float64"), tfd.Normal(np.float64(0), np.float64(1))),
        (StandardLogistic((3,), "float64"), tfd.Logistic(np.float64(0), np.float64(1))),
    ):
        theirs = tfd.Sample(theirs, 3)
        np.testing.assert_allclose(ours.log_prob(z), theirs.log_prob(z), atol=1e-12)
        drawn = ours.sample(50000, seed=(1, 2))
        np.testing.assert_allclose(
            tf.math.reduce_std(drawn, 0), tf.sqrt(theirs.variance()), rtol=0.02
        )
        np.testing.assert_allclose(ours.variance(), theirs.variance())
    entropy = StandardNormal((3,), "float64").entropy()
    np.testing.assert_allclose(
        entropy, tfd.Sample(tfd.Normal(np.float64(0), np.float64(1)), 3).entropy()
    )


def test_the_bound_over_all_integers_is_at_most_one_and_near_it():
    model = pixels()
    grid = np.stack(np.meshgrid(range(4), range(4)), -1).reshape(-1, 2)
    copies = np.broadcast_to(grid, (400, *grid.shape))  # each with noise of its own
    draws = model.log_prob(copies, seed=(0, 1)).numpy()
    bound = np.exp(np.mean(draws, axis=0)).sum()  # Jensen: below the probability
    mass = np.exp(draws).mean(axis=0).sum()  # importance sampling of each cell
    assert bound < mass < 1.02
    assert mass > 0.5


def test_the_mass_of_a_cell_is_the_density_integrated_over_it():
    model = pixels()
    steps = (np.arange(60) + 0.5) / 60
    inside = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    cell = np.array([1.0, 2.0])
    copies = np.tile(cell, (2000, 1))  # each with noise of its own
    exact = np.exp(model.flow.log_prob(cell + inside).numpy()).mean()
    draws = model.log_prob(copies, seed=(0, 1)).numpy()
    np.testing.assert_allclose(np.exp(draws).mean(), exact, rtol=0.05)
    assert np.mean(draws) < math.log(exact)


def test_what_is_no_integer_in_range_has_no_mass():
    model = pixels()
    outside = np.array([[-1.0, 0.0], [0.0, 4.0], [0.5, 1.0]])
    np.testing.assert_array_equal(model.log_prob(outside), [-np.inf] * 3)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32"])
def test_integers_of_any_type_give_the_same_number(dtype):
    model, x = pixels(), np.array([[1, 3], [0, 2]])
    np.testing.assert_allclose(
        model.log_prob(x.astype(dtype), seed=(1, 2)), model.log_prob(x, seed=(1, 2))
    )


def test_noise_is_fresh_without_a_seed_also_in_a_traced_function():
    model, x = pixels(), np.array([[1, 3]])
    traced = tf.function(model.log_prob)
    assert float(traced(x)[0]) != float(traced(x)[0])
    assert float(model.log_prob(x)[0]) != float(model.log_prob(x)[0])


def test_samples_are_integers_in_range_and_survive_encoding():
    model = pixels()
    x = model.sample(500, seed=(1, 2), temperature=1.5)
    assert x.dtype == tf.int32
    assert set(np.unique(x)) <= set(range(4))
    np.testing.assert_array_equal(model.decode(model.encode(x)), x)


def test_bits_per_dim_of_a_uniform_model_is_log2_of_the_values():
    model = Dequantized(
        Flow(
            tfb.Scale(4.0),
            tfd.Independent(tfd.Uniform([0.0, 0.0], [1.0, 1.0]), 1),
        ),
        num_values=4,
    )
    bits = model.bits_per_dim(np.array([[0, 3], [2, 2]]))
    np.testing.assert_allclose(bits, [2.0, 2.0], rtol=1e-5)


def test_conditional_integers():
    model = pixels(context_shape=(1,))
    x, context = np.array([[1, 3], [0, 2]]), np.array([[0.0], [1.0]])
    assert model.log_prob(x, context=context).shape == [2]
    assert model.sample(3, context=context).shape == [3, 2, 2]
    assert model.given(context).log_prob(x).shape == [2]
    with pytest.raises(ValueError, match="real_nvp"):
        model.log_prob(x)


def test_adapting_to_a_data_set_is_adapting_to_its_events():
    rows = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    by_set, by_array = (flows.real_nvp((4,), 2, (8,)) for _ in range(2))
    by_set.adapt(tf.data.Dataset.from_tensor_slices(rows).batch(10))
    by_array.adapt(rows)
    for v, w in zip(by_set.raw_variables, by_array.raw_variables, strict=True):
        if "shift" in v.name or "log_scale" in v.name:
            np.testing.assert_allclose(v, w, atol=1e-6)
    with pytest.raises(ValueError, match="empty"):
        by_set.adapt(tf.data.Dataset.from_tensor_slices(rows[:0]).batch(10))


def test_given_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="not conditional"):
        flows.real_nvp((2,), 2, (8,)).given([[1.0]])
    with pytest.raises(ValueError, match="wants a context"):
        Given(flows.real_nvp((2,), 2, (8,), context_shape=(3,)), [[1.0]])


def test_a_flow_around_a_tfp_bijector_needs_a_base():
    with pytest.raises(ValueError, match="Pass distribution"):
        Flow(tfb.Exp())


def _pair_gaussian():
    """A reversible flow whose networks are linear: log p(x) is known in closed form."""
    model = flows.reversible((1,), 1, (4,), activation="linear", dtype="float64")
    laws.randomize(model.joint, scale=0.8)
    return model


def test_the_auxiliary_bound_is_below_log_p_and_importance_weights_close_the_gap():
    model = _pair_gaussian()
    grid = np.linspace(-9, 9, 721)
    x = np.array([[0.3], [-1.2]])
    pairs = [np.repeat(x[:, None], len(grid), 1), np.tile(grid[:, None], (2, 1, 1))]
    joint = model.joint.log_prob([pairs[0], pairs[1]]).numpy()
    exact = np.log(np.exp(joint).sum(axis=1) * (grid[1] - grid[0]))
    copies = np.broadcast_to(x, (40000, *x.shape))  # each with noise of its own
    bound = np.mean(model.log_prob(copies, seed=(0, 1)), axis=0)
    estimate = model.importance_log_prob(x, num_samples=4000, seed=(1, 2))
    assert (bound < exact).all()
    np.testing.assert_allclose(estimate, exact, atol=0.05)


def test_the_joint_flow_trains_all_weights_and_samples_data():
    model = flows.reversible((3,), 2, (8,), activation="tanh")
    laws.randomize(model.joint)
    laws.assert_both_sides_see_the_weights(model, model.joint.keras_layers, 16)
    laws.assert_every_weight_gets_gradient(
        model, lambda: tf.reduce_mean(model.log_prob(tf.ones([8, 3]), seed=(1, 2)))
    )
    assert model.sample(5, seed=(1, 2)).shape == [5, 3]
    pair = model.joint.sample(5, seed=(1, 2))
    z = model.joint.encode(pair)
    np.testing.assert_allclose(model.joint.decode(z)[0], pair[0], atol=1e-5)


def test_the_auxiliary_variable_may_depend_on_the_data():
    joint = flows.reversible((2,), 1, (8,)).joint
    model = Augmented(joint, flows.real_nvp((2,), 2, (8,), context_shape=(2,)))
    laws.randomize(model)
    assert model.log_prob(tf.ones([5, 2]), seed=(1, 2)).shape == [5]
    assert model.importance_log_prob(tf.ones([5, 2]), 7, seed=(1, 2)).shape == [5]
    with pytest.raises(ValueError, match="pairs"):
        Augmented(StandardNormal((2,)), StandardNormal((2,)))


def test_bases_of_tfp_draw_others_at_another_place_of_the_batch():
    base = tfd.Sample(tfd.Laplace(0.0, 1.0), 2)
    flow = Flow(ActNorm((2,)), base)
    seeds = [tf.constant([1, 2, row]) for row in (0, 7, 7)]
    first, other, again = (flow.sample(5, seed=seed).numpy() for seed in seeds)
    assert not np.isin(first, other).any()
    np.testing.assert_array_equal(other, again)
    model = Augmented(flows.reversible((2,), 1, (8,)).joint, base)
    bounds = [model.log_prob(tf.ones([5, 2]), seed=s).numpy() for s in seeds]
    assert np.isfinite(bounds).all() and not np.isin(bounds[0], bounds[1]).any()
