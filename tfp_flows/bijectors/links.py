"""The links of a chain: single bijectors, and neighbours that are applied as one."""

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import folding, from_tfp, position_affine
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.position_affine import AffineMap, PositionAffine
from tfp_flows.networks.derived import derived

tfb = tfp.bijectors

# What tfb.Invert(...) returns for bijectors that are no composite tensors, as ours.
_Invert: Any = tfb.Invert.__bases__[0]
_OPPOSITE = {"forward": "inverse", "inverse": "forward"}


class _Rebuilding:
    """What every link can do: find its input again, and be differentiated there."""

    def rebuild(self, direction, out, context, tape):
        """Runs the link again, from the input that its output belongs to.

        Args:
          direction: "forward" or "inverse", as it was run.
          out: what it gave.
          context: of the chain.
          tape: gradient tape that is recording.

        Returns:
          The watched pieces of the input, the function that joins them (and gradients
          with respect to them), and the output and log-det again.
        """
        with tape.stop_recording():
            value, _ = getattr(self, _OPPOSITE[direction])(out, context)
            # New tensors: TFP's cache would answer with the output itself.
            value = tf.nest.map_structure(tf.identity, value)
        tape.watch(tf.nest.flatten(value))
        again, log_det = getattr(self, direction)(value, context)
        join = functools.partial(tf.nest.pack_sequence_as, value)
        return tf.nest.flatten(value), join, again, log_det


class Link(_Rebuilding):
    """One bijector of a chain; both directions give value and log-det together.

    Args:
      bijector: a `KerasBijector`, or one of TFP's.
      ndims: its event rank on the data and on the latent side.
    """

    def __init__(self, bijector: tfb.Bijector, ndims: tuple):
        self.bijectors = (bijector,)
        self.bijector = bijector
        self._inverse_ndims, self._forward_ndims = ndims

    def forward(self, x, context=None):
        """Returns y and its log-det."""
        return self._apply("forward", x, self._forward_ndims, context)

    def inverse(self, y, context=None):
        """Returns x and its log-det."""
        return self._apply("inverse", y, self._inverse_ndims, context)

    def _apply(self, direction, value, ndims, context):
        part, kwargs = self.bijector, self.context(context)
        if isinstance(part, _Invert) and isinstance(part.bijector, KerasBijector):
            part, direction = part.bijector, _OPPOSITE[direction]
        if isinstance(part, KerasBijector):
            return getattr(part, f"_{direction}_and_log_det")(value, **kwargs)
        return from_tfp.apply(part, direction, value, ndims, **kwargs)

    def rebuild(self, direction, out, context, tape):
        """As for every link, with fewer network calls where the bijector knows how."""
        if not hasattr(self.bijector, "_rebuild"):
            return super().rebuild(direction, out, context, tape)
        return self.bijector._rebuild(direction, out, tape, **self.context(context))

    def context(self, context):
        """Returns the keyword arguments that pass the context on, if it is wanted."""
        if context is None or context_shape(self.bijector) is None:
            return {}
        return {"context": context}


class FusedLink(_Rebuilding):
    """Neighbouring affine maps of the last axis, multiplied before they are applied.

    Args:
      bijectors: the data side first.
    """

    def __init__(self, bijectors: Sequence[PositionAffine]):
        self.bijectors = tuple(bijectors)
        self._event_shape = bijectors[0].event_shape

    def forward(self, x, context=None):
        """Returns y and its log-det."""
        return self.apply(self.fused("forward"), x)

    def inverse(self, y, context=None):
        """Returns x and its log-det."""
        return self.apply(self.fused("inverse"), y)

    def fused(self, direction):
        """Returns the product of the maps, taken in one direction."""
        product = functools.partial(self.product, direction)
        return derived(self, lambda: folding.once(product))

    @property
    def vectorizes(self):
        """Whether `product` can be computed for many steps as one."""
        return all(b.vectorizes for b in self.bijectors)

    @property
    def derived_from(self):
        """The variables that nothing but `product` reads."""
        layers = [layer for b in self.bijectors for layer in b.keras_layers]
        return [variable for layer in layers for variable in layer.variables]

    def product(self, direction):
        """As `fused`, always from the weights."""
        if direction == "forward":
            maps = [b._forward_map() for b in reversed(self.bijectors)]
        else:
            maps = [b._inverse_map() for b in self.bijectors]
        return functools.reduce(AffineMap.then, maps)

    def apply(self, fused, value):
        """Returns what such a product makes of events, and its log-det."""
        return position_affine.apply(fused, value, self._event_shape)


def links(bijectors: Sequence[tfb.Bijector], ndims: Sequence) -> list:
    """Groups the parts of a chain.

    Args:
      bijectors: the data side first.
      ndims: event rank before each part and after the last one.

    Returns:
      `Link`s and `FusedLink`s, the data side first.
    """
    result, run = [], []
    for i, part in enumerate(bijectors):
        if isinstance(part, PositionAffine):
            run.append(part)
            continue
        result += _flushed(run)
        run = []
        result.append(Link(part, (ndims[i], ndims[i + 1])))
    return result + _flushed(run)


def context_shape(bijector: tfb.Bijector) -> tuple[int, ...] | None:
    """Returns the context shape of a bijector, looking through `tfb.Invert`."""
    if isinstance(bijector, _Invert):
        return context_shape(bijector.bijector)
    return getattr(bijector, "context_shape", None)


def _flushed(run):
    return [FusedLink(run)] if run else []
