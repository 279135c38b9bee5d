"""Completions: conditional frequencies against enumeration, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.distributions.test_autoregressive import (
    ODD_PIXELS,
    PIXELS,
    REVERSED,
    all_states,
    assert_frequencies,
    model_of,
)
from tfp_flows import flows
from tfp_flows.distributions import complete
from tfp_flows.distributions.elements import Categorical, DiscretizedLogisticMixture

tfd = tfp.distributions
TERNARY = Categorical(3)
JOINT = DiscretizedLogisticMixture(3, 2, num_channels=2)
FIRST_ROW = [[True, True], [False, False]]
CASES = {
    "first row": (TERNARY, None, FIRST_ROW),
    "three of four": (TERNARY, None, [[True, True], [True, False]]),
    "last of a reversed order": (TERNARY, REVERSED, [[False, True], [True, True]]),
    "part of a block of independent units": (
        TERNARY,
        ODD_PIXELS,  # units 3 and 1 first; one of them known
        [[False, True], [False, False]],
    ),
    "first pixel": (JOINT, PIXELS, FIRST_ROW),
    "nothing": (TERNARY, None, False),
    "everything": (TERNARY, None, True),
}


@pytest.mark.parametrize("element,order,mask", CASES.values(), ids=CASES)
def test_draws_have_the_conditional_frequencies(element, order, mask):
    model = model_of(element, order)
    states = all_states(model)
    mask = np.broadcast_to(mask, (2, 2))
    given = states[[11, 61]]
    drawn = complete(model, given, mask, 8000, seed=1)
    assert drawn.dtype == tf.int32 and drawn.shape == (8000, 2, 2, 2)
    probabilities = np.exp(model.log_prob(states))
    for i, x in enumerate(given):
        known = (states == x)[:, mask].all(axis=1)
        np.testing.assert_array_equal(drawn.numpy()[:, i, mask] - x[mask], 0)
        conditional = np.where(known, probabilities, 0.0)
        conditional /= conditional.sum()
        assert_frequencies(drawn[:, i].numpy(), states, conditional)


def test_the_unknown_part_of_x_does_not_matter():
    model = model_of(TERNARY)
    one, two = np.ones([2, 2], int), np.array([[1, 1], [-7, 99]])
    np.testing.assert_array_equal(
        complete(model, one, FIRST_ROW, 20, seed=3),
        complete(model, two, FIRST_ROW, 20, seed=3),
    )


def test_contexts_seeds_and_temperatures_pass_through():
    model = model_of(TERNARY, context_shape=(2,))
    x, context = np.ones([3, 2, 2]), np.random.default_rng(0).normal(size=(3, 2))
    one = complete(model, x, FIRST_ROW, 5, seed=(1, 2), context=context)
    assert one.shape == (5, 3, 2, 2)
    again = complete(model, x, FIRST_ROW, 5, seed=(1, 2), context=context)
    np.testing.assert_array_equal(one, again)
    # Row i of the third draw sees the context of row i.
    cold = complete(model, x, FIRST_ROW, 3, seed=4, context=context, temperature=1e-6)
    for i in range(3):
        single = complete(
            model, x[i], FIRST_ROW, 1, seed=5, context=context[i], temperature=1e-6
        )
        np.testing.assert_array_equal(cold[2, i], single[0])
    with pytest.raises(ValueError, match="conditional and got no context"):
        complete(model, x, FIRST_ROW)


def test_the_number_of_steps_is_that_of_one_sample():
    model = model_of(TERNARY)
    function = tf.function(lambda x: complete(model, x, FIRST_ROW, 4, seed=1))
    graph = function.get_concrete_function(tf.TensorSpec([3, 2, 2], tf.int32)).graph
    loops = [op for op in graph.get_operations() if "While" in op.type]
    assert len(loops) == 1


def test_models_and_masks_without_a_way_are_refused():
    with pytest.raises(ValueError, match="known in part"):
        mask = [[True, False], [False, False]]
        complete(model_of(JOINT, PIXELS), np.zeros([2, 2]), mask)
    with pytest.raises(ValueError, match="no way for Augmented 'reversible'"):
        complete(flows.reversible((4,), 1, (4,)), np.zeros([4]), True)
    with pytest.raises(ValueError, match="model of this library, got Normal"):
        complete(tfd.Normal(0.0, 1.0), 0.0, True)
    model = model_of(TERNARY)
    for mask, match in [
        (np.ones([3, 2], bool), r"events of shape \(2, 2\).* got shape \(3, 2\)"),
        (0.5, "mask of bools"),
    ]:
        with pytest.raises(ValueError, match=match):
            complete(model, np.zeros([2, 2]), mask)
    with pytest.raises(ValueError, match="n >= 1 draws"):
        complete(model, np.zeros([2, 2]), True, 0)


def test_every_event_may_have_a_mask_of_its_own():
    model = model_of(TERNARY)
    states = all_states(model)
    masks = np.array([FIRST_ROW, [[True, False], [False, False]]])
    given = states[[11, 61]]
    drawn = complete(model, given, masks, 6000, seed=1).numpy()
    for i, (x, mask) in enumerate(zip(given, masks, strict=True)):
        known = (states == x)[:, mask].all(axis=1)
        conditional = np.where(known, np.exp(model.log_prob(states)), 0.0)
        assert_frequencies(drawn[:, i], states, conditional / conditional.sum())


@pytest.mark.parametrize("batch", [(0,), (2, 0)])
@pytest.mark.parametrize(
    "recipe",
    [
        lambda: flows.gaussian((2,)),
        lambda: flows.gaussian_mixture((2,), 2, missing=True),
        lambda: flows.maf((2,), 1, (4,)),
        lambda: flows.real_nvp((2,), 1, (4,)),
        lambda: flows.recurrent((2, 1), (4,), num_values=3),
        lambda: flows.tabular({"a": "real", "b": "boolean"}, hidden_units=(4,)),
    ],
)
def test_no_events_have_no_completions(recipe, batch):
    model = recipe()
    shape = (*batch, *model.event_shape)
    x = np.zeros(shape, model.dtype.as_numpy_dtype)
    assert complete(model, x, np.zeros(shape, bool), 3, seed=1).shape == (3, *shape)


@pytest.mark.parametrize("n", [None, 2.5, 0, "all"])
def test_what_is_no_number_of_draws_is_refused(n):
    with pytest.raises(ValueError, match="n >= 1 draws for each event, got"):
        complete(flows.gaussian((2,)), np.zeros([1, 2], np.float32), False, n)


@pytest.mark.parametrize(
    ("build", "known", "message"),
    [
        (lambda: flows.gaussian((4,)), np.inf, "finite numbers"),
        (lambda: flows.real_nvp((4,), 2, (8,)), -np.inf, "finite numbers"),
        (lambda: flows.gaussian((4,), num_values=5), 1.7, "whole numbers from 0 to 4"),
        (lambda: flows.real_nvp((4,), 2, (8,), num_values=4), 9, "from 0 to 3"),
        (lambda: flows.wavenet((4, 1), 2, filters=4, num_values=4), -1, "from 0 to 3"),
    ],
    ids=["gaussian", "flow", "fraction", "too large", "too small"],
)
def test_known_units_are_values_that_an_event_can_have(build, known, message):
    model = build()
    x = np.zeros([2, *model.event_shape])
    x[1].flat[0] = known
    mask = np.zeros(model.event_shape, bool)
    mask.flat[0] = True
    with pytest.raises(ValueError, match=f"{message}.*got {known:g} in row 1"):
        complete(model, x, mask)
    assert complete(model, x[:1], mask).shape == (1, 1, *model.event_shape)
