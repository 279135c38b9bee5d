"""What users hand to the client: it becomes right numbers, or a sentence."""

import http.server
import json
import threading
from concurrent import futures

import grpc
import numpy as np
import pytest

from tfp_flows.serving import messages
from tfp_flows.serving.client import Client, ServerError
from tfp_flows.serving.client.arrays import to_array


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("x", ["a", "b"], "must hold real numbers, got <U1"),
        ("x", [[1j]], "must hold real numbers, got complex128"),
        ("x", [None], "must hold real numbers, got object"),
        ("x", np.array(["2026-01-01"], "M8[D]"), "must hold real numbers"),
        ("x", [[1.0], [1.0, 2.0]], "is no array"),
        ("x", np.ma.masked_array([[1.0]], [[True]]), "is a masked array"),
        ("x", 3.0, "needs rows"),
        ("label", [1.5], "label takes whole numbers, got 1.5"),
        ("label", [np.nan], "label takes whole numbers, got nan"),
        ("known", [[0.5]], "known takes whole numbers"),
        ("seed", [[1, 2**63]], "integers of 64 bits"),
        ("seed", [[0.5, 1.0]], "seed takes whole numbers"),
    ],
)
def test_what_holds_no_numbers_is_refused(name, value, words):
    with pytest.raises(ValueError, match=words):
        to_array(name, value)


def test_no_number_becomes_another():
    for dtype in (np.int64, np.uint64, np.uint8, np.bool_):
        array = to_array("x", np.array([[0], [1]], dtype))
        assert array.dtype == np.int32 and array.tolist() == [[0], [1]]
    largest = np.iinfo(np.int32)
    beyond = to_array("x", [2**31, -(2**40), 7])
    assert beyond.tolist() == [largest.max, largest.min, 7]
    assert to_array("x", np.uint64([2**64 - 1])).tolist() == [largest.max]
    assert to_array("label", np.float64([2.0, 1e300])).tolist() == [2, largest.max]
    assert np.isinf(to_array("x", [1e39])).all()
    assert to_array("seed", [[-(2**63), 2**63 - 1]]).dtype == np.int64
    assert to_array("context", [[1, 2]]).dtype == np.float32
    assert to_array("context", np.int32([[1, 2]])).dtype == np.int32
    assert to_array("known", [[True]]).dtype == np.int32


@pytest.mark.parametrize(
    "target, arguments, words",
    [
        ("http://", {}, "asks an address"),
        ("https:///v1", {}, "asks an address"),
        ("grpc://localhost:8500", {}, "localhost:8500 over gRPC"),
        ("", {}, "needs text as target, got ''"),
        (None, {}, "needs text as target, got None"),
        ("localhost:1", {"label": 3}, "needs text as label, got 3"),
        ("localhost:1", {"timeout": np.nan}, "positive timeout in seconds, got nan"),
        ("localhost:1", {"timeout": np.inf}, "positive timeout in seconds, got inf"),
        ("localhost:1", {"attempts": 1.5}, "positive integer attempts, got 1.5"),
        ("localhost:1", {"max_batch_size": "8"}, "integer max_batch_size, got '8'"),
        ("localhost:1", {"max_batch_size": True}, "max_batch_size, got True"),
        ("localhost:1", {"version": 0}, "positive integer version, got 0"),
    ],
)
def test_what_is_no_server_is_refused_at_once(target, arguments, words):
    with pytest.raises(ValueError, match=words):
        Client(target, "model", **arguments)


@pytest.mark.parametrize("target", ["localhost:1", "http://localhost:1"])
def test_mistakes_are_found_before_anybody_is_asked(target):
    with Client(target, "model", timeout=60.0) as client:
        for call, words in [
            (lambda: client.sample(-1), "integer n from 0"),
            (lambda: client.sample(2.5), "integer n from 0"),
            (lambda: client.sample(1, seed=0.5), "integer seed"),
            (lambda: client.sample(2, temperature=[1, 2, 3]), "numbers of rows"),
            (lambda: client.sample(2, temperature="hot"), "temperature must hold"),
            (lambda: client.complete(3, 1), "x needs rows"),
            (lambda: client.predict("log_prob"), "or there are none"),
        ]:
            with pytest.raises(ValueError, match=words):
                call()


class Odd:
    """Answers every request over HTTP and gRPC with the same bytes."""

    def __init__(self, content, status=200):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                asked.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        asked = self.asked = []
        self._http = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()
        self.rest = f"http://127.0.0.1:{self._http.server_port}"
        self._rpc = grpc.server(futures.ThreadPoolExecutor(1))
        handler = grpc.unary_unary_rpc_method_handler(lambda *_: content)
        name = "tensorflow.serving.PredictionService"
        methods = grpc.method_handlers_generic_handler(name, {"Predict": handler})
        self._rpc.add_generic_rpc_handlers([methods])
        self.rpc = f"127.0.0.1:{self._rpc.add_insecure_port('127.0.0.1:0')}"
        self._rpc.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._rpc.stop(None).wait()


ANSWERS = {
    "nothing": b"",
    "a page": b"<html>502</html>",
    "a list": b"[1, 2]",
    "a number": b"3",
    "no rows": b'{"predictions": []}',
    "columns": b'{"outputs": {"log_prob": [1.0, 2.0], "valid": [true, true]}}',
    "plain rows": b'{"predictions": [1.0, 2.0]}',
    "text": b'{"predictions": [{"log_prob": "a", "valid": true}]}',
    "without valid": json.dumps({"predictions": [{"log_prob": 1.0}] * 2}).encode(),
    "few rows": b'{"predictions": [{"log_prob": 1.0, "valid": true}]}',
    "other rows": b'{"predictions": [{"log_prob": 1.0, "valid": true}, {}]}',
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("status", [200, 400])
def test_answers_that_are_none_are_server_errors(name, status):
    with Odd(ANSWERS[name], status) as odd:
        with Client(odd.rest, "model", attempts=1) as client:
            with pytest.raises(ServerError):
                client.log_prob(np.zeros([2, 3]))


def test_a_model_is_named_by_text():
    with pytest.raises(ValueError, match="needs text as model"):
        Client("127.0.0.1:1", None)


def test_messages_that_are_none_are_server_errors():
    short = messages.response(
        {"log_prob": np.float32([1.0]), "valid": np.ones(1, bool)}
    )
    for content in (b"", b"\x2b\x00", b"\xff" * 9, short, short[:-3]):
        with Odd(content) as odd, Client(odd.rpc, "model", attempts=1) as client:
            with pytest.raises(ServerError):
                client.log_prob(np.zeros([2, 3]))


def test_names_are_quoted_in_addresses():
    with Odd(b"{}", 404) as odd:
        for name, path in [("a/b c", "/v1/models/a%2Fb%20c"), ("ü?x", "%C3%BC%3Fx")]:
            with Client(odd.rest, name, label="x/y") as client:
                with pytest.raises(ServerError, match="HTTP 404"):
                    client.log_prob(np.zeros([1, 2]))
            assert path in odd.asked[-1] and odd.asked[-1].endswith("x%2Fy:predict")
