"""Any-order models against the enumeration of all states and of all orders."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tests.distributions.test_autoregressive import all_states, assert_frequencies
from tfp_flows import flows, serving
from tfp_flows.distributions import AnyOrder, complete
from tfp_flows.distributions.elements import Bernoulli
from tfp_flows.networks import MADE, MLP, AnyOrderNetwork

_CONV = {"filters": 4, "num_blocks": 1, "activation": "tanh"}
MODELS = {
    "vector": lambda **kw: flows.any_order(
        (3,), num_values=3, hidden_units=(8,), activation="tanh", **kw
    ),
    "image": lambda **kw: flows.any_order((1, 3, 1), num_values=3, **_CONV, **kw),
    "joint channels": lambda **kw: flows.any_order(
        (1, 2, 2), num_values=2, element="mixture", num_components=2, **_CONV, **kw
    ),
}


def randomized(make, **kwargs):
    model = make(dtype="float64", **kwargs)
    laws.randomize(model, scale=1.0)
    return model


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    """A model, its states, and their masses in every order."""
    model = randomized(MODELS[request.param])
    states = all_states(model)
    orders = list(itertools.permutations(range(model.network.num_positions)))
    masses = {
        order: np.exp(tf.function(model.in_order(order).log_prob)(states))
        for order in orders
    }
    return model, states, masses


def test_the_masses_of_each_order_sum_to_one_and_differ(case):
    _, _, masses = case
    for mass in masses.values():
        np.testing.assert_allclose(mass.sum(), 1.0, atol=1e-10)
        assert mass.std() > 1e-3
    assert np.ptp(list(masses.values()), axis=0).max() > 1e-3


def test_samples_are_those_of_the_mean_over_orders(case):
    model, states, masses = case
    samples = model.sample(8000, seed=1).numpy()
    assert_frequencies(samples, states, np.mean(list(masses.values()), axis=0))
    one = model.in_order("reversed").sample(4000, seed=2).numpy()
    order = tuple(reversed(range(model.network.num_positions)))
    assert_frequencies(one, states, masses[order])


def test_log_prob_estimates_the_mean_of_the_orders_logarithms(case):
    model, states, masses = case
    wanted = np.mean(np.log(list(masses.values())), axis=0)
    repeated = np.tile(states, (2000, *[1] * len(model.event_shape)))
    many = tf.function(model.log_prob)(repeated, seed=1)
    many = many.numpy().reshape(2000, len(states))
    error = many.std(axis=0) / np.sqrt(2000)
    assert (np.abs(many.mean(axis=0) - wanted) < 5 * error + 1e-9).all()


@pytest.mark.parametrize("place", [0, 1])
def test_every_completion_has_the_conditional_frequencies(case, place):
    model, states, masses = case
    network = model.network
    block = network.block_size
    known = np.zeros(states[0].size, bool)
    known[place * block : (place + 1) * block] = True
    mask, given = known.reshape(model.event_shape), states[len(states) * 2 // 3]
    drawn = complete(model, given, mask, 5000, seed=3).numpy()
    np.testing.assert_array_equal(drawn[:, mask], np.tile(given[mask], (5000, 1)))
    fits = (states == given)[:, mask].all(axis=1)
    # The mean over those orders that begin with what is known.
    begun = [m for order, m in masses.items() if order[0] == place]
    each = [np.where(fits, m, 0.0) / m[fits].sum() for m in begun]
    assert_frequencies(drawn, states, np.mean(each, axis=0))


def test_masks_of_their_own_of_all_and_of_nothing(case):
    model, states, masses = case
    x = states[[1, -2]]
    masks = np.zeros_like(x, bool)
    masks[0] = True
    drawn = complete(model, x, masks, 4000, seed=4).numpy()
    np.testing.assert_array_equal(drawn[:, 0], np.broadcast_to(x[0], drawn[:, 0].shape))
    assert_frequencies(drawn[:, 1], states, np.mean(list(masses.values()), axis=0))
    np.testing.assert_array_equal(complete(model, x, True, 2), [x, x])


def test_log_prob_by_position_adds_up_and_conditions(case):
    model, states, masses = case
    order = list(masses)[-1]
    parts = model.in_order(order).log_prob_by_position(states).numpy()
    np.testing.assert_allclose(np.exp(parts.sum(axis=-1)), masses[order], atol=1e-12)
    blocks = states.reshape(len(states), -1, model.network.block_size)
    first = blocks[:, order[0]]
    same = (first == first[0]).all(axis=1)  # the marginal mass of the first position
    np.testing.assert_allclose(np.exp(parts[0, 0]), masses[order][same].sum())


def test_contexts_reach_the_units():
    model = randomized(MODELS["vector"], context_shape=(2,))
    states = all_states(model)
    context = np.array([[0.0, 1.0], [2.0, -1.0]])
    exact = model.in_order()
    masses = np.exp(exact.log_prob(states[:, None], context=context))
    np.testing.assert_allclose(masses.sum(axis=0), 1.0)
    assert np.abs(masses[:, 0] - masses[:, 1]).max() > 0.01
    drawn = exact.sample(3000, seed=1, context=context).numpy()
    for i in range(2):
        assert_frequencies(drawn[:, i], states, masses[:, i])
    mask = np.array([True, False, False])
    assert complete(model, states[5], mask, 4, context=context).shape == (4, 2, 3)
    with pytest.raises(ValueError, match="conditional and got no context"):
        model.sample(3)


def test_a_completion_takes_as_many_calls_as_there_are_unknown_positions():
    model = randomized(MODELS["image"])
    calls = []
    body = model.network.features

    def counted(*args):
        called = tf.numpy_function(lambda: calls.append(1) or 0, [], [tf.int64])
        with tf.control_dependencies(called):
            return body(*args)

    model.network.features = counted
    x = np.zeros([5, 1, 3, 1], int)
    for mask, wanted in [([1, 0, 0], 2), ([0, 0, 0], 3), ([1, 1, 1], 0)]:
        calls.clear()
        model._compiled = tf.function(model._generate, autograph=False)
        complete(model, x, np.reshape(mask, [1, 3, 1]), 2, seed=1)
        assert len(calls) == wanted


def test_it_is_exported_in_the_order_of_rows(tmp_path):
    model = randomized(MODELS["vector"])
    directory = serving.export(model, tmp_path)
    served = tf.saved_model.load(str(directory)).signatures["log_prob"]
    states = all_states(model)
    found = served(x=tf.constant(states, tf.int32))["log_prob"]
    np.testing.assert_allclose(found, model.in_order().log_prob(states), atol=1e-5)


def test_what_does_not_fit_is_refused():
    model = MODELS["joint channels"]()
    mask = np.array([[[True, False], [True, True]]])
    with pytest.raises(ValueError, match="known in part. Mark whole pixels"):
        complete(model, np.zeros([1, 2, 2]), mask)
    with pytest.raises(ValueError, match="no order 'columns'"):
        model.in_order("columns")
    with pytest.raises(ValueError, match="each of its 2 positions once"):
        model.in_order([0, 0])
    for call, match in [
        (lambda: flows.any_order((3,)), "needs num_values >= 2, got None"),
        (lambda: flows.any_order((3,), num_values=2, filters=8), "it is for events wi"),
        (
            lambda: flows.any_order((2, 2, 1), num_values=2, hidden_units=(8,)),
            "it is for vectors",
        ),
        (lambda: AnyOrder(MADE((3,), 1), Bernoulli()), "needs an AnyOrderNetwork"),
        (
            lambda: AnyOrder(AnyOrderNetwork(MLP((4,)), (3,), 2), Bernoulli()),
            "num_params=1, as its Bernoulli asks for, got 2",
        ),
        (
            lambda: AnyOrderNetwork(MLP((4,)), (4, 4, 3), 1, block_size=2),
            "block_size of 1 or 3",
        ),
    ]:
        with pytest.raises(ValueError, match=match):
            call()
