"""The client, asked over REST and gRPC, against the model asked directly."""

import json
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.serving.conftest import environment
from tests.serving.emulator.server import Server
from tfp_flows import serving
from tfp_flows.serving import messages
from tfp_flows.serving.client import Client, ServerError

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("signatures")


@pytest.fixture(scope="module")
def server(batching):
    server = Server(batching)
    yield server, batching
    server.close()


@pytest.fixture(params=["rest", "rpc"])
def client(request, server):
    target = getattr(server[0], request.param)
    with Client(target, "model", max_batch_size=8, timeout=20.0) as client:
        yield client


def events(count=20):
    x = np.random.default_rng(0).integers(0, 3, [count, 2, 2, 1])
    return x, np.arange(count) % 3


def test_answers_are_the_models(client, classes):
    _, ask, _, _ = classes
    x, label = events()
    request = {"x": x.astype(np.int32), "label": label.astype(np.int32)}
    for name, output in [
        ("log_prob", client.log_prob(x, label=label)),
        ("bits_per_dim", client.bits_per_dim(x, label=label)),
        ("score", client.anomaly_score(x, label=label)[0]),
        ("p_value", client.anomaly_score(x, label=label)[1]),
    ]:
        signature = "anomaly_score" if name in ("score", "p_value") else name
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, ask(signature, request)[name], rtol=1e-5)


def test_samples_do_not_depend_on_chunks_or_retries(client, classes, server):
    _, ask, _, _ = classes
    server[1].asked.clear()
    got = client.sample(20, seed=5, temperature=0.8, label=1)
    assert [size for _, size in server[1].asked] == [8, 8, 8]
    inputs = {
        "seed": serving.seeds(5, 20),
        "temperature": np.full(20, 0.8, np.float32),
        "label": np.ones(20, np.int32),
    }
    np.testing.assert_array_equal(got, ask("sample", inputs)["x"])
    server[1].failures = 2
    np.testing.assert_array_equal(client.sample(20, 5, temperature=0.8, label=1), got)
    later = client.sample(5, 5, start=15, temperature=0.8, label=np.ones(5))
    np.testing.assert_array_equal(later, got[15:])


def test_completions_keep_what_is_known(client):
    x, label = events()
    known = np.zeros(x.shape, bool)
    known[:, 0] = True
    got = client.complete(x, known, seed=2, label=label)
    np.testing.assert_array_equal(got[known], x[known])
    assert set(np.unique(got)) <= {0.0, 1.0, 2.0}


def test_rows_that_are_not_valid_are_nan(client):
    x, label = events(10)
    x[3, 0, 0, 0] = 3
    got = client.log_prob(x, label=label)
    assert np.flatnonzero(np.isnan(got)).tolist() == [3]
    scale = np.ones(3, np.float32)
    scale[1] = np.inf  # JSON has no such number
    out = client.predict(
        "sample", seed=serving.seeds(1, 3), temperature=scale, label=np.zeros(3)
    )
    assert out["valid"].tolist() == [True, False, True]
    assert np.isnan(out["x"][1]).all() and np.isfinite(out["x"][[0, 2]]).all()


def test_no_rows_are_no_rows(client):
    assert client.sample(0, label=1).shape == (0, 2, 2, 1)
    x, label = events(0)
    assert client.log_prob(x, label=label).shape == (0,)


def test_errors_tell_what_the_server_said(client, server):
    x, label = events(3)
    with pytest.raises(ServerError, match="signature nothing not found"):
        client.predict("nothing", x=x)
    with pytest.raises(ServerError, match="no int32|another dtype"):
        client.log_prob(x + 0.5, label=label)
    with pytest.raises(ServerError, match="other keys|other names"):
        client.log_prob(x, label=label, context=np.eye(3))
    with pytest.raises(ValueError, match="different numbers of rows"):
        client.log_prob(x, label=label[:2])
    with pytest.raises(ValueError, match="label needs rows"):
        client.log_prob(x, label=1)
    server[1].failures = 3
    with pytest.raises(ServerError, match="not now"):
        client.log_prob(x, label=label)
    assert server[1].failures == 0


