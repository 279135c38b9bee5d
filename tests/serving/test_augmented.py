"""A model with an auxiliary variable, exported and asked in the C++ runtime."""

import json

import numpy as np
import pytest

from tests import laws
from tests.serving.conftest import Runtime, export
from tfp_flows import flows, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    model = flows.reversible((3,), 2, (8,))
    laws.randomize(model)
    directory = export(model, tmp_path_factory.mktemp("served") / "model")
    runtime = Runtime(directory)
    yield model, directory, runtime
    runtime.close()


def test_the_bound_follows_from_the_seed_and_is_a_bound(served):
    model, _, runtime = served
    x = np.tile([[0.3, -0.2, 0.1]], [512, 1]).astype(np.float32)
    request = {"x": x, "seed": serving.seeds(1, 512)}
    answer = runtime.ask("log_prob", request)
    assert answer["valid"].all()
    np.testing.assert_array_equal(
        answer["log_prob"], runtime.ask("serving_default", request)["log_prob"]
    )
    # Rows of one seed are one draw; many draws agree with the library's own.
    assert len(np.unique(answer["log_prob"])) > 500
    mine = model.log_prob(x, seed=5).numpy()
    error = np.hypot(mine.std(), answer["log_prob"].std()) / np.sqrt(512)
    assert abs(mine.mean() - answer["log_prob"].mean()) < 5 * error
    exact = model.importance_log_prob(x[0], 20_000, seed=2)
    assert answer["log_prob"].mean() < exact + 3 * error


def test_samples_are_the_models(served):
    model, _, runtime = served
    request = {
        "seed": serving.seeds(2, 2000),
        "temperature": np.ones(2000, np.float32),
    }
    x = runtime.ask("sample", request)["x"]
    wanted = model.sample(2000, seed=1).numpy()
    error = np.hypot(x.std(0), wanted.std(0)) / np.sqrt(2000)
    assert (np.abs(x.mean(0) - wanted.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(np.cov(x.T), np.cov(wanted.T), rtol=0.2, atol=0.2)


def test_the_card_says_what_it_is(served):
    model, directory, _ = served
    card = json.loads((directory / "assets.extra" / "flow_card.json").read_text())
    assert card["kind"] == "augmented" and "lower bound" in card["units"]
    assert card["recipe"]["name"] == "reversible"
    assert set(card["signatures"]) == {"log_prob", "sample"}
