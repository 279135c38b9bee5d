"""Orders of recipes: exact in each, what they complete, and what has no such order."""

import keras
import numpy as np
import pytest

from tests import laws
from tests.distributions.test_autoregressive import all_states, assert_frequencies
from tfp_flows import FlowModel, flows
from tfp_flows.distributions import complete, complete_by_particles

_CNN = {"num_blocks": 1, "filters": 6, "first_kernel_size": 3, "num_values": 3}
_LEFT = [[True, False], [True, False]]
_BELOW = [[False, False], [True, True]]
_CORNERS = [[True, False], [False, True]]
CASES = {
    "columns": ("columns", _LEFT),
    "reversed": ("reversed", _BELOW),
    "an array": ([3, 0, 1, 2], _CORNERS),
}


def pixel_cnn(order, **options):
    model = flows.pixel_cnn(
        (2, 2, 1), **{**_CNN, **options}, order=order, dtype="float64"
    )
    laws.randomize(model, scale=1.0)
    return model


@pytest.mark.parametrize(("order", "mask"), CASES.values(), ids=CASES)
def test_masses_samples_and_completions_agree_with_the_enumeration(order, mask):
    model = pixel_cnn(order)
    states, mask = all_states(model), np.array(mask)[..., None]
    probabilities = np.exp(model.log_prob(states))
    np.testing.assert_allclose(probabilities.sum(), 1.0, atol=1e-9)
    assert_frequencies(model.sample(3000, seed=1).numpy(), states, probabilities)
    given = states[40]
    drawn = complete(model, given, mask, 3000, seed=2).numpy()
    known = (states == given)[:, mask].all(axis=1)
    conditional = np.where(known, probabilities, 0.0)
    assert_frequencies(drawn, states, conditional / conditional.sum())


def test_mixtures_of_whole_pixels_take_any_order():
    model = flows.pixel_cnn(
        *((2, 2, 2), 1, 6),
        num_values=2,
        element="mixture",
        num_components=2,
        order="columns",
        dtype="float64",
    )
    laws.randomize(model, scale=1.0)
    log_prob = model.log_prob(all_states(model))
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, atol=1e-9)


def test_particles_of_a_wrong_order_tell_of_one_that_would_do():
    x = np.zeros([2, 2, 1], int)
    for mask, name in ((_LEFT, "columns"), (_BELOW, "reversed")):
        mask = np.array(mask)[..., None]
        found = complete_by_particles(pixel_cnn("rows"), x, mask, seed=1)
        assert f'order="{name}"' in found.cure
        found = complete_by_particles(pixel_cnn(name), x, mask, seed=1)
        assert "order" not in found.cure
    mask = np.array(_CORNERS)[..., None]
    found = complete_by_particles(pixel_cnn("rows"), x, mask, seed=1)
    assert "order=[0, 3, 1, 2]" in found.cure


@pytest.mark.parametrize("recipe", [flows.wavenet, flows.recurrent])
def test_sequences_run_backwards_in_real_and_whole_numbers(recipe):
    size = (2, 4) if recipe is flows.wavenet else ((4,),)
    model = recipe((3, 1), *size, num_values=3, order="reversed")
    laws.randomize(model, scale=1.0)
    log_prob = model.log_prob(all_states(model))
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, atol=1e-5)
    flow = recipe((3, 1), *size, num_steps=2, order="reversed", dtype="float64")
    laws.randomize(flow)
    x = np.random.default_rng(0).normal(size=(4, 3, 1))
    later = x + np.array([0.0, 0.0, 1.0])[:, None]
    changed = (flow.encode(x).numpy() != flow.encode(later).numpy()).any(axis=(0, 2))
    assert changed.all()  # the last comes first, and all others see it
    earlier = x + np.array([1.0, 0.0, 0.0])[:, None]
    changed = (flow.encode(x).numpy() != flow.encode(earlier).numpy()).any(axis=(0, 2))
    np.testing.assert_array_equal(changed, [True, False, False])
    np.testing.assert_allclose(flow.decode(flow.encode(x)), x, atol=1e-8)


def test_a_model_with_an_order_trains_and_comes_back_from_its_file(tmp_path):
    flow = flows.pixel_cnn((2, 3, 1), **_CNN, order="columns")
    model = FlowModel(flow)
    model.compile("adam")
    x = np.random.default_rng(0).integers(0, 3, (16, 2, 3, 1))
    model.fit(x, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").flow
    np.testing.assert_allclose(again.log_prob(x), flow.log_prob(x))


def test_orders_that_events_do_not_have_are_refused():
    for order, match in [
        ("diagonal", r"no order 'diagonal' .* rows, columns, reversed"),
        ([0, 1], "each of the 4 positions once, .* got 2 entries"),
        ([0.0, 1.0, 2.0, 3.0], "of type float64"),
    ]:
        with pytest.raises(ValueError, match=match):
            pixel_cnn(order)
    with pytest.raises(ValueError, match="no order 'columns' .* natural, reversed"):
        flows.wavenet((4, 1), order="columns")
