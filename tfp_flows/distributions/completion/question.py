"""What a completion is asked: events, which units are known, and how many draws."""

import dataclasses
import numbers
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import numeric, rows
from tfp_flows.distributions.inside import inside_of
from tfp_flows.distributions.model import Model


@dataclasses.dataclass(frozen=True)
class Question:
    """Events with one batch axis, and their masks.

    Args:
      model: that is asked.
      x: `[N, *event_shape]`, of the model's dtype.
      known: bool `[N, *event_shape]`, or `[1, *event_shape]` for one mask of all.
      context: `[N, *context_shape]` or None.
      batch: shape of the events before they were put into rows.
      n: draws for each event.
    """

    model: Model
    x: tf.Tensor
    known: np.ndarray
    context: tf.Tensor | None
    batch: Any
    n: int

    @classmethod
    def of(cls, model: Model, x: Any, mask: Any, n: int, context: Any) -> "Question":
        """Returns the question of `complete`'s arguments.

        Raises:
          ValueError: if n is not positive, x, mask or context do not fit, or what is
            known is not finite, no value of the model's, or beyond its support.
        """
        if not isinstance(n, numbers.Integral) or n < 1:
            raise ValueError(f"complete needs n >= 1 draws for each event, got {n!r}.")
        if not isinstance(model, Model):
            raise ValueError(
                "complete needs a model of this library, got "
                f"{type(model).__name__}. Build one with tfp_flows.flows."
            )
        model, context = inside_of(model, context)
        event = model.event_shape.as_list()
        x, batch, flat_context = _rows(model, x, event, context)
        known = _known(mask, event, batch)
        known = _there(model, x, known)
        _check_values(model, x, known)
        x = tf.cast(x, model.dtype)
        _check_support(model, x, known)
        return cls(model, x, known, flat_context, batch, int(n))

    @property
    def num_rows(self) -> Any:
        """N, an integer if it is known."""
        return self.x.shape[0] if self.x.shape[0] is not None else tf.shape(self.x)[0]

    def tiled(self) -> "Question":
        """Returns the question with a row for each draw, and one draw a row."""
        times = self.n if len(self.known) > 1 else 1
        return dataclasses.replace(
            self,
            x=_tiled(self.x, self.n),
            known=np.concatenate([self.known] * times),
            context=_tiled(self.context, self.n),
            n=1,
        )

    def answer(self, drawn: tf.Tensor) -> tf.Tensor:
        """Gives the rows of all draws, `[n * N, *event_shape]`, their batch back."""
        event = self.model.event_shape.as_list()
        shape = tf.concat([[self.n], tf.cast(self.batch, tf.int32), event], axis=0)
        return tf.reshape(drawn, shape)


def _rows(model, x, event, context):
    numeric.check(x, "x")
    x = tf.convert_to_tensor(x)
    x = tf.cast(x, model.real_dtype)  # fractions of integers are seen, see below
    if context is not None:
        context = tf.cast(tf.convert_to_tensor(context), model.real_dtype)
    x, context, batch = rows.paired(x, event, context, model.context_shape, model.name)
    return x, batch, context


def _known(mask, event, batch):
    mask = np.asarray(mask)
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"complete needs a mask of bools, True for known units, got values of type "
            f"{mask.dtype} such as {mask.ravel()[0]}. Write what marks the known units."
        )
    mask = mask.astype(bool)
    split = mask.ndim - len(event)
    one_for_all = split <= 0 or all(size == 1 for size in mask.shape[:split])
    batch = [1] if one_for_all or not isinstance(batch, list) else batch
    mask = mask.reshape(mask.shape[max(split, 0) :]) if one_for_all else mask
    try:
        return np.broadcast_to(mask, (*batch, *event)).reshape([-1, *event])
    except ValueError:
        raise ValueError(
            f"complete needs a mask that broadcasts to events of shape {tuple(event)}, "
            f"or to {(*batch, *event)} for one of each event, got shape {mask.shape}."
        ) from None


def _there(model, x, known):
    """What is known, and there; of a traced x nobody knows yet."""
    if not hasattr(x, "numpy"):
        return known
    missing = np.isnan(x) & known
    if missing.any() and model.takes_missing:  # is drawn
        return known & ~missing
    if missing.any():
        raise ValueError(
            f"complete got NaN for {int(missing.sum())} known units, of the rows "
            f"{np.unique(np.argwhere(missing)[:, 0])[:10].tolist()}. Make the mask "
            "False there: mask & ~np.isnan(x)."
        )
    return known


def _check_values(model, x, known):
    """Refuses known units that no event has; of a traced x nobody knows yet."""
    if not hasattr(x, "numpy"):
        return
    x, wanted = x.numpy(), "finite numbers"
    if model.num_values is not None:
        wanted = f"whole numbers from 0 to {model.num_values - 1}"
    bad = known & ~numeric.are_values(x, model.num_values)
    if bad.any():
        row = int(np.argwhere(bad)[0, 0])
        raise ValueError(
            f"complete wants {wanted} as known units of {model.name}, got "
            f"{np.broadcast_to(x, bad.shape)[bad][0]:g} in row {row}. Make the mask "
            "False there."
        )


def _check_support(model, x, known):
    """Refuses known units that cannot be; of a traced x nobody knows yet."""
    support, shape = model.support, model.event_shape
    if support is None or not tf.executing_eagerly():
        return
    if support.inverse_event_shape(shape) != shape:
        return  # rows of a simplex: units are not possible or impossible by themselves
    inside = support.forward(tf.zeros(shape, model.dtype))
    support.check(np.where(known, x, inside), data="events to complete")


def _tiled(value, n):
    if value is None:
        return None
    return tf.tile(value, [n] + [1] * (value.shape.rank - 1))
