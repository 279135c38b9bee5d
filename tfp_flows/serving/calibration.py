"""Scores of events that a model was not trained on: what makes a score a p-value."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Model
from tfp_flows.serving.endpoints import LOG_PROB, Endpoints
from tfp_flows.serving.golden_inputs import checked_rows, context_inputs

_BATCH = 256


def calibrate(
    endpoints: Endpoints, flow: Model, events: Any, contexts: Any, rtol: float
) -> None:
    """Adds `anomaly_score`, with the scores that the served function itself gives.

    A p-value is split-conformal [1]: (1 + number of calibration events that score at
    least as high) / (1 + their number). Among events like those of the calibration a
    fraction of at most r has a p-value of r or less.

    Args:
      endpoints: of the model.
      flow: the model.
      events: `[N, *E]`.
      contexts: `[N, *C]` for a conditional flow, else None.
      rtol: of the served numbers.

    Raises:
      ValueError: if log_prob is a bound from noise, shapes are others, or the model
        has no finite score of an event.

    References:
      [1] Bates, Candes, Lei, Romano, Sesia. Testing for outliers with conformal
          p-values. Annals of Statistics 2023. arXiv:2104.08279
    """
    if "seed" in endpoints.specs()[LOG_PROB]:
        raise ValueError(
            f"{flow.name!r} has no exact log_prob, and so no anomaly_score. Leave "
            "calibration= out."
        )
    events = checked_rows("calibration", events, flow.event_shape, flow.num_values)
    if (contexts is None) != (flow.context_shape is None):
        raise ValueError(
            "calibration_contexts go with the calibration of a conditional flow, one "
            f"for each event; context_shape is {flow.context_shape}."
        )
    inputs = {"x": endpoints.points(events)}
    if contexts is not None:
        contexts = checked_rows("calibration_contexts", contexts, flow.context_shape)
        if len(contexts) != len(events):
            raise ValueError(
                f"calibration has {len(events)} events and {len(contexts)} contexts."
            )
        inputs |= context_inputs(endpoints, contexts)
    endpoints.calibrate(_scores(endpoints, inputs), rtol)


def _scores(endpoints, inputs):
    """Returns -log_prob of all rows, as it is served."""
    specs = endpoints.specs()[LOG_PROB]
    function = endpoints.function(LOG_PROB).get_concrete_function()
    scores = []
    for start in range(0, len(inputs["x"]), _BATCH):
        part = [
            tf.constant(inputs[name][start : start + _BATCH], spec.dtype)
            for name, spec in specs.items()
        ]
        outputs = function(*part)
        if not np.all(outputs["valid"]):
            row = start + int(np.argmin(outputs["valid"]))
            raise ValueError(
                f"Calibration event {row} has no finite score. Is it out of range, or "
                "in another unit than the training data?"
            )
        scores.append(-outputs[LOG_PROB].numpy())
    return np.concatenate(scores)
