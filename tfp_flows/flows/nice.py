"""NICE: additive couplings and one final scale."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow_probability as tfp

from tfp_flows.bijectors import AdditiveCoupling, DiagonalScale, chain_of
from tfp_flows.distributions import Flow, Model, StandardLogistic, StandardNormal
from tfp_flows.flows import unusable
from tfp_flows.flows.parts import (
    checked_shape,
    context_map,
    data_map,
    finished,
    network_policy,
)
from tfp_flows.flows.recipe import recipe
from tfp_flows.networks import MLP, ZeroDense, masks

tfb = tfp.bijectors

_BASES = {"logistic": StandardLogistic, "normal": StandardNormal}


@recipe(unusable.with_own_network, unusable.without_integers)
def nice(
    event_shape: Sequence[int],
    num_steps: int = 4,
    hidden_units: Sequence[int] = (256, 256),
    *,
    base: str = "logistic",
    num_values: int | None = None,
    context_shape: Sequence[int] | None = None,
    activation: str = "relu",
    dropout: float = 0.0,
    alpha: float = 0.05,
    memory: str = "activations",
    network: Callable[[], keras.Layer] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds NICE: additive couplings on even and odd units in turn, then a scale [1].

    Events of any shape are flattened for the couplings; the latent event has the shape
    of the data.

    Args:
      event_shape: shape of one event, at least two units.
      num_steps: number of couplings.
      hidden_units: widths of each coupling's network.
      base: "logistic", the paper's choice, or "normal".
      num_values: number of integer values for discrete data; None for continuous.
      context_shape: `(C,)` for a conditional flow.
      activation: of the networks.
      dropout: rate in the networks, in training mode only.
      alpha: margin of the pixels' logit, see `PixelLogit`.
      memory: of the backward pass, "activations" or "constant", see `chain_of`.
      network: builder of a Keras layer for each step, instead of the default.
      dtype: of the events and weights.
      network_dtype: Keras dtype policy of the networks, see `parts.network_policy`.
      name: of the model; the recipe's if None.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given.

    Raises:
      ValueError: for a bad shape, number or base.

    Example:
      >>> nice((4,), num_steps=2, hidden_units=(8,)).sample(5, seed=1).shape
      TensorShape([5, 4])

    References:
      [1] Dinh, Krueger, Bengio. NICE: Non-linear independent components estimation.
          ICLR workshop 2015. arXiv:1410.8516
    """
    shape = checked_shape(event_shape, "nice")
    if base not in _BASES:
        raise ValueError(f"nice has no base {base!r}. Choose from {sorted(_BASES)}.")
    if network is None:
        policy = network_policy(dtype, network_dtype)
        network = functools.partial(
            MLP, hidden_units, activation, dropout=dropout, dtype=policy
        )
    size = math.prod(shape)
    flatten = tfb.Reshape(event_shape_out=shape, event_shape_in=(size,))
    head = functools.partial(ZeroDense, depth=num_steps, dtype=dtype)
    options: dict[str, Any] = {
        "context_shape": context_shape,
        "head": head,
        "dtype": dtype,
    }
    steps = [
        AdditiveCoupling((size,), network(), mask, **options, name=f"coupling_{i}")
        for i, mask in enumerate(_alternating_masks(size, num_steps))
    ]
    chain = chain_of(
        [
            *data_map(shape, num_values, alpha, dtype),
            flatten,
            *steps,
            DiagonalScale((size,), dtype=dtype),
            tfb.Invert(flatten),
        ],
        memory,
        event_shape=shape,
        context_bijector=context_map(context_shape, dtype),
        name="nice",
    )
    return finished(Flow(chain, _BASES[base](shape, dtype)), num_values)


def _alternating_masks(size, count):
    return [masks.alternating((size,), flip=bool(i % 2)) for i in range(count)]
