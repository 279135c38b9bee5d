"""Completions by particles: exact answers, what they say of themselves, refusals."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tests import laws
from tests.distributions.test_autoregressive import (
    ODD_PIXELS,
    PIXELS,
    REVERSED,
    all_states,
    assert_frequencies,
    model_of,
)
from tests.distributions.test_completion import JOINT, TERNARY
from tests.tiny_autoregressive import Tiny
from tfp_flows import flows
from tfp_flows.distributions import (
    Autoregressive,
    complete,
    complete_by_particles,
)
from tfp_flows.distributions.elements import NormalMixture

LATER = [[False, True], [False, True]]
CASES = {
    "every second unit": (TERNARY, None, LATER),
    "the last unit": (TERNARY, None, [[False, False], [False, True]]),
    "the first of a reversed order": (TERNARY, REVERSED, [[True, True], [True, False]]),
    "parts of blocks": (TERNARY, ODD_PIXELS, [[True, False], [False, True]]),
    "the last pixel": (JOINT, PIXELS, [[False, False], [True, True]]),
}
RECIPES = {
    "pixel_cnn": lambda: flows.pixel_cnn((2, 2, 1), 1, 6, num_values=2),
    "pixel_rnn": lambda: flows.pixel_rnn((2, 2, 1), 1, 6, num_values=2),
    "wavenet": lambda: flows.wavenet((4, 1), 3, 4, num_values=2),
    "recurrent": lambda: flows.recurrent((4, 1), (4,), num_values=2),
    "in_order": lambda: flows.any_order((4,), num_values=2, hidden_units=(8,)).in_order(
        [2, 3, 0, 1]
    ),
}


def conditional(probabilities, states, x, mask):
    """Probabilities of all states given the known units of x."""
    known = (states == x)[:, mask].all(axis=1)
    found = np.where(known, probabilities, 0.0)
    return found / found.sum(), found.sum()


def most_open(model, mask):
    """The event whose known units leave the most to be drawn."""
    states, mask = all_states(model), np.broadcast_to(mask, model.event_shape)
    probabilities = np.exp(model.log_prob(states))
    left = [conditional(probabilities, states, x, mask)[0] for x in states]
    return states[np.argmax(stats.entropy(left, axis=1))]


def assert_as_enumerated(model, x, mask, copies=4000, **options):
    """Draws of independent particles have the exact frequencies, and p(known)."""
    states = all_states(model)
    probabilities = np.exp(model.log_prob(states))
    mask = np.broadcast_to(mask, x.shape)
    found = complete_by_particles(
        model, np.tile(x, [copies] + [1] * x.ndim), mask, seed=1, **options
    )
    drawn = found.x.numpy()[0]
    np.testing.assert_array_equal(drawn[:, mask], np.tile(x[mask], (copies, 1)))
    wanted, known = conditional(probabilities, states, x, mask)
    assert_frequencies(drawn, states, wanted)
    ratio = np.exp(found.log_prob_of_known) / known
    error = ratio.std() / np.sqrt(copies)
    assert abs(ratio.mean() - 1.0) < 5 * error + 1e-6
    return found.effective_sample_size.numpy()


@pytest.mark.parametrize("element,order,mask", CASES.values(), ids=CASES)
def test_draws_have_the_conditional_frequencies(element, order, mask):
    model = model_of(element, order)
    x = most_open(model, mask)
    size = assert_as_enumerated(model, x, mask, num_particles=200)
    assert (size <= 200.0 + 1e-6).all() and size.min() < 199.0


@pytest.mark.parametrize("make", RECIPES.values(), ids=RECIPES)
def test_networks_of_all_kinds_go_on_after_resampling(make):
    model = make()
    laws.randomize(model, scale=1.5)
    # Of each two units the one that the model draws later is known.
    mask = np.zeros(model.event_shape, bool)
    mask.flat[model.network.order.ravel()[1::2]] = True
    assert_as_enumerated(model, most_open(model, mask), mask, num_particles=100)


def test_events_have_masks_and_contexts_of_their_own():
    model = model_of(TERNARY, context_shape=(2,))
    states = all_states(model)
    masks = np.array([LATER, [[True, True], [False, True]]])
    contexts, given = np.array([[1.0, 0.0], [0.0, -1.0]]), states[[11, 61]]
    copies = 3000
    found = complete_by_particles(
        model,
        np.repeat(given, copies, axis=0),
        np.repeat(masks, copies, axis=0),
        seed=3,
        context=np.repeat(contexts, copies, axis=0),
        num_particles=100,
    )
    drawn = found.x.numpy()[0].reshape(2, copies, 2, 2)
    for i in range(2):
        probabilities = np.exp(model.log_prob(states, context=contexts[i]))
        wanted, _ = conditional(probabilities, states, given[i], masks[i])
        assert_frequencies(drawn[i], states, wanted)


class Linear(Tiny):
    """Means that are linear in the units before, and standard deviations of one."""

    def call(self, x, context=None):
        masked = self.kernel * tf.cast(self._mask, x.dtype)
        means = tf.reshape(x @ masked, [-1, *self.event_shape, self.num_params])
        return means * tf.constant([0.0, 1.0, 0.0], x.dtype)


def test_a_linear_gaussian_model_has_the_gaussian_conditional():
    network = Linear((4,), 3, 1, dtype="float64")
    model = Autoregressive(network, NormalMixture(1), dtype="float64")
    laws.randomize(model, scale=0.7)
    # x = A x + noise, with A strictly lower: a Gaussian of covariance B B'.
    a = (network.kernel.numpy() * network._mask).reshape(4, 4, 3)[..., 1].T
    covariance = np.linalg.inv(np.eye(4) - a) @ np.linalg.inv(np.eye(4) - a).T
    known = np.array([False, True, False, True])
    x = np.array([9.0, 0.7, -9.0, -1.5])
    copies = 2000
    found = complete_by_particles(
        model, np.tile(x, (copies, 1)), known, seed=1, num_particles=500
    )
    drawn = found.x.numpy()[0][:, ~known]
    gain = covariance[~known][:, known] @ np.linalg.inv(covariance[known][:, known])
    left = covariance[~known][:, ~known] - gain @ covariance[known][:, ~known]
    white = np.linalg.solve(np.linalg.cholesky(left), (drawn - gain @ x[known]).T)
    for number in white:
        assert stats.kstest(number, "norm").pvalue > 1e-3
    assert stats.kstest((white**2).sum(axis=0), stats.chi2(2).cdf).pvalue > 1e-3
    of_known = stats.multivariate_normal(cov=covariance[known][:, known])
    ratio = np.exp(found.log_prob_of_known - of_known.logpdf(x[known]))
    assert abs(ratio.mean() - 1.0) < 5 * ratio.std() / np.sqrt(copies)


def test_complete_chooses_particles_and_seeds_repeat_them():
    model = model_of(TERNARY)
    x = all_states(model)[[11, 61]]
    by_name = complete_by_particles(model, x, LATER, 5, seed=(1, 2), num_particles=50)
    drawn = complete(model, x, LATER, 5, seed=(1, 2), num_particles=50)
    assert drawn.shape == (5, 2, 2, 2) and drawn.dtype == tf.int32
    np.testing.assert_array_equal(drawn, by_name.x)
    other = complete(model, x, LATER, 5, seed=(1, 3), num_particles=50)
    assert (drawn.numpy() != other.numpy()).any()
    for size in (2, None):  # a batch that is known when it is traced, or not
        traced = tf.function(
            lambda x: complete(model, x, LATER, 5, seed=(1, 2), num_particles=50),
            input_signature=[tf.TensorSpec([size, 2, 2], tf.int32)],
        )
        np.testing.assert_array_equal(traced(tf.constant(x, tf.int32)), drawn)
    more = complete_by_particles(model, x, LATER, 60, seed=1, num_particles=2)
    assert more.x.shape == (60, 2, 2, 2)
    none = complete_by_particles(model, np.zeros([0, 2, 2], int), LATER, 3)
    assert none.x.shape == (3, 0, 2, 2) and none.problem() is None


def test_a_beginning_keeps_all_particles():
    model = model_of(TERNARY)
    mask = [[True, True], [False, False]]
    found = complete_by_particles(
        model, all_states(model)[11], mask, 3, seed=1, num_particles=64
    )
    assert found.effective_sample_size.numpy() == pytest.approx(64.0)
    assert found.problem() is None and found.cure == "give more particles."


def test_few_particles_that_fit_are_warned_of():
    network = Linear((2,), 3, 1, dtype="float64")
    model = Autoregressive(network, NormalMixture(1), dtype="float64")
    network.kernel.assign(np.zeros((2, 6)) + 1.0)  # x[1] = x[0] + noise
    with pytest.warns(UserWarning, match="size is .* 1 of 1 events.*flows.any_order"):
        drawn = complete(model, [0.0, 12.0], [False, True], 4, seed=1)
    assert np.isfinite(drawn).all() and (drawn[:, 0].numpy() > 2.0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        complete(model, [0.0, 1.0], [False, True], 4, seed=1)
    far = np.array([0.0, 1e200])
    found = complete_by_particles(model, far, [False, True], seed=1)
    assert found.effective_sample_size == 0.0 and "size is 0" in found.problem()
    assert found.log_prob_of_known == -np.inf and np.isfinite(found.x).all()


def test_what_particles_cannot_take_is_refused():
    model, x = model_of(TERNARY), np.zeros([2, 2], int)
    for num_particles in (1, 2.5, None):
        with pytest.raises(ValueError, match="num_particles >= 2"):
            complete(model, x, LATER, num_particles=num_particles)
    with pytest.raises(ValueError, match="numbers from 0 to 2 .* got 3 in row 1"):
        complete(model, [x, x + 3], LATER)
    with pytest.raises(ValueError, match="by particles, which draw at temperature 1"):
        complete(model, x, LATER, temperature=0.5)
    with pytest.raises(ValueError, match="known in part"):
        complete(model_of(JOINT, PIXELS), x, [[True, False], [False, False]])
    with pytest.raises(ValueError, match="needs an Autoregressive model, got Gaussian"):
        complete_by_particles(flows.gaussian((2,)), [0.0, 0.0], True)
