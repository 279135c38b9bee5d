"""Models that see their context through a network, asked in the C++ runtime."""

import keras
import numpy as np
import pytest

from tests import laws
from tests.serving.conftest import Runtime, export
from tests.serving.emulator.model import Model
from tests.serving.emulator.server import Server
from tfp_flows import flows, serving
from tfp_flows.distributions import Embedded
from tfp_flows.serving.client import Client

IMAGES = np.random.default_rng(0).normal(size=(5, 4, 4, 1)).astype(np.float32)
WORDS = np.random.default_rng(0).integers(0, 7, (5, 3)).astype(np.int32)


def images():
    layers = [keras.layers.Flatten(), keras.layers.Dense(16, "relu")]
    flow = flows.real_nvp((3,), 2, (16,), context_shape=(16,))
    return Embedded(flow, keras.Sequential(layers), (4, 4, 1)), IMAGES


def words():
    layers = [keras.layers.Embedding(7, 8), keras.layers.Flatten()]
    net = flows.recurrent((3, 1), (8,), num_values=4, context_shape=(24,))
    return Embedded(net, keras.Sequential(layers), (3,), "int32"), WORDS


@pytest.fixture(scope="module", params=[images, words])
def served(request, tmp_path_factory):
    model, context = request.param()
    laws.randomize(model)
    base = tmp_path_factory.mktemp("served") / "model"
    directory = export(model, base, contexts=context)
    runtime = Runtime(directory)
    yield model, context, runtime
    runtime.close()


def test_answers_are_the_models_own(served):
    model, context, runtime = served
    x = np.asarray(model.sample(seed=1, context=context), np.float32)
    answer = runtime.ask("log_prob", {"x": x, "context": context})
    assert answer["valid"].all()
    np.testing.assert_allclose(
        answer["log_prob"], model.log_prob(x, context=context), rtol=1e-4, atol=1e-4
    )


def test_samples_depend_on_the_context(served):
    model, context, runtime = served
    context = np.repeat(context, 40, axis=0)
    request = {
        "seed": serving.seeds(2, 200),
        "temperature": np.ones(200, np.float32),
        "context": context,
    }
    x = runtime.ask("sample", request)["x"]
    other = runtime.ask("sample", request | {"context": context[::-1].copy()})["x"]
    assert (x != other).any()
    again = runtime.ask("sample", {k: v[:2] for k, v in request.items()})["x"]
    np.testing.assert_allclose(again, x[:2], atol=1e-4)


@pytest.mark.parametrize("kind", ["rest", "rpc"])
def test_clients_send_contexts_as_they_are(served, kind):
    """Real ones as float32, numbers of words as the int32 they are."""
    model, context, runtime = served
    x = np.asarray(model.sample(seed=1, context=context))
    emulated = Model(runtime.directory)
    server = Server(emulated)
    try:
        with Client(getattr(server, kind), "model") as client:
            got = client.log_prob(x, context=context)
            drawn = client.sample(5, seed=3, context=context)
    finally:
        server.close()
        emulated.close()
    np.testing.assert_allclose(
        got, model.log_prob(x, context=context), rtol=1e-4, atol=1e-4
    )
    assert drawn.shape == x.shape and np.isfinite(drawn).all()


def test_what_cannot_be_served_is_refused(tmp_path):
    model, _ = words()
    with pytest.raises(ValueError, match="Give contexts="):
        serving.export(model, tmp_path / "model", allow_unadapted=True)
    flow = flows.maf((2,), 1, (8,), context_shape=(2,))
    both = keras.layers.Concatenate()
    inputs = {name: keras.Input((1,), name=name) for name in "ab"}
    network = keras.Model(inputs, both([inputs["a"], inputs["b"]]))
    named = Embedded(flow, network, {"a": (1,), "b": (1,)})
    with pytest.raises(ValueError, match=r"parts \['a', 'b'\].*model.embed"):
        serving.export(named, tmp_path / "model", allow_unadapted=True)
    assert not (tmp_path / "model").exists()
