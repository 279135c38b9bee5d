"""Codes: numbers that can be moved freely, and the events they stand for."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Model, Padded, numeric
from tfp_flows.distributions.inside import inside_of


@dataclasses.dataclass(frozen=True)
class Conditioned:
    """A model and the one context it is asked under, if it takes any.

    Args:
      model: of floor 2.
      context: `[*context_shape]`, or None.
    """

    model: Model
    context: tf.Tensor | None

    @classmethod
    def of(cls, model: Model, context: Any) -> "Conditioned":
        """Checks the context, and takes `Given` and `Embedded` apart.

        Args:
          model: unconditional, conditional, or given its context.
          context: `[*context_shape]` for a conditional model.

        Raises:
          ValueError: if the context is missing, not wanted or not a single one, if the
            model's events are no tensors, or for what is no model of this library.
        """
        if not isinstance(model, Model):
            raise ValueError(
                "This task needs a model of this library, got "
                f"{type(model).__name__}. Build one with tfp_flows.flows."
            )
        if tf.nest.is_nested(model.dtype):
            raise ValueError(
                f"{model.name} has events of several parts, {model.event_shape}. This "
                "task needs a model whose event is one tensor."
            )
        for part in tf.nest.flatten(context):
            if part is not None:
                numeric.check(part, "context")
        model, context = inside_of(model, context)
        if context is None:
            return cls(model, None)
        context = tf.cast(tf.convert_to_tensor(context), model.real_dtype)
        if context.shape.rank != len(model.context_shape or ()):
            raise ValueError(
                f"{model.name} got contexts of shape {context.shape}. This task asks "
                f"under one context: pass it alone, of shape {model.context_shape}."
            )
        if not model.takes_missing and not np.isfinite(context).all():
            raise ValueError(
                f"{model.name} got the context {np.asarray(context)}. Give finite "
                "numbers."
            )
        return cls(model, context)

    @property
    def kwargs(self) -> dict[str, Any]:
        """What `log_prob` and `sample` take besides the events."""
        return {} if self.context is None else {"context": self.context}

    def checked(self, events: Any, title: str, least: int = 1) -> tf.Tensor:
        """Returns events in the model's real dtype.

        Args:
          events: `[N, *event_shape]`.
          title: what messages call them.
          least: how many there have to be.

        Raises:
          ValueError: if they are no numbers, have another shape, or are too few.
        """
        events = numeric.dense(events, title)
        events = tf.cast(tf.convert_to_tensor(events), self.model.real_dtype)
        if events.shape[1:] != self.model.event_shape or len(events) < least:
            raise ValueError(
                f"{self.model.name} wants {title} of shape [N, "
                f"{', '.join(map(str, self.model.event_shape))}], got {events.shape}. "
                "Reshape them, or give one event as a batch of one."
            )
        return events

    @property
    def has_code(self) -> bool:
        """Whether events have a code of real numbers."""
        return self.model.flow is not None or self.model.num_values is None

    def encode(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the code of events: z of a flow; for other models x itself.

        Args:
          x: `[N, *event_shape]`.
        """
        if self.model.flow is None:
            return tf.identity(x)
        return self.model.encode(x, self.context)

    def decode(self, code: tf.Tensor) -> tf.Tensor:
        """Returns the events of codes, with a gradient, in the model's real dtype.

        Integers get the gradient of the real numbers that they are the floors of.

        Args:
          code: `[N, ...]`, as from `encode`.
        """
        if self.model.flow is None:
            return tf.identity(code)
        real = self.model.flow.decode(code, self.context)
        if isinstance(self.model, Padded):
            real = self.model.crop(real)
        if self.model.num_values is None:
            return real
        floor = tf.clip_by_value(tf.floor(real), 0, self.model.num_values - 1)
        return real + tf.stop_gradient(floor - real)

    def log_densities(self, x: tf.Tensor, seed: tf.Tensor, draws: int) -> tf.Tensor:
        """Returns log p(x) and, for a flow, log p(z) of the code, `[N, 1 or 2]`.

        Args:
          x: `[N, *event_shape]`.
          seed: of the noise, if log p(x) is a bound from drawn noise.
          draws: of noise for each event, whose bounds are averaged.
        """
        log_prob = self._log_prob(x, seed, draws)
        if self.model.flow is None:
            return log_prob[:, None]
        if self.model.num_values is None:
            # TFP's cache has it, where x was just decoded.
            code = self.model.bijector.inverse(x, **self.kwargs)
        else:
            code = self.encode(x)
        of_code = self.model.distribution.log_prob(code)
        outside = tf.constant(-np.inf, of_code.dtype)
        of_code = tf.where(tf.math.is_finite(log_prob), of_code, outside)
        return tf.stack([log_prob, of_code], axis=-1)

    def _log_prob(self, x, seed, draws):
        if self.model.is_exact:
            return self.model.log_prob(x, **self.kwargs)
        many = tf.repeat(x, draws, axis=0)
        if self.model.num_values is None:
            log_prob = self.model.log_prob(many, seed=seed, **self.kwargs)
        else:
            log_prob = self._bound(many, seed, draws)
        return tf.reduce_mean(tf.reshape(log_prob, [-1, draws]), axis=-1)

    def _bound(self, many, seed, draws):
        """The bound of integers, each under the same draws of noise.

        `log_prob` would give an event other noise at another place in the batch, and
        so another bound.
        """
        model = self.model
        if isinstance(model, Padded):
            many, model = model.pad(many), model.dequantized
        times = tf.shape(many)[0] // draws

        def for_each(noise):
            return tf.tile(noise, [times] + [1] * (noise.shape.rank - 1))

        if model.noise is None:
            u, log_q = model.sample_noise(many[:draws], seed)
            u = for_each(u)
        else:
            z = model.noise.distribution.sample(draws, seed)
            u, log_q = model.noise_from_base(many, for_each(z))
        log_prob = model.flow.log_prob(many + u, **self.kwargs) - log_q
        is_value = (many >= 0) & (many < model.num_values) & (many == tf.floor(many))
        fits = tf.reduce_all(tf.reshape(is_value, [tf.shape(many)[0], -1]), axis=-1)
        return tf.where(fits, log_prob, tf.constant(-np.inf, log_prob.dtype))
