"""Predict over gRPC, in messages that are written without TensorFlow."""

from collections.abc import Mapping

import grpc
import numpy as np

from tfp_flows.serving import messages
from tfp_flows.serving.client.errors import ServerError

_METHOD = "/tensorflow.serving.PredictionService/Predict"
# Python's gRPC refuses answers above 4 MiB unless told otherwise: 300 images.
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


class Rpc:
    """Asks one model over gRPC.

    Args:
      target: such as "localhost:8500".
      model: its name.
      version: a number, or None.
      label: of a version, or None.
    """

    def __init__(self, target: str, model: str, version: int | None, label: str | None):
        if "://" in target:
            raise ValueError(
                "Client asks localhost:8500 over gRPC or http://localhost:8501 over "
                f"REST, got {target!r}."
            )
        self._model, self._version, self._label = model, version, label
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._call = self._channel.unary_unary(_METHOD)

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature by name.

        Args:
          signature: its name.
          inputs: by name.
          timeout: in seconds.

        Raises:
          ServerError: if there is no answer.
        """
        asked = messages.Request(
            self._model, signature, inputs, self._version, self._label
        )
        try:
            answer = self._call(messages.request(asked), timeout=timeout)
        except grpc.RpcError as error:
            code = error.code()
            may_pass = code == grpc.StatusCode.UNAVAILABLE
            raise ServerError(code.name, error.details(), may_pass) from error
        try:
            return messages.to_outputs(answer)
        except ValueError as error:
            raise ServerError("UNKNOWN", f"no answer to Predict: {error}") from error

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()
