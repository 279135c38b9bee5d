"""A flow on a server as if it were here: arrays in, arrays out."""

import math
import time
from typing import Any

import numpy as np

from tfp_flows.serving.client import arrays as rows_of
from tfp_flows.serving.client.errors import ServerError
from tfp_flows.serving.row_seeds import seeds


class Client:
    """Asks a flow that `serving.export` published, on a TensorFlow Serving.

    Rows go in chunks of `max_batch_size`. A row's answer depends on that row alone, and
    a sample on its seed alone, so neither chunks nor retries change anything. A row
    that is not valid comes back as NaN, whatever the server puts there.

    Args:
      target: "localhost:8500" for gRPC, "http://localhost:8501" for REST. Images: gRPC.
      model: its name on the server.
      version: a number; the newest if None.
      label: of a version, such as "stable", in place of a number.
      max_batch_size: rows of one request; not more than the server's own.
      timeout: seconds in which each chunk is to be answered, all attempts together;
        over REST seconds without a byte of an answer.
      attempts: how often a chunk is sent while the server is not there.

    Raises:
      ValueError: for a version and a label together, a number that is not positive, a
        name that is no text, or a target that is no address.

    Examples:
      >>> client = Client("localhost:8500", "digits")  # doctest: +SKIP
      >>> client.log_prob(images)  # doctest: +SKIP
    """

    def __init__(
        self,
        target: str,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        max_batch_size: int = 32,
        timeout: float = 30.0,
        attempts: int = 3,
    ):
        _check_texts(target=target, model=model, label=label or "none")
        if version is not None and label is not None:
            raise ValueError(f"Give version={version} or label={label!r}, not both.")
        _check_counts(max_batch_size=max_batch_size, attempts=attempts)
        if version is not None:
            _check_counts(version=version)
        if not 0.0 < timeout < math.inf:
            raise ValueError(
                f"Client needs a positive timeout in seconds, got {timeout}."
            )
        self._size, self._timeout = max_batch_size, timeout
        self._attempts = attempts
        self._transport = _connected(target, model, version, label)

    def log_prob(self, x: Any, **given: Any) -> np.ndarray:
        """Returns log-probabilities in nats, float32 `[N]`.

        Args:
          x: events `[N, *E]`. Integers go to models of integers that are exact; a flow
            takes the middle of an integer's cell, k + 0.5.
          **given: `context` `[N, *C]` or `label` `[N]`, for models that take one;
            `seed` `[N, 2]` for one whose log_prob is a bound.
        """
        return self.predict("log_prob", x=x, **given)["log_prob"]

    def bits_per_dim(self, x: Any, **given: Any) -> np.ndarray:
        """Returns bits per dimension of integers, float32 `[N]`.

        Args:
          x: integers `[N, *E]`.
          **given: as for `log_prob`; `seed` `[N, 2]` for flows, whose bound it is.
        """
        return self.predict("bits_per_dim", x=x, **given)["bits_per_dim"]

    def anomaly_score(self, x: Any, **given: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns scores, higher is stranger, and p-values, both float32 `[N]`.

        Args:
          x: as for `log_prob`.
          **given: as for `log_prob`.
        """
        outputs = self.predict("anomaly_score", x=x, **given)
        return outputs["score"], outputs["p_value"]

    def encode(self, x: Any, **given: Any) -> np.ndarray:
        """Returns latent events float32 `[N, *Z]`; arguments as for `log_prob`."""
        return self.predict("encode", x=x, **given)["z"]

    def decode(self, z: Any, **given: Any) -> np.ndarray:
        """Returns events float32 `[N, *E]` of latent ones; see `encode`."""
        return self.predict("decode", z=z, **given)["x"]

    def sample(
        self,
        n: int,
        seed: int = 0,
        *,
        start: int = 0,
        temperature: Any = 1.0,
        **given: Any,
    ) -> np.ndarray:
        """Returns samples `start` to `start + n - 1` of the stream `seed`.

        Args:
          n: how many.
          seed: the stream, see `serving.seeds`: more samples begin with the same ones.
          start: number of the first.
          temperature: above 0, one or `[n]`.
          **given: `context` `[n, *C]`, or `label` `[n]` or one for all.

        Returns:
          float32 `[n, *E]`.
        """
        rows = seeds(seed, n, start)
        given["temperature"] = temperature
        given = {name: rows_of.for_all(name, v, n) for name, v in given.items()}
        return self.predict("sample", seed=rows, **given)["x"]

    def complete(self, x: Any, known: Any, seed: int = 0, **given: Any) -> np.ndarray:
        """Returns events of which the unknown units were drawn, float32 `[N, *E]`.

        Args:
          x: events `[N, *E]`, with any finite number where they are not known.
          known: 1 where they are known, else 0, `[N, *E]`.
          seed: row i is drawn by `[seed, i]`.
          **given: as for `log_prob`.
        """
        rows = seeds(seed, len(rows_of.to_array("x", x)))
        return self.predict("complete", x=x, known=known, seed=rows, **given)["x"]

    def predict(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """Returns all outputs of a signature, by name, `valid` among them.

        Args:
          signature: its name.
          **inputs: by name, each `[N, ...]`.

        Raises:
          ServerError: if the server refuses, or gives no answer in time.
          ValueError: if inputs have different numbers of rows.
        """
        arrays = {k: rows_of.to_array(k, value) for k, value in inputs.items()}
        counts = {name: len(value) for name, value in arrays.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(
                f"Inputs have different numbers of rows, or there are none: {counts}."
            )
        count = next(iter(counts.values()))
        if not count:  # REST knows no empty request: one row tells the shapes
            arrays = {
                name: np.zeros([1, *value.shape[1:]], value.dtype)
                for name, value in arrays.items()
            }
        good = rows_of.finite_rows(arrays)
        arrays = {k: rows_of.filled(value, good, 0) for k, value in arrays.items()}
        outputs = self._by_chunks(signature, arrays)
        good &= outputs["valid"]
        marked = {k: rows_of.filled(v, good, np.nan) for k, v in outputs.items()}
        return {
            name: value[:count] for name, value in (marked | {"valid": good}).items()
        }

    def _by_chunks(self, signature, arrays):
        chunks = []
        for start in range(0, len(next(iter(arrays.values()))), self._size):
            part = {k: v[start:][: self._size] for k, v in arrays.items()}
            outputs = self._ask(signature, part)
            _check_answer(outputs, len(next(iter(part.values()))))
            chunks.append(outputs)
        return {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _ask(self, signature, inputs):
        """Asks until there is an answer, or no time: the same rows every time."""
        end, wait = time.monotonic() + self._timeout, 0.1
        attempt = 0
        while True:
            attempt += 1
            left = max(end - time.monotonic(), 1e-3)
            try:
                return self._transport.predict(signature, inputs, left)
            except ServerError as error:
                is_last = attempt == self._attempts
                if not error.may_pass or is_last or time.monotonic() + wait >= end:
                    raise
            time.sleep(wait)
            wait *= 2.0


def _connected(target, model, version, label):
    if target.startswith(("http://", "https://")):
        from tfp_flows.serving.client.rest import Rest

        return Rest(target, model, version, label)
    from tfp_flows.serving.client.rpc import Rpc  # who asks over REST needs no gRPC

    return Rpc(target, model, version, label)


def _check_texts(**texts):
    for name, value in texts.items():
        if not isinstance(value, str) or not value:
            raise ValueError(f"Client needs text as {name}, got {value!r}.")


def _check_counts(**counts):
    for name, value in counts.items():
        is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not is_integer or value < 1:
            raise ValueError(f"Client needs a positive integer {name}, got {value!r}.")


def _check_answer(outputs, count):
    """Refuses what is no answer to so many rows."""
    shapes = {name: np.shape(value) for name, value in outputs.items()}
    are_rows = all(shape[:1] == (count,) for shape in shapes.values())
    if shapes.get("valid") != (count,) or not are_rows:
        raise ServerError(
            "UNKNOWN",
            f"wanted {count} rows of each output, valid among them, got {shapes}. Was "
            "this model written by serving.export?",
        )
