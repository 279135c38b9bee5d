"""The seam: TFP bijectors whose parameters are Keras variables and layers.

A Keras 3 layer is not a `tf.Module`, so TFP does not see the weights of one inside a
bijector, silently. A `KerasBijector` shows both sides what they need: raw variables to
`tf.Module`'s walk, and `keras_layers` to whoever builds a `keras.Model`.
"""

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import graph_cache
from tfp_flows.bijectors.layers import raw_variables, shapes_of
from tfp_flows.bijectors.running import evaluation
from tfp_flows.bijectors.shapes import (
    as_shape,
    broadcast_batch,
    check_context,
    check_event,
    optional_shape,
    over_event,
)
from tfp_flows.bijectors.unbatched import Unbatched

graph_cache.install()

OPPOSITE = {"forward": "inverse", "inverse": "forward"}


class KerasBijector(Unbatched):
    """Base of all bijectors with Keras networks or weights.

    forward: latent side -> data side (sampling);  inverse: data -> latent (density)
    log_det: log|det Jacobian| of the direction taken, in nats

    Implementing a bijector: write `forward_and_log_det` and `inverse_and_log_det`, each
    one network call. TFP's forward, inverse and both log-dets are derived from these,
    and TFP's cache is given the log-det with the value, so a network runs once however
    the two are asked for. Everything with weights goes into `layers`, built, at
    construction.

    Composing bijectors: call these two of every part, with the context that there is.
    A part without `context_shape` ignores it, where TFP's methods refuse one.

    Shapes: y `[*batch, *event_shape]`, x `[*batch, *latent_shape]`, context
    `[*batch', *context_shape]`, where batch' broadcasts with batch.

    Args:
      event_shape: shape of one event on the data side.
      latent_shape: shape of one event on the latent side, `event_shape` if None.
      context_shape: shape of one context, or None for an unconditional bijector.
      layers: name -> built Keras layer that owns weights; freeze one (`trainable =
        False`) before it comes here, so that both sides know.
      dtype: of the events; log-dets are of the same dtype.
      parameters: the constructor's arguments, for `copy`.
      name: of the bijector, used in messages.
      **kwargs: of `tfb.Bijector`.

    Raises:
      ValueError: if Keras does not run on TensorFlow, or a layer is not built.

    Examples:
      >>> class Negative(KerasBijector):
      ...     def forward_and_log_det(self, x, context=None):
      ...         return -x, tf.zeros(tf.shape(x)[:-1], x.dtype)
      ...
      ...     inverse_and_log_det = forward_and_log_det
      >>> negative = Negative((2,), parameters={"event_shape": (2,)}, name="negative")
      >>> print(negative.inverse(tf.constant([[1.0, -2.0]])).numpy())
      [[-1.  2.]]
    """

    # Whether batches go in two halves under `evaluating`, all through a flow of it.
    prefers_halves = False

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        latent_shape: Sequence[int] | None = None,
        context_shape: Sequence[int] | None = None,
        layers: Mapping[str, keras.Layer] | None = None,
        dtype: Any = tf.float32,
        parameters: Mapping[str, Any],
        name: str,
        **kwargs,
    ):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"tfp_flows needs Keras on TensorFlow, got the backend "
                f"{keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow first."
            )
        event_shape = as_shape(event_shape)
        latent_shape = optional_shape(latent_shape) or event_shape
        kwargs.setdefault("forward_min_event_ndims", len(latent_shape))
        if not tf.nest.is_nested(kwargs["forward_min_event_ndims"]):
            kwargs.setdefault("inverse_min_event_ndims", len(event_shape))
        super().__init__(
            dtype=tf.as_dtype(dtype), parameters=parameters, name=name, **kwargs
        )
        # tf.Module would turn these into tracked wrappers; they are plain facts.
        self._event_shape = self._no_dependency(event_shape)
        self._latent_shape = self._no_dependency(latent_shape)
        self._context_shape = self._no_dependency(optional_shape(context_shape))
        self._show_layers(dict(layers or {}))

    def _show_layers(self, layers):
        """Keeps the layers for Keras and their raw variables for `tf.Module`."""
        for key, layer in layers.items():
            if not layer.built:
                raise ValueError(
                    f"{self.name} needs built layers, got {key} = {layer.name!r} "
                    "without weights. Call it once, or its build method, first."
                )
        self._layers = self._no_dependency(layers)
        self._weights = raw_variables(list(layers.values()))

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one event on the data side."""
        return self._event_shape

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one event on the latent side."""
        return self._latent_shape

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        """Shape of one context, or None for an unconditional bijector."""
        return self._context_shape

    @property
    def keras_layers(self) -> tuple[keras.Layer, ...]:
        """The Keras layers that own this bijector's weights."""
        return tuple(self._layers.values())

    @property
    def parts(self) -> tuple[tfp.bijectors.Bijector, ...]:
        """The bijectors it is made of, the data side first, for `Model.summary`."""
        return ()

    @property
    def support(self) -> Any:
        """The `SupportMap` that events come from, or None if there is none."""
        return None

    @property
    def is_affine(self) -> bool:
        """Whether y = A x + b, with A and b from weights alone."""
        return False

    @property
    def order(self) -> np.ndarray | None:
        """Unit numbers `[positions, block_size]`, if there is an order that it keeps.

        None if there is no such order, or if it keeps every one; see `keeps_order`.
        """
        return None

    def keeps_order(self, order: np.ndarray) -> bool:
        """Returns whether the first blocks of y are a function of the first ones of x.

        And of no others, for any number of blocks, in both directions.

        Args:
          order: row-major unit numbers, `[positions, block_size]`.
        """
        return False

    @property
    def is_adapted(self) -> bool:
        """Whether data-dependent initialisation is done, or not needed."""
        return True

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Sets data-dependent weights from a batch on the data side, if there are any.

        Args:
          y: `[N, *event_shape]`.
          context: `[N, *context_shape]` for a conditional bijector.
        """

    def given(self, context: Any) -> "KerasBijector":
        """Returns the bijector for a fixed context, which it takes no more.

        Args:
          context: `[*batch, *context_shape]`; a variable is read at each call.
        """
        from tfp_flows.bijectors.with_context import WithContext  # is one itself

        check_context(context, self._context_shape, self.name)
        return WithContext(self, context)

    def forward_and_log_det(
        self, x: Any, context: tf.Tensor | None = None
    ) -> tuple[Any, tf.Tensor]:
        """Maps from the latent to the data side. A subclass writes it.

        Args:
          x: `[*batch, *latent_shape]`, where batch holds that of the context.
          context: `[*batch', *context_shape]`; ignored by an unconditional bijector.

        Returns:
          y, and log|det dy/dx| in nats, `[*batch]` or a scalar if it is the same for
          every event. An event outside of the map's range gets a finite stand-in and
          -inf: that makes its density 0, whatever the steps after it are.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward direction.")

    def inverse_and_log_det(
        self, y: Any, context: tf.Tensor | None = None
    ) -> tuple[Any, tf.Tensor]:
        """Maps from the data to the latent side. A subclass writes it.

        Args:
          y: `[*batch, *event_shape]`, where batch holds that of the context.
          context: `[*batch', *context_shape]`; ignored by an unconditional bijector.

        Returns:
          x, and log|det dx/dy|, as `forward_and_log_det` does.
        """
        raise NotImplementedError(f"{type(self).__name__} has no inverse direction.")

    def recompute(
        self,
        direction: str,
        out: Any,
        tape: tf.GradientTape,
        context: tf.Tensor | None = None,
    ) -> tuple[list[tf.Tensor], Callable[[list], Any], Any, tf.Tensor]:
        """Runs again from the input that an output belongs to: `memory="constant"`.

        Override it where the input is found with fewer network calls.

        Args:
          direction: "forward" or "inverse", as it was run.
          out: what it gave.
          tape: gradient tape that is recording.
          context: as it was run with.

        Returns:
          The watched pieces of the input, the function that joins them (and gradients
          with respect to them), and the output and log-det again.
        """
        with tape.stop_recording():
            back = getattr(self, f"{OPPOSITE[direction]}_and_log_det")
            value, _ = back(out, context)
            # New tensors: TFP's cache would answer with the output itself.
            value = tf.nest.map_structure(tf.identity, value)
        tape.watch(tf.nest.flatten(value))
        again, log_det = getattr(self, f"{direction}_and_log_det")(value, context)
        join = functools.partial(tf.nest.pack_sequence_as, value)
        return tf.nest.flatten(value), join, again, log_det

    def _forward(self, x, **kwargs):
        check_event(x, self._latent_shape, self.name)
        y, log_det = self._pass("forward", x, len(self._latent_shape), **kwargs)
        if not self.is_constant_jacobian:
            y, log_det = self._nan_outside(y, log_det)
        self._cache.forward_attributes(x, **kwargs)["ildj"] = -log_det
        return y

    def _nan_outside(self, y, log_det):
        """NaN for stand-ins: a sample of the base that no event belongs to."""
        outside = tf.math.is_inf(log_det) & (log_det < 0)
        nan, ndims = tf.constant(math.nan, self.dtype), len(self._event_shape)
        y = tf.nest.map_structure(
            lambda part: tf.where(over_event(outside, ndims), nan, part), y
        )
        return y, tf.where(outside, nan, log_det)

    def _inverse(self, y, **kwargs):
        check_event(y, self._event_shape, self.name)
        x, log_det = self._pass("inverse", y, len(self._event_shape), **kwargs)
        self._cache.inverse_attributes(y, **kwargs)["ildj"] = log_det
        return x

    def _forward_log_det_jacobian(self, x, **kwargs):
        y = self._cache.forward(x, **kwargs)  # alive until the log-det is read
        log_det = -self._cache.forward_attributes(x, **kwargs)["ildj"]
        del y
        return log_det

    def _inverse_log_det_jacobian(self, y, **kwargs):
        x = self._cache.inverse(y, **kwargs)  # alive until the log-det is read
        log_det = self._cache.inverse_attributes(y, **kwargs)["ildj"]
        del x
        return log_det

    def _pass(self, direction, value, ndims, context=None):
        function = getattr(self, f"{direction}_and_log_det")
        parts = (self, *self.submodules)
        wanted = any(getattr(part, "prefers_halves", False) for part in parts)
        if wanted and evaluation.is_evaluated():
            context_ndims = len(self._context_shape or ())
            function = evaluation.in_halves(function, ndims, context_ndims)
        return self._call(function, value, ndims, context)

    def _call(self, function, value, ndims, context=None):
        check_context(context, self._context_shape, self.name)
        if context is None:
            return function(value)
        context = tf.convert_to_tensor(context)
        context = tf.cast(context, self.dtype)
        value = tf.nest.map_structure(
            lambda v: broadcast_batch(v, ndims, context, len(self._context_shape)),
            value,
        )
        return function(value, context)

    def _own(self, context):
        """The context, or None where this bijector takes none."""
        return None if self._context_shape is None else context

    def copy(self, **overrides) -> "KerasBijector":
        """Returns a bijector with the same weights.

        Args:
          **overrides: constructor arguments to replace; a layer that is among them, or
            whose weights change shape with them, is not shared.
        """
        clone = type(self)(**{**self.parameters, **overrides})
        shared = {
            key: self._layers[key]
            for key in clone._layers
            if key not in overrides
            and key in self._layers
            and shapes_of(clone._layers[key]) == shapes_of(self._layers[key])
        }
        clone._show_layers({**clone._layers, **shared})
        return clone

    def __deepcopy__(self, memo: dict) -> "KerasBijector":
        """Returns an equal bijector with weights of its own."""
        clone = type(self)(**copy.deepcopy(dict(self.parameters), memo))
        memo[id(self)] = clone
        for key, layer in self._layers.items():
            pairs = zip(clone._layers[key].variables, layer.variables, strict=True)
            for new, old in pairs:
                new.assign(old)
        return clone
