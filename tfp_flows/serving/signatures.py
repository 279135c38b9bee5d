"""The served functions of a flow: tensors in, a dict of tensors out, row by row.

| signature    | inputs                               | outputs                    |
|--------------|--------------------------------------|----------------------------|
| log_prob     | x f32 [B, *E]                        | log_prob f32 [B]           |
| encode       | x f32 [B, *E]                        | z f32 [B, *Z], log_det [B] |
| decode       | z f32 [B, *Z]                        | x f32 [B, *E], log_det [B] |
| sample       | seed i64 [B, 2], temperature f32 [B] | x, log_prob                |
| bits_per_dim | x i32 [B, *E], seed i64 [B, 2]       | bits_per_dim [B], log_prob |

`bits_per_dim` is there for integer data only; `serving_default` is `log_prob`.

Every signature also returns `valid` bool [B], and those of a conditional flow also take
`condition` f32 [B, *C]. Log-probabilities and log-dets are in nats. Floats are float32
at the edge, whatever the flow computes in.

A row is valid when its inputs are finite and in range, its temperature is positive and
its outputs are finite. A row that is not gets NaN in every float output (or float32's
lowest number, for clients whose JSON has no NaN) and changes no other row: values never
raise, since an error would fail everybody in a server's batch. Shapes do.

Integer data. `log_prob`, `encode` and `decode` speak of the continuous flow in pixel
units: the integer k is the cell [k, k + 1), its middle is k + 0.5, and log_prob is a
density per unit of pixel volume. `bits_per_dim` takes the integers themselves and adds
the noise of `seed`, uniform or from the model's noise flow: a lower bound on log P(x)
from one sample, with the noise's own -log q(u | x) in it. `sample` returns whole
numbers as float32, and the log-density of the point before it was rounded down.
"""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.folding import folded
from tfp_flows.distributions import Padded, bases
from tfp_flows.serving import row_noise

NONFINITE = {"nan": math.nan, "sentinel": tf.float32.min}
DEFAULT = "serving_default"


