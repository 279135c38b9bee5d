"""The emulated server on loopback: HTTP and gRPC."""

import http.server
import json
import re
import threading
from concurrent import futures

import grpc

from tests.serving.emulator import rest_json
from tests.serving.emulator.model import Refused
from tfp_flows.serving import messages

_HTTP = {"NOT_FOUND": 404, "UNAVAILABLE": 503, "INTERNAL": 500}
_PATH = re.compile(r"/v1/models/(\w+)(?:/versions/(\d+)|/labels/(\w+))?:predict")


class Server:
    """Serves one model under a name, until it is closed.

    Attributes:
      rest: target of a REST client.
      rpc: target of a gRPC client.
    """

    def __init__(self, model, name="model", version=1, labels=("stable",)):
        self._model, self._name = model, name
        self._version, self._labels = version, labels
        self._http = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), _handler(self._answer_json)
        )
        self.rest = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()
        limits = [("grpc.max_receive_message_length", -1)]
        self._rpc = grpc.server(futures.ThreadPoolExecutor(2), options=limits)
        handler = grpc.unary_unary_rpc_method_handler(self._answer_rpc)
        self._rpc.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    "tensorflow.serving.PredictionService", {"Predict": handler}
                )
            ]
        )
        self.rpc = f"127.0.0.1:{self._rpc.add_insecure_port('127.0.0.1:0')}"
        self._rpc.start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._rpc.stop(None).wait()

    def _answer_json(self, path, body):
        try:
            found = _PATH.fullmatch(path)
            if not found:
                raise Refused("INVALID_ARGUMENT", f"Malformed request: POST {path}")
            version = found[2] and int(found[2])
            self._find(found[1], version, found[3])
            name, definition = self._model.signature(rest_json.signature_of(body))
            inputs, is_rows = rest_json.read(body, definition)
            return 200, rest_json.write(self._model.predict(name, inputs), is_rows)
        except Refused as error:
            code = _HTTP.get(error.code, 400)
            return code, json.dumps({"error": str(error)})

    def _answer_rpc(self, body, context):
        try:
            asked = messages.to_request(body)
            self._find(asked.model, asked.version, asked.label)
            return messages.response(self._model.predict(asked.signature, asked.inputs))
        except Refused as error:
            context.abort(grpc.StatusCode[error.code], str(error))

    def _find(self, name, version, label):
        known = name == self._name and version in (None, self._version)
        if not known or label not in (None, *self._labels):
            raise Refused("NOT_FOUND", f"Servable not found for request: {name}")


def _handler(answer):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            size = int(self.headers["Content-Length"])
            code, text = answer(self.path, self.rfile.read(size))
            content = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler
