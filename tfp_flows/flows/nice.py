"""NICE: additive couplings and one final scale."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow_probability as tfp

from tfp_flows.bijectors import AdditiveCoupling, DiagonalScale
from tfp_flows.distributions import Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._recipe import recipe
from tfp_flows.networks import MLP, ZeroDense, masks

tfb = tfp.bijectors


@recipe(unusable.with_own_network, unusable.without_integers, unusable.of_real_numbers)
def nice(
    event_shape: Sequence[int],
    num_steps: int = 4,
    hidden_units: Sequence[int] = (256, 256),
    *,
    support: Any = "real",
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
      event_shape: shape of one event.
      num_steps: number of couplings.
      hidden_units: widths of each coupling's network.
      base: "logistic", the paper's choice, "normal" or "student_t".

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given.

    Raises:
      ValueError: for a bad shape, number or base.

    Examples:
      >>> nice((4,), num_steps=2, hidden_units=(8,)).sample(5, seed=1).shape
      TensorShape([5, 4])

    References:
      [1] Dinh, Krueger, Bengio. NICE: Non-linear independent components estimation.
          ICLR workshop 2015. arXiv:1410.8516
    """
    frame = Frame.of("nice", locals())
    shape, size = frame.shape, math.prod(frame.shape)
    network = network or frame.builder(MLP)
    flatten = tfb.Reshape(event_shape_out=shape, event_shape_in=(size,))
    couple = functools.partial(
        AdditiveCoupling,
        context_shape=context_shape,
        head=functools.partial(ZeroDense, depth=num_steps, dtype=dtype),
        dtype=dtype,
    )
    steps = [
        couple((size,), network(), mask, name=f"coupling_{i}")
        for i, mask in enumerate(_alternating_masks(size, num_steps))
    ]
    scale = DiagonalScale((size,), dtype=dtype)
    body = [flatten, *steps, scale, tfb.Invert(flatten)]
    return frame.flow(body, memory=memory)


def _alternating_masks(size, count):
    mask = masks.alternating if size > 1 else masks.nothing
    return [mask((size,), flip=bool(i % 2)) for i in range(count)]
