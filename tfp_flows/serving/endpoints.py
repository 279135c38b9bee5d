"""What all served functions share: tensors in, a dict of tensors out, row by row.

A row is valid when its inputs are finite and in range, its temperature is positive and
its outputs are finite. A row that is not gets NaN in every float output (or float32's
lowest number, for clients whose JSON has no NaN) and changes no other row: values never
raise, since an error would fail everybody in a server's batch. Shapes do.
"""

import abc
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.running.tracing import running_for
from tfp_flows.distributions import Model, bases
from tfp_flows.networks.autoregressive_network import as_many, never_empty
from tfp_flows.serving import row_noise, row_seeds

tfd = tfp.distributions

NONFINITE = {"nan": math.nan, "sentinel": tf.float32.min}
DEFAULT = "serving_default"


class Endpoints(abc.ABC):
    """Traces the served functions of a model.

    Implementing one: write `signatures`, `typical`, and for each signature a method
    of its name with an underscore before it. That takes the inputs by name, floats in
    `real_dtype`, and returns the outputs by name, and a list of bool `[B]`: where the
    inputs are in range.

    Args:
      model: the distribution.
      nonfinite: what an invalid row holds, "nan" or "sentinel" (float32's lowest).
      real_dtype: that the model computes in.

    Raises:
      ValueError: if `nonfinite` is neither, or the model cannot be served.
    """

    def __init__(self, model: Model, nonfinite: str, real_dtype: tf.DType):
        if nonfinite not in NONFINITE:
            raise ValueError(
                f"nonfinite must be one of {sorted(NONFINITE)}, got {nonfinite!r}."
            )
        self._fill = NONFINITE[nonfinite]
        self._real = real_dtype
        self._context = model.context_shape

    @abc.abstractmethod
    def signatures(self) -> dict[str, dict[str, tf.TensorSpec]]:
        """Returns the inputs of each signature, in order, without `context`."""

    @abc.abstractmethod
    def typical(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns events `[N, *E]` like the model's samples, for golden rows.

        Args:
          values: other golden inputs by name: `seed`, `temperature`, `z` where the
            model has it, and `context` where it takes one.
        """

    def points(self, x: np.ndarray) -> np.ndarray:
        """Returns where `log_prob` is asked about events; the events by default."""
        return x

    def golden_seeds(
        self, temperature: np.ndarray, context: np.ndarray | None
    ) -> np.ndarray:
        """Returns seeds int64 `[N, 2]` of golden samples, one for each temperature.

        Args:
          temperature: `[N]`.
          context: `[N, *C]` or None.
        """
        return row_seeds.seeds(0, len(temperature))

    def specs(self) -> dict[str, dict[str, tf.TensorSpec]]:
        """Returns the inputs of each signature, in order."""
        specs = self.signatures()
        if self._context is None:
            return specs
        context = {"context": spec(self._context)}
        return {name: {**inputs, **context} for name, inputs in specs.items()}

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
            good = [_is_finite(tensor) for tensor in inputs.values()]
            with running_for("export"):
                outputs, in_range = self._answered(body, inputs)
            outputs = {k: tf.cast(v, tf.float32) for k, v in outputs.items()}
            good += [*in_range, *(_is_finite(tensor) for tensor in outputs.values())]
            valid = _all_rows(good)
            return {
                **{name: self._mark(v, valid) for name, v in outputs.items()},
                "valid": valid,
            }

        named = [tf.TensorSpec(s.shape, s.dtype, name=k) for k, s in specs.items()]
        return tf.function(
            serve, input_signature=named, autograph=False, jit_compile=False
        )

    def _answered(self, body, inputs):
        """Runs a body on one row at least: TensorFlow's convolutions fail on none."""
        asked = next(iter(inputs.values()))
        rows = {name: never_empty(tensor) for name, tensor in inputs.items()}
        return tf.nest.map_structure(
            lambda tensor: as_many(tensor, asked), body(**self._cast(rows))
        )

    def _cast(self, inputs):
        return {
            name: tf.cast(v, self._real) if v.dtype.is_floating else v
            for name, v in inputs.items()
        }

    def _mark(self, value, valid):
        where = tf.reshape(valid, [-1] + [1] * (value.shape.rank - 1))
        return tf.where(where, value, tf.constant(self._fill, tf.float32))


def spec(shape: tuple[int, ...], dtype: tf.DType = tf.float32) -> tf.TensorSpec:
    """Returns the spec of any number of rows of a shape."""
    return tf.TensorSpec([None, *shape], dtype)


def each_row(condition: tf.Tensor) -> tf.Tensor:
    """Returns whether a condition holds in all of a row, bool `[B]`."""
    return tf.reduce_all(condition, axis=list(range(1, condition.shape.rank)))


def base_noise(base: tfd.Distribution, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Draws a base's event for each row, from the row's seed.

    Args:
      base: a `distributions.Base`.
      seed: int64 `[B, 2]`.
      dtype: of the result.

    Returns:
      `[B, *event_shape]`.
    """
    if isinstance(base, bases.StandardNormal):
        noise = row_noise.row_normal(seed, base.num_uniforms)
        return tf.cast(tf.reshape(noise, [-1, *base.event_shape]), dtype)
    uniforms = row_noise.row_uniform(seed, base.num_uniforms)
    return base.from_uniform(tf.cast(uniforms, dtype))


def check_model(model: Any) -> None:
    """Refuses what cannot be served.

    Raises:
      ValueError: if it is no `Model`, or its events have no one shape.
    """
    if not isinstance(model, Model):
        raise ValueError(
            f"serving.export needs a Flow or another model of this library, got "
            f"{type(model).__name__}. Build it with tfp_flows.flows, or pass the flow "
            "itself if this is a FlowModel."
        )
    shape = model.event_shape
    if not isinstance(shape, tf.TensorShape) or not shape.is_fully_defined():
        raise ValueError(
            f"serving.export needs events of one known shape, got {shape}."
        )


def _is_finite(tensor):
    if not tensor.dtype.is_floating:
        return tf.fill(tf.shape(tensor)[:1], True)
    return each_row(tf.math.is_finite(tensor))


def _all_rows(conditions):
    """Returns where all hold, bool `[B]`.

    It is an error at run time if one input has fewer rows than another: by & it would
    be broadcast, one seed to many equal samples. A stack takes equal shapes only, and
    no served graph may hold an assertion.
    """
    return tf.reduce_all(tf.stack(conditions), axis=0)
