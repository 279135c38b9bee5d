"""The frame of every recipe: all of a model that is not the recipe's own idea."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import (
    KerasBijector,
    OnUnits,
    PixelHistogram,
    PixelLogit,
    Standardize,
    chain_of,
)
from tfp_flows.distributions import Autoregressive, Dequantized, Flow, Model, Padded
from tfp_flows.distributions.elements import Element
from tfp_flows.flows._dequantization import noise_flow
from tfp_flows.flows._options import Data, Network, taken
from tfp_flows.flows._supports import Support, base_of

tfb, tfd = tfp.bijectors, tfp.distributions

VECTORS, ANY_RANK = (1,), (1, 2, 3, 4)  # of events, see `Frame.keeps_circles`


@dataclasses.dataclass(frozen=True)
class Frame:
    """What surrounds a recipe's steps: shapes, pixels, noise, base, wrapping.

        frame = Frame.of("my_flow", locals())     # first line of a recipe
        steps = [...]                             # on events of shape `frame.shape`
        return frame.flow(steps)

    Data of any unit reach the steps with mean 0 and variance 1; those of a support and
    integers, which are dequantized, are taken to the real line before; images are
    padded to `pad_to`; contexts are standardized.

    Args:
      name: of the recipe.
      data: what the events are.
      network: what the networks are.
      keeps_circles: ranks of the events whose periodic features, those of the last
        axis that `circles` marks, the recipe's steps leave on their circle, as angles
        in [-pi, pi]; none for recipes without such steps.

    Raises:
      ValueError: if the options of the data do not fit each other.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm
      >>> frame = Frame.of("scaled", {"event_shape": (3,), "num_values": 16})
      >>> frame.flow([ActNorm(frame.shape)]).log_prob([[1, 2, 3]], seed=1).shape
      TensorShape([1])
    """

    name: str
    data: Data
    network: Network
    keeps_circles: Sequence[int] = ()

    @classmethod
    def of(
        cls, name: str, options: Mapping[str, Any], keeps_circles: Sequence[int] = ()
    ) -> "Frame":
        """Returns the frame of a recipe.

        Args:
          name: of the recipe.
          options: of the recipe, its `locals()`. Those that are neither of data nor of
            networks are the recipe's own business.
          keeps_circles: see above.
        """
        shape = _checked_shape(options["event_shape"], name)
        options = {**options, "event_shape": shape}
        data, network = taken(Data, options), taken(Network, options)
        return cls(name, data, network, keeps_circles)

    def __post_init__(self):
        _check_dequantization(self.data, self.name)
        _check_padding(self.data, self.name)
        self.support.check(self.name, self.keeps_circles)

    @property
    def support(self) -> Support:
        """Of the events."""
        return Support.of(self.data.support, self.data.event_shape, self.name)

    @property
    def circles(self) -> np.ndarray:
        """Which features of the last axis are angles, bool `[features]`."""
        return self.support.circles

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the events that the steps see.

        Padded, where `pad_to` says so; without the last entry of a simplex.
        """
        shape, pad_to = self.support.latent_shape, self.data.pad_to
        return shape if pad_to is None else (*_sides(pad_to), shape[-1])

    @property
    def policy(self) -> keras.DTypePolicy:
        """Dtype policy of the networks.

        The one asked for; else Keras' global one for models of float32, and the model's
        own dtype for others.
        """
        if self.network.network_dtype is not None:
            return keras.dtype_policies.get(self.network.network_dtype)
        if tf.as_dtype(self.data.dtype) == tf.float32:
            return keras.config.dtype_policy()
        return keras.dtype_policies.get(tf.as_dtype(self.data.dtype).name)

    def builder(self, kind: Callable[..., Any], **own) -> Callable[..., Any]:
        """Returns a builder of networks with the recipe's options and dtype policy.

        Args:
          kind: class of the network; it is given those options that it has.
          **own: options that only this kind has.
        """
        return self.network.builder(kind, **own, dtype=self.policy)

    def data_map(self) -> list[KerasBijector]:
        """Returns the bijectors from the data to numbers of mean 0 and variance 1.

        Whatever the unit of the data, the steps behind these begin with the same
        numbers. Angles stay as they are.
        """
        shape, dtype = self.shape, self.data.dtype
        num_values, histogram = self.data.num_values, self.data.histogram
        if num_values is None:
            return [*self.support_map(), *self.on_line(self._standardize)]
        last = self._standardize(shape)
        logit = PixelLogit(shape, num_values, alpha=self.data.alpha, dtype=dtype)
        if histogram is None:
            return [logit, last]
        return [PixelHistogram(shape, num_values, histogram, dtype=dtype), logit, last]

    def support_map(self) -> list[KerasBijector]:
        """Returns the bijector from the support to real numbers; none if it is all."""
        return self.support.bijectors(self.data.dtype)

    def on_line(
        self, make: Callable[[tuple[int, ...]], KerasBijector]
    ) -> list[KerasBijector]:
        """Returns a bijector for all features that are no angles; none without any.

        Args:
          make: makes it for events of a shape.
        """
        circles = self.circles
        if not circles.any():
            return [make(self.shape)]
        if circles.all():
            return []
        return [OnUnits(make((*self.shape[:-1], int((~circles).sum()))), ~circles)]

    def _standardize(self, shape):
        return _standardize(shape, self.data.dtype, "standardize")

    def context_map(self) -> KerasBijector | None:
        """Returns what contexts of any unit go through before a network sees them."""
        shape = self.data.context_shape
        if shape is None:
            return None
        return _standardize(shape, self.data.dtype, "standardize_context")

    def flow(
        self,
        steps: Sequence[tfb.Bijector],
        base: tfd.Distribution | None = None,
        memory: str = "activations",
    ) -> Model:
        """Returns the model whose density is that of the steps.

        Args:
          steps: the data side first, on events of `shape`.
          base: of the latent events; that of the option `base` if None.
          memory: of the backward pass, see `chain_of`.
        """
        chain = chain_of(
            [*self.data_map(), *steps],
            memory,
            context_bijector=self.context_map(),
            name=self.name,
        )
        if base is None:
            base = base_of(self.data, self.shape, self.circles, self.name)
        return self.wrapped(Flow(chain, base))

    def wrapped(self, flow: Flow) -> Model:
        """Returns a flow itself, or its distribution over the integers of the data.

        Args:
          flow: over [0, num_values], or over the reals without `num_values`.
        """
        if self.data.num_values is None:
            return flow
        noise = None
        if self.data.dequantization == "variational":
            noise = noise_flow(
                self.shape,
                self.data.num_values,
                dtype=flow.dtype.name,
                network_dtype=self.policy,
            )
        integers = Dequantized(flow, self.data.num_values, noise)
        if self.shape == self.data.event_shape:
            return integers
        return Padded(integers, self.data.event_shape)

    def exact(
        self,
        network: keras.Layer,
        element: Element,
        kind: Callable[..., Model] = Autoregressive,
    ) -> Model:
        """Returns the model with an exact probability for each unit in turn.

        Args:
          network: gives the params of each unit, from those before it.
          element: the distribution of a unit.
          kind: `Autoregressive`, or another model of units.
        """
        return kind(
            network,
            element,
            context_shape=self.data.context_shape,
            context_bijector=self.context_map(),
            dtype=self.data.dtype,
        )


