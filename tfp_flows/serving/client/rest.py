"""Predict over HTTP, in JSON that every parser takes.

References:
  https://www.tensorflow.org/tfx/serving/api_rest
"""

import json
import urllib.parse
from collections.abc import Mapping

import numpy as np
import requests

from tfp_flows.serving.client.errors import ServerError

_MAY_PASS = (429, 502, 503, 504)


class Rest:
    """Asks one model over HTTP.

    Args:
      target: such as "http://localhost:8501".
      model: its name.
      version: a number, or None.
      label: of a version, or None.
    """

    def __init__(self, target: str, model: str, version: int | None, label: str | None):
        if not urllib.parse.urlsplit(target).hostname:
            raise ValueError(
                f"Client asks an address such as http://localhost:8501, got {target!r}."
            )
        self._url = f"{target.rstrip('/')}/v1/models/{_quoted(model)}"
        if version is not None:
            self._url += f"/versions/{version}"
        if label is not None:
            self._url += f"/labels/{_quoted(label)}"
        self._session = requests.Session()

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature by name.

        Args:
          signature: its name.
          inputs: by name, finite numbers: JSON has no others.
          timeout: in seconds.

        Raises:
          ServerError: if there is no answer.
        """
        # As rows: of columns a server drops those that a signature does not know.
        lists = zip(*(value.tolist() for value in inputs.values()), strict=True)
        rows = [dict(zip(inputs, row, strict=True)) for row in lists]
        body = {"signature_name": signature, "instances": rows}
        try:
            answer = self._session.post(
                f"{self._url}:predict",
                data=json.dumps(body, allow_nan=False),
                headers={"Content-Type": "application/json"},
                timeout=timeout,
            )
        except requests.exceptions.RequestException as error:
            raise ServerError("UNAVAILABLE", str(error), may_pass=True) from error
        code, text = answer.status_code, answer.content
        may_pass = code in _MAY_PASS
        try:
            found = json.loads(text)
            if code == 200:
                answers = found["predictions"]
                names = answers[0].keys()
                return {k: _to_array(k, [row[k] for row in answers]) for k in names}
            message = str(found["error"])
        except (ValueError, LookupError, TypeError, AttributeError):
            message = text[:200].decode(errors="replace")
        raise ServerError(f"HTTP {code}", message, may_pass)

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()


def _to_array(name, value):
    return np.array(value, np.bool_ if name == "valid" else np.float32)


def _quoted(name):
    return urllib.parse.quote(name, safe="")