@pytest.mark.parametrize("kind", ["rest", "rpc"])
def test_versions_and_labels_are_asked_for(server, kind):
    target, (x, label) = getattr(server[0], kind), events(2)
    for good in ({"version": 1}, {"label": "stable"}):
        with Client(target, "model", **good) as client:
            assert np.isfinite(client.log_prob(x, label=label)).all()
    for bad in ({"version": 2}, {"label": "canary"}):
        with Client(target, "model", **bad) as client:
            with pytest.raises(ServerError, match="Servable not found"):
                client.log_prob(x, label=label)
    with pytest.raises(ValueError, match="not both"):
        Client(target, "model", version=1, label="stable")
    with pytest.raises(ValueError, match="positive"):
        Client(target, "model", timeout=0)


@pytest.mark.parametrize("scheme", ["http://", ""])
@pytest.mark.parametrize("hangs", [False, True])
def test_a_silent_server_costs_no_more_than_the_timeout(scheme, hangs):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if hangs:  # else nobody is there
            server.listen()
        target = f"{scheme}127.0.0.1:{server.getsockname()[1]}"
        start = time.monotonic()
        with Client(target, "model", timeout=1.0, attempts=100) as client:
            with pytest.raises(ServerError) as caught:
                client.log_prob(np.zeros([1, 2]))
    assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert time.monotonic() - start < 10.0


def test_large_answers_pass():
    class Large:
        def signature(self, name):
            return name, None

        def predict(self, signature, inputs):
            count = len(inputs["x"])
            x = np.zeros([count, 700_000], np.float32)
            return {"x": x, "valid": np.ones(count, bool)}

    server = Server(Large())
    with Client(server.rpc, "model", max_batch_size=2) as client:
        assert client.predict("any", x=np.zeros([2, 1]))["x"].shape == (2, 700_000)
    server.close()


def test_the_client_needs_no_tensorflow(server):
    code = """
import json, sys
import numpy as np
from tfp_flows.serving.client import Client
for target in sys.argv[1:]:
    Client(target, "model").log_prob(np.zeros([2, 2, 2, 1], int), label=[0, 1])
print(json.dumps(sorted(sys.modules)))
"""
    targets = [server[0].rest, server[0].rpc]
    done = subprocess.run(
        [sys.executable, "-c", code, *targets],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    roots = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not roots & {"tensorflow", "keras", "tensorflow_probability", "google"}


def test_tensorflow_serving_itself(classes, tmp_path):
    """The same client against the real server, where there is one."""
    binary = shutil.which("tensorflow_model_server")
    if binary is None:
        pytest.skip("no tensorflow_model_server on PATH: the emulator stood for it")
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    _, ask, directory, _ = classes
    process = subprocess.Popen(
        [
            *(binary, f"--port={ports[0]}", f"--rest_api_port={ports[1]}"),
            *("--model_name=model", f"--model_base_path={directory.parent}"),
            *("--enable_batching", "--enable_per_model_batching_parameters"),
        ]
    )
    x, label = events()
    request = {"x": x.astype(np.int32), "label": label.astype(np.int32)}
    wanted = ask("log_prob", request)["log_prob"]
    try:
        for target in (f"127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"):
            with Client(target, "model", timeout=60.0, attempts=100) as client:
                got = client.log_prob(x, label=label)
                np.testing.assert_allclose(got, wanted, rtol=1e-5)
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_messages_of_the_client_name_the_model():
    asked = messages.Request("digits", "log_prob", {"x": np.zeros([1, 2])}, version=3)
    back = messages.to_request(messages.request(asked))
    assert (back.model, back.signature, back.version) == ("digits", "log_prob", 3)
