"""Exported autoregressive models, judged by all states there are, and by counting."""

import itertools
import json

import numpy as np
import pytest

from tests.serving.conftest import make
from tfp_flows import serving
from tfp_flows.serving import golden
from tfp_flows.serving.autoregressive_endpoints import AutoregressiveEndpoints

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("served")


@pytest.fixture
def integers(served):
    if not served.is_autoregressive or served.flow.num_values is None:
        pytest.skip("not an autoregressive model of integers")
    return served


def all_states(model):
    size = model.event_shape.num_elements()
    states = itertools.product(range(model.num_values), repeat=size)
    return np.array(list(states), np.int32).reshape([-1, *model.event_shape])


def conditioned(served, inputs, count):
    """Adds one and the same context to all rows, if the model takes one."""
    if served.flow.context_shape is None:
        return inputs
    context = np.linspace(-1.0, 1.0, served.flow.context_shape[0])
    return {**inputs, "context": np.tile(context, [count, 1]).astype(np.float32)}


def test_probabilities_of_all_states_sum_to_one(integers):
    x = all_states(integers.flow)
    got = integers.ask("log_prob", conditioned(integers, {"x": x}, len(x)))
    assert got["valid"].all()
    np.testing.assert_allclose(np.exp(got["log_prob"]).sum(), 1.0, atol=1e-5)
    assert got["log_prob"].std() > 0.1  # not the uniform distribution


def tempered(probs, temperature):
    """Conditional probabilities to the power 1 / temperature, multiplied up again.

    Args:
      probs: `[num_values] * D`, of all states, units in their order.
    """
    result = np.ones_like(probs)
    for i in range(probs.ndim):
        later = tuple(range(i + 1, probs.ndim))
        power = probs.sum(later, keepdims=True)
        power = power / power.sum(i, keepdims=True)
        power **= 1.0 / temperature
        result = result * power / power.sum(i, keepdims=True)
    return result


def distance(p, q):
    return np.abs(p - q).sum() / 2


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_samples_come_as_often_as_the_probabilities_say(integers, temperature):
    if temperature != 1.0 and integers.name == "pixel cnn mixture":
        pytest.skip("a mixture's temperature is not a power of its probabilities")
    x, count = all_states(integers.flow), 4000
    states = integers.ask("log_prob", conditioned(integers, {"x": x}, len(x)))
    inputs = {
        "seed": serving.seeds(5, count),
        "temperature": np.full(count, temperature, np.float32),
    }
    got = integers.ask("sample", conditioned(integers, inputs, count))
    shape = [integers.flow.num_values] * x[0].size
    number = np.ravel_multi_index(got["x"].reshape([count, -1]).astype(int).T, shape)
    # The log_prob of a sample is the model's, whatever the temperature.
    np.testing.assert_allclose(got["log_prob"], states["log_prob"][number], atol=1e-4)
    often = np.bincount(number, minlength=len(x)).reshape(shape) / count
    probs = np.exp(states["log_prob"].astype(np.float64)).reshape(shape)
    wanted = tempered(probs, temperature)
    noise = np.sqrt(len(x) / (2 * np.pi * count))  # the expected distance at most
    assert distance(often, wanted) < 1.5 * noise
    assert temperature == 1.0 or distance(probs, wanted) > 3.0 * noise


def test_the_files_beside_the_model_tell_what_it_is(served):
    if not served.is_autoregressive:
        pytest.skip("a flow")
    wanted = {"log_prob", "sample", "complete", "serving_default"}
    if served.flow.num_values is not None:
        wanted.add("bits_per_dim")
    assert set(golden.load(served.directory)) == wanted
    extra = served.directory / "assets.extra"
    card = json.loads((extra / "flow_card.json").read_text())
    assert card["element"] == type(served.flow.element).__name__
    assert card["base"] is card["latent_shape"] is card["dequantization"] is None
    assert set(card["signatures"]) == wanted - {"serving_default"}
    page = (extra / "MODEL_CARD.md").read_text()
    assert "An autoregressive model" in page and "encod" not in page


def test_golden_seeds_are_those_whose_samples_are_steady():
    model, count = make("wavenet of integers"), 8
    endpoints = AutoregressiveEndpoints(model)
    temperature = np.linspace(0.6, 1.3, count).astype(np.float32)
    seeds = endpoints.golden_seeds(temperature, None)
    assert seeds.shape == (count, 2) and seeds.dtype == np.int64
    assert (seeds[:, 1] % count == np.arange(count)).all()
    u = serving.row_uniform(seeds, model.num_uniforms)
    for step in (-1e-6, 1e-6):
        np.testing.assert_array_equal(
            model.from_uniform(u + step, temperature=temperature),
            model.from_uniform(u, temperature=temperature),
        )


def test_an_unsteady_seed_is_passed_over(monkeypatch):
    endpoints = AutoregressiveEndpoints(make("wavenet of integers"))
    draw = endpoints._draw

    def unsteady(u, temperature, context):
        low, x, high = np.split(draw(u, temperature, context), 3)
        high[2] = x[2] + 1  # seed 2 of 32
        return np.concatenate([low, x, high])

    monkeypatch.setattr(endpoints, "_draw", unsteady)
    seeds = endpoints.golden_seeds(np.ones(8, np.float32), None)
    assert seeds[:, 1].tolist() == [0, 1, 10, 3, 4, 5, 6, 7]
