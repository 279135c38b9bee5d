"""What all served functions share: tensors in, a dict of tensors out, row by row.

A row is valid when its inputs are finite and in range, its temperature is positive and
its outputs are finite. A row that is not gets NaN in every float output (or float32's
lowest number, for clients whose JSON has no NaN) and changes no other row: values never
raise, since an error would fail everybody in a server's batch. Shapes do.
"""

import abc
import functools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import Embedded, Given, Model, bases
from tfp_flows.networks.autoregressive_network import as_many, never_empty
from tfp_flows.purpose import running_for
from tfp_flows.serving import row_noise, row_seeds

tfd = tfp.distributions

NONFINITE = {"nan": math.nan, "sentinel": tf.float32.min}
DEFAULT = "serving_default"
LOG_PROB = "log_prob"


class Endpoints(abc.ABC):
    """Traces the served functions of a model.

    Implementing one: write `signatures`, `sample` with an output `x` among them, and
    for each a method of its name with an underscore before it. That takes the inputs by
    name, floats in `real_dtype`, and returns the outputs by name, and a list of bool
    `[B]`: where the inputs are in range.

    Args:
      model: the distribution.
      nonfinite: what an invalid row holds, "nan" or "sentinel" (float32's lowest).
      labels: whether the context is the indicator of a class: `label` i32 `[B]` takes
        its place. A label that is none marks its row.
      real_dtype: that the model computes in.

    Raises:
      ValueError: if `nonfinite` is neither, or the model cannot be served.
    """

    def __init__(
        self, model: Model, nonfinite: str, labels: bool, real_dtype: tf.DType
    ):
        if labels and len(model.context_shape or ()) != 1:
            raise ValueError(
                "labels=True is for flows whose context is the indicator of a class, "
                f"[num_classes]; this one's context_shape is {model.context_shape}."
            )
        if nonfinite not in list(NONFINITE):
            raise ValueError(
                f"nonfinite must be one of {sorted(NONFINITE)}, got {nonfinite!r}."
            )
        self._fill = NONFINITE[nonfinite]
        self._real = real_dtype
        self._context = model.context_shape
        self.labels = labels
        self._embedding: Embedded | None = None
        self._chosen: tuple[str, ...] | None = None
        self._calibration: tf.Variable | None = None

    @functools.cached_property
    def passes(self) -> dict[str, Any]:
        """Functions that several signatures call, by name; none by default."""
        return {}

    @abc.abstractmethod
    def _log_prob(self, **inputs):
        """The one signature that every model has."""

    @abc.abstractmethod
    def signatures(self) -> dict[str, dict[str, tf.TensorSpec]]:
        """Returns the inputs of each signature, in order, without `context`."""

    def see_through(self, model: Embedded) -> None:
        """Lets clients send what a model's network takes as context.

        Args:
          model: around the one that is served.

        Raises:
          ValueError: if its contexts have parts with names.
        """
        if isinstance(model.context_shape, Mapping):
            raise ValueError(
                f"serving.export serves one context, and that of {model.name} has the "
                f"parts {sorted(model.context_shape)}. Export model.inner, and let "
                "clients send model.embed(context)."
            )
        self._embedding = model

    def embed(self, context: Any) -> Any:
        """Returns what the model sees of a context."""
        return context if self._embedding is None else self._embedding.embed(context)

    def points(self, x: np.ndarray) -> np.ndarray:
        """Returns where `log_prob` is asked about events; the events by default."""
        return x

    def golden_masks(self, count: int) -> np.ndarray:
        """Returns masks `[N, *E]` of what `complete` knows, where there is one."""
        raise NotImplementedError(f"{type(self).__name__} completes nothing.")

    def golden_seeds(
        self, temperature: np.ndarray, context: np.ndarray | None
    ) -> np.ndarray:
        """Returns seeds int64 `[N, 2]` of golden samples, one for each temperature.

        Args:
          temperature: `[N]`.
          context: `[N, *C]` or None.
        """
        return row_seeds.seeds(0, len(temperature))

    def choose(self, names: Collection[str]) -> None:
        """Leaves all but these signatures out.

        Raises:
          ValueError: if there is no such signature, or log_prob is not among them.
        """
        known = self._known_signatures()
        is_list = isinstance(names, Collection) and not isinstance(names, str)
        if not is_list or any(name not in list(known) for name in names):
            raise ValueError(
                f"signatures must be some of {', '.join(known)}, in a tuple, got "
                f"{names!r}."
            )
        if LOG_PROB not in names:
            raise ValueError(
                f"signatures needs {LOG_PROB}, which is the default one, got {names!r}."
            )
        if self._calibration is not None and "anomaly_score" not in names:
            raise ValueError(
                "calibration= is for anomaly_score, which signatures= leaves out. "
                "Leave calibration out, too."
            )
        self._chosen = tuple(names)

    def calibrate(self, scores: np.ndarray, rtol: float) -> None:
        """Adds the signature `anomaly_score`.

        Args:
          scores: `[N]`, -log_prob of events that the model was not trained on.
          rtol: how far log_prob may be from itself in a batch of another size. What is
            as near to a score counts as equal, so that a p-value errs upwards.
        """
        scores = np.sort(scores.astype(np.float64))
        scores += 4.0 * rtol * np.maximum(np.abs(scores), 1.0)
        self._calibration = tf.Variable(
            scores.astype(np.float32), trainable=False, name="calibration"
        )

    def specs(self) -> dict[str, dict[str, tf.TensorSpec]]:
        """Returns the inputs of each signature that is served, in order."""
        known = self._known_signatures()
        return {k: self.inputs(k) for k in known if k in (self._chosen or known)}

    def inputs(self, name: str) -> dict[str, tf.TensorSpec]:
        """Returns the inputs of a signature, served or not, in order."""
        inputs = self._known_signatures()[name]
        if self._context is None:
            return inputs
        context = {"context": spec(self._context)}
        if self._embedding is not None:
            seen = self._embedding
            context = {"context": spec(seen.context_shape, _served(seen.context_dtype))}
        if self.labels:
            context = {"label": spec((), tf.int32)}
        return {**inputs, **context}

    def _known_signatures(self):
        signatures = self.signatures()
        if self._calibration is not None:
            signatures["anomaly_score"] = signatures[LOG_PROB]
        return signatures

    def functions(self) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
        """Returns a `tf.function` for each signature that is served."""
        return {name: self.function(name) for name in self.specs()}

    def function(self, name: str) -> Callable[..., dict[str, tf.Tensor]]:
        """Returns the `tf.function` of a signature, served or not.

        XLA never compiles it: TF Serving refuses functions that must be compiled,
        unless told otherwise.
        """
        specs = self.inputs(name)
        body = getattr(self, f"_{name}")

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
        rows, is_class = self._cast(rows), []
        if self.labels:
            label, count = rows.pop("label"), self._context[0]
            rows["context"] = tf.one_hot(label, count, dtype=self._real)
            is_class = [(label >= 0) & (label < count)]
        if "context" in rows:
            rows["context"] = self.embed(rows["context"])
        outputs, in_range = body(**rows)
        return tf.nest.map_structure(
            lambda tensor: as_many(tensor, asked), (outputs, in_range + is_class)
        )

    def _anomaly_score(self, **inputs):
        outputs, in_range = self._log_prob(**inputs)
        score = -tf.cast(outputs[LOG_PROB], tf.float32)
        count = self._calibration.shape[0]
        below = tf.searchsorted(self._calibration, score)
        at_least = tf.cast(count - below, tf.float32)
        p_value = (1.0 + at_least) / (1.0 + count)
        return {"score": score, "p_value": p_value}, in_range

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


def _served(dtype):
    """What clients send: float32 for any real numbers."""
    return tf.float32 if dtype.is_floating else dtype


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
    if isinstance(model, Given):
        raise ValueError(
            f"{model.name!r} was given its context, which an export leaves to clients. "
            "Export the conditional model itself, the .inner of this one."
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
