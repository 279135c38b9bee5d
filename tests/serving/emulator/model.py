"""A server for tests: an exported model in the C++ runtime, under TF Serving's rules.

It is not TensorFlow Serving: there is no version manager, no warm-up, and one model.
What it copies are the documented rules of requests, of batches and of JSON.
"""

import pathlib
import threading

import numpy as np

from tests.serving.conftest import Runtime
from tfp_flows.serving import c_api, meta_graph

_CODES = {3: "INVALID_ARGUMENT", 9: "FAILED_PRECONDITION"}


class Refused(Exception):
    """An error that a client sees; `code` is gRPC's name of it."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Model:
    """An exported model that is asked as by a server.

    Args:
      directory: of the version.
      max_batch_size: of a server with batching, or None for one without.
      allowed_batch_sizes: to which batches are padded.
    """

    def __init__(self, directory, max_batch_size=None, allowed_batch_sizes=()):
        content = pathlib.Path(directory, "saved_model.pb").read_bytes()
        graph = meta_graph.of_saved_model(content)
        self.signatures = meta_graph.signatures(graph)
        self.failures = 0  # how many requests to refuse as unavailable
        self.asked = []  # signature and rows of what reached the model
        self._max, self._allowed = max_batch_size, allowed_batch_sizes
        self._runtime, self._lock = Runtime(directory), threading.Lock()

    def signature(self, name):
        name = name or "serving_default"
        if name not in self.signatures:
            raise Refused("FAILED_PRECONDITION", f"Serving signature {name} not found")
        return name, self.signatures[name]

    def predict(self, signature, inputs):
        """Answers one request by itself."""
        (answer,) = self.together(signature, [inputs])
        if isinstance(answer, Refused):
            raise answer
        return answer

    def together(self, signature, requests):
        """Answers requests that arrive at once: a server with batching joins them."""
        with self._lock:
            if self.failures:
                self.failures -= 1
                return [Refused("UNAVAILABLE", "not now")] * len(requests)
            name, definition = self.signature(signature)
            answers = [self._problem(definition, inputs) for inputs in requests]
            good = [i for i, problem in enumerate(answers) if problem is None]
            groups = [good] if self._max else [[i] for i in good]
            for group in filter(None, groups):
                found = self._run(name, [requests[i] for i in group])
                for i, answer in zip(group, found, strict=True):
                    answers[i] = answer
            return answers

    def close(self):
        self._runtime.close()

    def _problem(self, definition, inputs):
        if set(inputs) != set(definition.inputs):
            return Refused(
                "INVALID_ARGUMENT", "input size does not match signature: other names"
            )
        for name, value in inputs.items():
            if value.dtype != c_api.dtype_of(definition.inputs[name]):
                return Refused("INVALID_ARGUMENT", f"{name}: expected another dtype")
        if not self._max:
            return None
        if any(not value.ndim for value in inputs.values()):
            return Refused("INVALID_ARGUMENT", "must have at least one dimension")
        sizes = {len(value) for value in inputs.values()}
        if len(sizes) > 1:
            return Refused("INVALID_ARGUMENT", "must have equal 0th-dimension size")
        if max(sizes) > self._max:
            what = f"Task size {max(sizes)} is larger than maximum {self._max}"
            return Refused("INVALID_ARGUMENT", what)
        return None

    def _run(self, name, requests):
        """Runs requests as one batch; one that fails fails them all."""
        counts = [len(next(iter(inputs.values()))) for inputs in requests]
        total = sum(counts)
        padded = min((s for s in self._allowed if s >= total), default=total)
        joined = {}
        for key in requests[0]:
            parts = [inputs[key] for inputs in requests]
            # Padding repeats the first row of the last request.
            parts += [requests[-1][key][:1]] * (padded - total)
            if len({part.shape[1:] for part in parts}) > 1:
                what = "Tensors with name %s from different tasks have different shapes"
                return [Refused("FAILED_PRECONDITION", what % key)] * len(requests)
            joined[key] = np.concatenate(parts) if len(parts) > 1 else parts[0]
        self.asked.append((name, padded))
        outputs = self._runtime.ask(name, joined)
        if isinstance(outputs, int):
            code = _CODES.get(outputs, "INTERNAL")
            return [Refused(code, "the runtime refuses")] * len(requests)
        ends = np.cumsum(counts)
        return [
            {key: value[end - count : end] for key, value in outputs.items()}
            for count, end in zip(counts, ends, strict=True)
        ]
