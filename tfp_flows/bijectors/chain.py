"""Composition that carries the log-det and the context along."""

import functools
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import progress
from tfp_flows.bijectors.from_tfp import as_ours, context_shape
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.position_affine import FusedAffine, PositionAffine
from tfp_flows.bijectors.shapes import as_shape, check_event, optional_shape

tfb = tfp.bijectors


class Chain(KerasBijector):
    """Composes bijectors, the data side first: `Chain([f, g]).forward(x) = f(g(x))`.

    inverse: y -> f^-1 -> g^-1 -> x, each step giving its value and log-det together
    log_det: the sum over the steps, in nats

    The order is that of `tfb.Chain`: read the list from left to right and you follow
    an event from the data to the latent side. Unlike it, the chain passes `context=`
    to each part that is conditional, checks that neighbours fit, and asks each part
    once for both value and log-det. TFP's own bijectors are welcome as parts.

    Args:
      bijectors: parts from the data side to the latent side, at least one.
      event_shape: shape on the data side; needed only if no part is a `KerasBijector`.
      context_bijector: what contexts go through (its inverse) before a part sees them,
        such as a `Standardize`, so that their unit does not matter; None for nothing.
      name: of the bijector.

    Raises:
      ValueError: if there are no parts, neighbours do not fit, contexts differ, or the
        event shape cannot be told.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm
      >>> chain = Chain([tfb.Exp(), ActNorm((3,))])
      >>> chain.inverse_log_det_jacobian(tf.ones([5, 3])).shape
      TensorShape([5])
    """

    def __init__(
        self,
        bijectors: Sequence[tfb.Bijector],
        event_shape: Sequence[int] | None = None,
        context_bijector: KerasBijector | None = None,
        name: str = "chain",
    ):
        parameters = dict(locals())
        bijectors = list(bijectors)
        if not bijectors:
            raise ValueError(f"{name} needs at least one bijector, got none.")
        shapes = _shapes_between(bijectors, optional_shape(event_shape), name)
        contexts = {s for s in map(context_shape, bijectors) if s is not None}
        if len(contexts) > 1:
            raise ValueError(
                f"{name} needs one context_shape for all its conditional parts, got "
                f"{sorted(contexts)}."
            )
        pair, dtype = _pair_ndims(bijectors), _common_dtype(bijectors, name)
        super().__init__(
            shapes[0],
            latent_shape=shapes[-1],
            context_shape=next(iter(contexts), None),
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=all(b.is_constant_jacobian for b in bijectors),
            **({} if pair is None else {"forward_min_event_ndims": pair}),
        )
        self._bijectors = bijectors
        self._context_bijector = context_bijector
        self._parts = self._no_dependency(
            [as_ours(*pair, dtype) for pair in zip(bijectors, shapes, strict=False)]
        )
        self._fused = self._no_dependency(_fused(self._parts))

    @property
    def bijectors(self) -> tuple[tfb.Bijector, ...]:
        """The parts, the data side first."""
        return tuple(self._bijectors)

    @property
    def parts(self) -> tuple[tfb.Bijector, ...]:
        """The bijectors, the data side first, and what contexts go through."""
        return (*self._bijectors, *filter(None, [self._context_bijector]))

    @property
    def support(self) -> Any:
        """That of the part on the data side."""
        return self._parts[0].support

    @property
    def is_affine(self) -> bool:
        """Whether every part is."""
        return all(part.is_affine for part in self._parts)

    @property
    def order(self) -> np.ndarray | None:
        """That of the first part that has one, if all parts keep it."""
        orders = [part.order for part in self._parts if part.order is not None]
        return orders[0] if orders and self.keeps_order(orders[0]) else None

    def keeps_order(self, order: np.ndarray) -> bool:
        """Returns whether every part does."""
        return all(part.keeps_order(order) for part in self._parts)

    @property
    def is_adapted(self) -> bool:
        """Whether every part is."""
        parts = [*self._bijectors, self._context_bijector]
        return all(getattr(b, "is_adapted", True) for b in parts)

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Adapts part after part, each on the data as the parts before it give them.

        Args:
          y: `[N, *event_shape]`.
          context: `[N, *context_shape]` for a conditional chain.
        """
        if context is not None and self._context_bijector is not None:
            self._context_bijector.adapt(context)
        context = self._prepared(context)
        for part in progress.steps(self._parts, f"adapting {self.name}"):
            part.adapt(y, context)
            # Without tf.identity a cached value from before the adaptation comes back.
            y = tf.nest.map_structure(tf.identity, y)
            y, _ = part.inverse_and_log_det(y, context)

    def steps(
        self, y: tf.Tensor, context: tf.Tensor | None = None
    ) -> Iterator[tuple[str, tf.Tensor, tf.Tensor]]:
        """Yields (name, value after the step, its log-det) from data to latent side.

        Args:
          y: `[*batch, *event_shape]`.
          context: `[*batch', *context_shape]` for a conditional chain.
        """
        check_event(y, self._event_shape, self.name)
        return self._call(self._steps, y, len(self._event_shape), context)

    def _steps(self, y, context=None):
        context = self._prepared(context)
        for part in self._parts:
            y, log_det = part.inverse_and_log_det(y, context)
            yield part.name, y, log_det

    def in_order(self, direction: str) -> list[KerasBijector]:
        """Returns the parts as a pass goes through them.

        Neighbouring affine maps of the last axis are one part, and TFP's bijectors
        are wrapped.

        Args:
          direction: "forward" or "inverse".
        """
        return self._fused if direction == "inverse" else self._fused[::-1]

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and the sum of the parts' log-dets."""
        return self._walk("forward", x, self._prepared(context))

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and the sum of the parts' log-dets."""
        return self._walk("inverse", y, self._prepared(context))

    def _walk(self, direction, value, context):
        log_dets = []
        for part in self.in_order(direction):
            value, log_det = getattr(part, f"{direction}_and_log_det")(value, context)
            log_dets.append(log_det)
        return value, functools.reduce(operator.add, log_dets)

    def _prepared(self, context):
        if context is None or self._context_shape is None:
            return None
        if self._context_bijector is None:
            return context
        return self._context_bijector.inverse_and_log_det(context)[0]