def _checked_shape(event_shape, owner):
    try:
        shape = tuple(int(n) for n in event_shape)
    except TypeError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ValueError(
            f"{owner} needs an event_shape of positive sizes, got {event_shape!r}. "
            "Pass for example (64,) for vectors or (8, 8, 1) for images."
        )
    return shape


def _check_dequantization(data, owner):
    if data.dequantization not in ("uniform", "variational"):
        raise ValueError(
            f"{owner} has no dequantization {data.dequantization!r}. Choose uniform or "
            "variational."
        )
    if data.dequantization == "variational" and data.num_values is None:
        raise ValueError(
            f"{owner} got dequantization='variational' without num_values. "
            "Continuous data are not dequantized; integers need num_values."
        )


def _check_padding(data, owner):
    if data.pad_to is None:
        return
    if data.num_values is None:
        raise ValueError(
            f"{owner} got pad_to={data.pad_to!r} without num_values. Zeros around "
            "integers have a probability, which bounds that of the image; around "
            "continuous data they have none, and a density on them grows without end. "
            "Give num_values, or resize the images."
        )
    shape, sides = data.event_shape, _sides(data.pad_to)
    fits = all(n >= m for n, m in zip(sides, shape, strict=False))
    if len(shape) < 2 or len(sides) != len(shape) - 1 or not fits:
        raise ValueError(
            f"{owner} needs events with positions, such as images (height, width, "
            f"channels), and pad_to=(height, width) at least as large, got {shape} and "
            f"{data.pad_to!r}."
        )


def _sides(pad_to):
    return tuple(int(n) for n in np.ravel(pad_to))


def _standardize(shape, dtype, name):
    """Features of vectors have moments of their own, positions share a channel's."""
    per = "unit" if len(shape) == 1 else "channel"
    return Standardize(shape, per, dtype=dtype, name=name)