class Endpoints:
    """Traces the served functions of a flow.

    Args:
      flow: a `Flow`, or a `Dequantized` or `Padded` one for integer data.
      nonfinite: what an invalid row holds, "nan" or "sentinel" (float32's lowest).

    Raises:
      ValueError: if `nonfinite` is neither, or the flow cannot be served.

    Example:
      >>> functions = Endpoints(flow).functions()  # doctest: +SKIP
      >>> functions["log_prob"](x=tf.zeros([3, 2]))["valid"].shape  # doctest: +SKIP
      TensorShape([3])
    """

    def __init__(self, flow: Any, nonfinite: str = "nan"):
        if nonfinite not in NONFINITE:
            raise ValueError(
                f"nonfinite must be one of {sorted(NONFINITE)}, got {nonfinite!r}."
            )
        _check_flow(flow)
        self._fill = NONFINITE[nonfinite]
        self._num_values = flow.num_values
        self._flow = flow if flow.num_values is None else flow.flow
        self._padding = flow if isinstance(flow, Padded) else None
        self._discrete = flow.dequantized if self._padding else flow
        self._event = tuple(self._flow.event_shape.as_list())
        self._outer_event = tuple(flow.event_shape.as_list())
        self._latent = tuple(self._flow.distribution.event_shape.as_list())
        self._context = flow.context_shape

    def specs(self) -> dict[str, dict[str, tf.TensorSpec]]:
        """Returns the inputs of each signature, in order."""
        event = {"x": self._spec(self._event)}
        seed = {"seed": self._spec((2,), tf.int64)}
        specs = {
            "log_prob": event,
            "encode": event,
            "decode": {"z": self._spec(self._latent)},
            "sample": {**seed, "temperature": self._spec(())},
        }
        if self._num_values is not None:
            image = self._spec(self._outer_event, tf.int32)
            specs["bits_per_dim"] = {"x": image, **seed}
        if self._context is None:
            return specs
        condition = {"condition": self._spec(self._context)}
        return {name: {**inputs, **condition} for name, inputs in specs.items()}

    def functions(self) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
        """Returns a `tf.function` for each signature, never compiled by XLA.

        TF Serving refuses functions that must be compiled, unless told otherwise.
        """
        return {
            name: self._function(getattr(self, f"_{name}"), inputs)
            for name, inputs in self.specs().items()
        }

    def _function(self, body, specs):
        def serve(*tensors):
            # The C++ runtime does not compare shapes with the signature's: only an op
            # inside the function can refuse a wrong one.
            inputs = {
                name: tf.ensure_shape(tensor, spec.shape, name=f"check_{name}")
                for (name, spec), tensor in zip(specs.items(), tensors, strict=True)
            }
            valid = _all_rows([_is_finite(tensor) for tensor in inputs.values()])
            with folded():  # no inverse is solved for at each call
                outputs, in_range = body(**self._cast(inputs))
            outputs = {k: tf.cast(v, tf.float32) for k, v in outputs.items()}
            finite = [_is_finite(tensor) for tensor in outputs.values()]
            valid = _all_rows([valid, *in_range, *finite])
            return {
                **{name: self._mark(v, valid) for name, v in outputs.items()},
                "valid": valid,
            }

        named = [tf.TensorSpec(s.shape, s.dtype, name=k) for k, s in specs.items()]
        return tf.function(
            serve, input_signature=named, autograph=False, jit_compile=False
        )

    def _cast(self, inputs):
        cast = {
            name: tf.cast(v, self._flow.dtype) if v.dtype.is_floating else v
            for name, v in inputs.items()
        }
        if "condition" in cast:
            cast["context"] = cast.pop("condition")
        return cast

    def _mark(self, value, valid):
        where = tf.reshape(valid, [-1] + [1] * (value.shape.rank - 1))
        return tf.where(where, value, tf.constant(self._fill, tf.float32))

    def _log_prob(self, x, **context):
        return {"log_prob": self._flow.log_prob(x, **context)}, self._in_range(x)

    def _encode(self, x, **context):
        z, log_det = self._flow.encode_and_log_det(x, **context)
        return {"z": z, "log_det": log_det}, self._in_range(x)

    def _decode(self, z, **context):
        x, log_det = self._flow.decode_and_log_det(z, **context)
        return {"x": x, "log_det": log_det}, []

    def _sample(self, seed, temperature, **context):
        base = self._flow.distribution
        scale = tf.reshape(temperature, [-1] + [1] * len(self._latent))
        mean = base.mean()
        z = mean + scale * (self._base_noise(base, seed) - mean)
        x, log_det = self._flow.decode_and_log_det(z, **context)
        log_prob = base.log_prob(z) - log_det
        if self._num_values is not None:
            x = tf.clip_by_value(tf.floor(x), 0, self._num_values - 1)
        if self._padding:
            x = self._padding.crop(x)
        return {"x": x, "log_prob": log_prob}, [temperature > 0]

    def _bits_per_dim(self, x, seed, **context):
        in_range = [_each_row((x >= 0) & (x < self._num_values))]
        x = self._padding.pad(x) if self._padding else x
        cell = tf.cast(x, self._flow.dtype)
        noise, log_q = self._cell_noise(x, seed)
        log_prob = self._flow.log_prob(cell + noise, **context) - log_q
        bits = -log_prob / (math.prod(self._outer_event) * math.log(2.0))
        return {"bits_per_dim": bits, "log_prob": log_prob}, in_range

    def _cell_noise(self, x, seed):
        """Returns u in [0, 1) and log q(u | x), 0 for uniform noise."""
        if self._discrete.noise is None:
            size = math.prod(self._event)
            noise = tf.reshape(row_noise.row_uniform(seed, size), tf.shape(x))
            return tf.cast(noise, self._flow.dtype), 0.0
        z = self._base_noise(self._discrete.noise.distribution, seed)
        return self._discrete.noise_from_base(x, z)

    def _base_noise(self, base, seed):
        if isinstance(base, bases.StandardNormal):
            noise = row_noise.row_normal(seed, base.num_uniforms)
            noise = tf.reshape(noise, [-1, *base.event_shape])
            return tf.cast(noise, self._flow.dtype)
        uniforms = row_noise.row_uniform(seed, base.num_uniforms)
        return base.from_uniform(tf.cast(uniforms, self._flow.dtype))

    def _in_range(self, x):
        if self._num_values is None:
            return []
        return [_each_row((x >= 0) & (x <= self._num_values))]

    def _spec(self, shape, dtype=tf.float32):
        return tf.TensorSpec([None, *shape], dtype)


def _check_flow(flow):
    wanted = ("event_shape", "context_shape", "num_values", "raw_variables")
    missing = [name for name in wanted if not hasattr(flow, name)]
    if missing:
        raise ValueError(
            f"serving.export needs a Flow or a Dequantized one, got "
            f"{type(flow).__name__} without {', '.join(missing)}. Build it with "
            "tfp_flows.flows, or pass the flow itself if this is a FlowModel."
        )
    shape = flow.event_shape
    if not isinstance(shape, tf.TensorShape) or not shape.is_fully_defined():
        raise ValueError(
            f"serving.export needs events of one known shape, got {shape}."
        )


def _is_finite(tensor):
    if not tensor.dtype.is_floating:
        return tf.fill(tf.shape(tensor)[:1], True)
    return _each_row(tf.math.is_finite(tensor))


def _each_row(condition):
    return tf.reduce_all(condition, axis=list(range(1, condition.shape.rank)))


def _all_rows(conditions):
    valid = conditions[0]
    for condition in conditions[1:]:
        valid = valid & condition
    return valid
