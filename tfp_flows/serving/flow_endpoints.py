"""The served functions of a flow: tensors in, a dict of tensors out, row by row.

| signature     | inputs                               | outputs                    |
|---------------|--------------------------------------|----------------------------|
| log_prob      | x f32 [B, *E]                        | log_prob f32 [B]           |
| encode        | x f32 [B, *E]                        | z f32 [B, *Z], log_det [B] |
| decode        | z f32 [B, *Z]                        | x f32 [B, *E], log_det [B] |
| sample        | seed i64 [B, 2], temperature f32 [B] | x, log_prob                |
| bits_per_dim  | x i32 [B, *E], seed i64 [B, 2]       | bits_per_dim [B], log_prob |
| anomaly_score | x f32 [B, *E]                        | score f32 [B], p_value [B] |

`bits_per_dim` is there for integer data only, `anomaly_score` after calibration only:
the score is -log_prob, and the p-value the share of calibration events, and of the
event itself, that score at least as high. `serving_default` is `log_prob`.

Every signature also returns `valid` bool [B], and those of a conditional flow also take
`context` f32 [B, *C], or `label` i32 [B]. Log-probabilities and log-dets are in nats.
Floats are float32 at the edge, whatever the flow computes in.

What a valid row is, and what one that is not holds: see `endpoints`.

Integer data. `log_prob`, `encode` and `decode` speak of the continuous flow in pixel
units: the integer k is the cell [k, k + 1), its middle is k + 0.5, and log_prob is a
density per unit of pixel volume. `bits_per_dim` takes the integers themselves and adds
the noise of `seed`, uniform or from the model's noise flow: a lower bound on log P(x)
from one sample, with the noise's own -log q(u | x) in it. `sample` returns whole
numbers as float32, and the log-density of the point before it was rounded down.
"""

import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Model, Padded
from tfp_flows.networks.weights.prepared_once import prepared_once
from tfp_flows.purpose import running_for
from tfp_flows.serving import row_noise
from tfp_flows.serving.endpoints import (
    Endpoints,
    base_noise,
    check_model,
    each_row,
    spec,
)


class FlowEndpoints(Endpoints):
    """Traces the served functions of a flow.

    Args:
      flow: a `Flow`, or a `Dequantized` or `Padded` one for integer data.
      nonfinite: what an invalid row holds, "nan" or "sentinel" (float32's lowest).
      labels: whether `label` takes the place of `context`, see `Endpoints`.

    Raises:
      ValueError: if `nonfinite` is neither, or the flow cannot be served.

    Examples:
      >>> functions = FlowEndpoints(flow).functions()  # doctest: +SKIP
      >>> functions["log_prob"](x=tf.zeros([3, 2]))["valid"].shape  # doctest: +SKIP
      TensorShape([3])
    """

    def __init__(self, flow: Model, nonfinite: str = "nan", labels: bool = False):
        check_model(flow)
        inner = flow.flow
        super().__init__(flow, nonfinite, labels, inner.dtype)
        self._num_values = flow.num_values
        self._model, self._flow = flow, inner
        self._padding = flow if isinstance(flow, Padded) else None
        self._discrete = flow.dequantized if self._padding else flow
        self._event = tuple(self._flow.event_shape.as_list())
        self._outer_event = tuple(flow.event_shape.as_list())
        self._latent = tuple(self._flow.distribution.event_shape.as_list())

    def signatures(self):
        """Returns the inputs of each signature, in order, without `context`."""
        event = {"x": spec(self._event)}
        seed = {"seed": spec((2,), tf.int64)}
        signatures = {
            "log_prob": event,
            "encode": event,
            "decode": {"z": spec(self._latent)},
            "sample": {**seed, "temperature": spec(())},
        }
        if self._num_values is not None:
            signatures["bits_per_dim"] = {"x": spec(self._outer_event, tf.int32)} | seed
        return signatures

    def points(self, x: Any):
        """Returns where the flow is asked: in the middles of integers' cells."""
        if self._num_values is None:
            return x
        return np.asarray(self._padding.pad(x) if self._padding else x) + 0.5

    @functools.cached_property
    def passes(self) -> dict[str, Any]:
        """The flow, traced once each way: a SavedModel holds once what several call."""
        ways = {
            "inverse": self._one_way(self._inverse, self._event),
            "forward": self._one_way(self._flow.decode_and_log_det, self._latent),
        }
        with tf.init_scope():  # the first to ask may be a signature that is traced
            return prepared_once(ways)

    def _one_way(self, body, shape):
        shapes = {"value": shape}
        if self._context is not None:
            shapes["context"] = self._context
        specs = [
            tf.TensorSpec([None, *shape], self._real, name=name)
            for name, shape in shapes.items()
        ]

        def run(*tensors):
            with running_for("export"):
                return body(*tensors)

        return tf.function(run, input_signature=specs, autograph=False)

    def _inverse(self, x, context=None):
        """Returns z, its log-det and log p(x)."""
        z, log_det = self._flow.encode_and_log_det(x, context)
        nothing = tf.constant(-math.inf, log_det.dtype)
        log_prob = self._flow.distribution.log_prob(z) + log_det
        # Outside of the support z is NaN, and p(x) is nothing all the same.
        return z, log_det, tf.where(tf.equal(log_det, nothing), nothing, log_prob)

    def _log_prob(self, x, **context):
        *_, log_prob = self.passes["inverse"](x, *context.values())
        return {"log_prob": log_prob}, self._in_range(x)

    def _encode(self, x, **context):
        z, log_det, _ = self.passes["inverse"](x, *context.values())
        return {"z": z, "log_det": log_det}, self._in_range(x)

    def _decode(self, z, **context):
        x, log_det = self.passes["forward"](z, *context.values())
        return {"x": x, "log_det": log_det}, []

    def _sample(self, seed, temperature, **context):
        base = self._flow.distribution
        scale = tf.reshape(temperature, [-1] + [1] * len(self._latent))
        z = base.tempered(base_noise(base, seed, self._real), scale)
        x, log_det = self.passes["forward"](z, *context.values())
        log_prob = base.log_prob(z) - log_det
        return {"x": self._events(x), "log_prob": log_prob}, [temperature > 0]

    def _events(self, x):
        """Returns the model's events for the flow's."""
        if self._num_values is not None:
            x = tf.clip_by_value(tf.floor(x), 0, self._num_values - 1)
        return self._padding.crop(x) if self._padding else x

    def _bits_per_dim(self, x, seed, **context):
        in_range = [each_row((x >= 0) & (x < self._num_values))]
        x = self._padding.pad(x) if self._padding else x
        cell = tf.cast(x, self._real)
        noise, log_q = self._cell_noise(x, seed)
        *_, log_prob = self.passes["inverse"](cell + noise, *context.values())
        log_prob -= log_q
        bits = -log_prob / (math.prod(self._outer_event) * math.log(2.0))
        return {"bits_per_dim": bits, "log_prob": log_prob}, in_range

    def _cell_noise(self, x, seed):
        """Returns u in [0, 1) and log q(u | x), 0 for uniform noise."""
        if self._discrete.noise is None:
            size = math.prod(self._event)
            noise = tf.reshape(row_noise.row_uniform(seed, size), tf.shape(x))
            return tf.cast(noise, self._real), 0.0
        z = base_noise(self._discrete.noise.distribution, seed, self._real)
        return self._discrete.noise_from_base(x, z)

    def _in_range(self, x):
        if self._num_values is None:
            return []
        return [each_row((x >= 0) & (x <= self._num_values))]
