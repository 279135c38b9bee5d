"""Predict over HTTP, in JSON that every parser takes.

References:
  https://www.tensorflow.org/tfx/serving/api_rest
"""

import json
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
        self._url = f"{target.rstrip('/')}/v1/models/{model}"
        if version is not None:
            self._url += f"/versions/{version}"
        if label is not None:
            self._url += f"/labels/{label}"
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
        columns = {name: value.tolist() for name, value in inputs.items()}
        body = {"signature_name": signature, "inputs": columns}
        try:
            answer = self._session.post(
                f"{self._url}:predict",
                data=json.dumps(body, allow_nan=False),
                headers={"Content-Type": "application/json"},
                timeout=timeout,
            )
            found = answer.json()
        except requests.exceptions.JSONDecodeError as error:
            text = answer.text[:200]
            code = answer.status_code
            raise ServerError(f"HTTP {code}", text, code in _MAY_PASS) from error
        except requests.exceptions.RequestException as error:
            raise ServerError("UNAVAILABLE", str(error), may_pass=True) from error
        if answer.status_code != 200:
            code, message = answer.status_code, str(found.get("error", found))
            raise ServerError(f"HTTP {code}", message, code in _MAY_PASS)
        return {name: _to_array(name, v) for name, v in found["outputs"].items()}

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()


def _to_array(name, value):
    return np.array(value, np.bool_ if name == "valid" else np.float32)
