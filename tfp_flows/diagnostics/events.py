"""Events as diagnostics take them: checked once, with their contexts, in chunks."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.diagnostics.finding import DoesNotFit
from tfp_flows.distributions import Dequantized, Given, Model, Padded, noise, numeric
from tfp_flows.distributions.inside import inside_of

_CHUNK = 500  # events at a time, which bounds the memory;
_UNITS = 2**16  # fewer if they are large: each unit may have 256 logits


@dataclasses.dataclass(frozen=True)
class Events:
    """A model and events that it is asked about.

    Args:
      model: whose event is one tensor; what is inside of `Given` and `Embedded`.
      x: `[N, *event_shape]`, in the model's real dtype.
      context: `[N, *context_shape]`, or None.
    """

    model: Model
    x: np.ndarray
    context: np.ndarray | None

    @classmethod
    def of(
        cls, model: Model, x: Any, context: Any = None, title: str = "held-out events"
    ) -> "Events":
        """Checks events against a model.

        Args:
          model: any, without batch dimensions.
          x: `[N, *event_shape]`.
          context: `[N, *context_shape]` for a conditional model.
          title: what messages call the events.

        Raises:
          ValueError: if something does not fit, or is not finite.
        """
        check_model(model)
        is_given = isinstance(model, Given) and context is None
        model, context = inside_of(model, context)
        shape = model.event_shape
        real = model.real_dtype.as_numpy_dtype
        x = rows_of(x, title).astype(real)
        if is_given:
            context = np.broadcast_to(context, (len(x), *np.shape(context)))
        if not shape.is_compatible_with(x.shape[1:]):
            raise ValueError(
                f"{model.name} wants {title} of shape [N, "
                f"{', '.join(map(str, shape))}], got {x.shape}. Give one row for each "
                "event."
            )
        _check_values(x, model, title)
        if context is not None:
            context = np.asarray(context, real)
            if context.shape != (len(x), *(model.context_shape or ())):
                raise ValueError(
                    f"{model.name} got contexts of shape {context.shape} for {len(x)} "
                    f"{title}. Give one context for each."
                )
        return cls(model, x, context)

    def each(self, function: Callable, *others: Any) -> Any:
        """Calls a function on chunks and joins what it returns along the first axis.

        Args:
          function: of x, keyword arguments for the context, the number of the first
            event, and chunks of the others; returns tensors `[n, ...]`.
          *others: arrays `[N, ...]`.
        """
        parts = []
        size = min(_CHUNK, max(1, _UNITS // max(1, self.x[0].size)))
        for start in range(0, len(self.x), size):
            place = slice(start, start + size)
            given = {} if self.context is None else {"context": self.context[place]}
            x = tf.constant(self.x[place])
            parts.append(function(x, given, start, *(v[place] for v in others)))
        return tf.nest.map_structure(
            lambda *values: np.concatenate([np.asarray(v) for v in values]), *parts
        )

    def log_prob(self, seed: Any) -> np.ndarray:
        """Returns log p(x) in nats, `[N]`; one draw of a bound if it is not exact.

        Args:
          seed: of the noise.
        """
        pair = noise.salted(seed, "diagnostics")

        def chunk(x, given, start):
            if not self.model.is_exact:
                given = {**given, "seed": tf.concat([pair[:2], [start]], axis=0)}
            return self.model.log_prob(x, **given)

        return self.each(chunk)

    def real(self, seed: Any) -> "Events":
        """Returns what the flow inside takes: integers get noise, images borders.

        Args:
          seed: of the noise; None takes the middles of the cells.

        Raises:
          ValueError: if there is no flow inside.
        """
        flow = self.model.flow
        if flow is None:
            raise DoesNotFit(
                f"{self.model.name} has no flow inside, so events have no code. This "
                "needs a flow, such as flows.real_nvp."
            )
        if self.model.num_values is None:
            return Events(flow, self.x, self.context)
        pixels: Any = self.model
        x = tf.constant(self.x)
        if isinstance(pixels, Padded):
            x, pixels = pixels.pad(x), pixels.dequantized
        if not isinstance(pixels, Dequantized):
            raise DoesNotFit(
                f"{self.model.name} has integers that no noise was added to."
            )
        padded = Events(pixels, x.numpy(), self.context)
        if seed is None:
            return Events(flow, padded.x + 0.5, self.context)
        pair = noise.salted(seed, "diagnostics")

        def chunk(x, given, start):
            return pixels.dequantize(x, tf.concat([pair[:2], [start]], axis=0))

        return Events(flow, padded.each(chunk), self.context)


def _check_values(x, model, title):
    """Refuses integers that no event of a model has."""
    if model.num_values is None:
        return
    bad = ~numeric.are_values(x, model.num_values)
    if bad.any():
        raise ValueError(
            f"{title} of {model.name} hold {x[bad][0]:g} at row "
            f"{np.argwhere(bad)[0, 0]}, wanted whole numbers from 0 to "
            f"{model.num_values - 1}. Drop such rows, or give the data in their own "
            "unit."
        )


def check_model(model: Any) -> None:
    """Refuses what is no model of single tensors without batch dimensions.

    Raises:
      ValueError: saying what came.
    """
    if not isinstance(model, Model):
        raise ValueError(
            f"Diagnostics need a model of tfp_flows, got {type(model).__name__}. Wrap "
            "a bijector as distributions.Flow(bijector)."
        )
    if tf.nest.is_nested(model.dtype):
        raise ValueError(
            f"{model.name} has events of several parts, {model.event_shape}. "
            "Diagnostics need a model whose event is one tensor."
        )
    if model.batch_shape.rank:
        raise ValueError(
            f"{model.name} has batch shape {model.batch_shape}. Pass the conditional "
            "model itself, and context= with one context for each event."
        )


def rows_of(x: Any, title: str, least: int = 20) -> np.ndarray:
    """Returns events as an array `[N, ...]`.

    Args:
      x: events.
      title: what messages call them.
      least: how many there have to be.

    Raises:
      ValueError: if there are too few, or not all are finite.
    """
    numeric.check(x, title)
    x = np.asarray(x)
    if x.ndim < 1 or len(x) < least:
        raise ValueError(
            f"Diagnostics need at least {least} {title}, got shape {x.shape}. Give "
            "more: with few, every model passes."
        )
    finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{np.sum(~finite)} of {len(x)} {title} are not finite, the first one at "
            f"row {np.argmin(finite)}. Drop or mend them."
        )
    return x


def flat_pair(samples: Any, held_out: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns samples and held-out events as matrices `[M, D]` and `[N, D]`.

    Args:
      samples: `[M, *event_shape]`.
      held_out: `[N, *event_shape]`.

    Raises:
      ValueError: if their shapes differ, or as `rows_of`.
    """
    samples, held_out = (
        rows_of(samples, "samples"),
        rows_of(held_out, "held-out events"),
    )
    if samples.shape[1:] != held_out.shape[1:]:
        raise ValueError(
            f"Samples have shape {samples.shape}, held-out events {held_out.shape}. "
            "Give both as [N, *event_shape]."
        )
    return (
        samples.reshape(len(samples), -1).astype(np.float64),
        held_out.reshape(len(held_out), -1).astype(np.float64),
    )


def unit_of(x: np.ndarray, unit: Any) -> np.ndarray:
    """Returns what each unit of events is divided by before distances, `[D]`.

    Args:
      x: `[N, D]`.
      unit: a number, or one for each unit; None for the standard deviations of x, 1
        where x does not vary.

    Raises:
      ValueError: if a unit is not positive, or they do not fit.
    """
    if unit is None:
        spread = x.std(axis=0)
        return np.where(spread > 0, spread, 1.0)
    unit = np.ravel(np.asarray(unit, np.float64))
    if unit.size not in (1, x.shape[1]) or not np.all(unit > 0):
        raise ValueError(
            f"unit= has {unit.size} values, the least {unit.min(initial=np.inf):g}, "
            f"for events of {x.shape[1]} units. Give one positive number, or one for "
            "each unit."
        )
    return np.broadcast_to(unit, x.shape[1])