def _fused(parts):
    """Puts neighbours together that can be applied as one, the data side first."""
    result: list[KerasBijector] = []
    for part in parts:
        if not isinstance(part, PositionAffine):
            result.append(part)
        elif result and isinstance(result[-1], FusedAffine):
            result[-1] = FusedAffine([*result[-1].bijectors, part])
        else:
            result.append(FusedAffine([part]))
    return result


def _shapes_between(bijectors, event_shape, name):
    """Returns the event shapes from the data side, through the gaps, to the latent."""
    if event_shape is None:
        index = next(
            (i for i, b in enumerate(bijectors) if isinstance(b, KerasBijector)), None
        )
        if index is None:
            raise ValueError(
                f"{name} cannot tell its event shape from parts that are all TFP's. "
                "Pass event_shape=."
            )
        event_shape = bijectors[index].event_shape
        for part in reversed(bijectors[:index]):
            event_shape = as_shape(part.forward_event_shape(event_shape))
    shapes = [event_shape]
    for i, part in enumerate(bijectors):
        if isinstance(part, KerasBijector):
            if part.event_shape != shapes[-1]:
                raise ValueError(
                    f"{name}: part {i}, {part.name!r}, wants events of shape "
                    f"{part.event_shape}, but is given {shapes[-1]} by "
                    f"{bijectors[i - 1].name if i else 'the data'!r}. Build each part "
                    "with the latent_shape of the one before it."
                )
            shapes.append(part.latent_shape)
        else:
            # As many shapes as the event has parts, of which each is like the first.
            ndims = part.inverse_min_event_ndims
            given = tf.nest.map_structure(lambda _, s=shapes[-1]: s, ndims)
            found = tf.nest.flatten(part.inverse_event_shape(given))
            shapes.append(as_shape(found[0]))
    return shapes


def _common_dtype(bijectors, name):
    dtypes = {b.dtype for b in bijectors if isinstance(b, KerasBijector)}
    dtypes = dtypes or {tf.as_dtype(b.dtype) for b in bijectors if b.dtype is not None}
    if len(dtypes) > 1:
        raise ValueError(
            f"{name} needs parts of one dtype, got {sorted(d.name for d in dtypes)}."
        )
    return next(iter(dtypes), tf.float32)


def _pair_ndims(bijectors):
    """Returns the event ranks of the pair that a reversible block maps, or None."""
    for part in bijectors:
        if tf.nest.is_nested(part.forward_min_event_ndims):
            return list(part.forward_min_event_ndims)
    return None
