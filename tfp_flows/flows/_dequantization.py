"""The noise of variational dequantization: a small flow on the pixels' cells."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors import AffineCoupling, Chain, UnitInterval
from tfp_flows.distributions import Flow, StandardLogistic
from tfp_flows.networks import MLP, ConvResNet, masks


def noise_flow(
    event_shape: Sequence[int],
    num_values: int,
    *,
    num_steps: int = 4,
    filters: int = 32,
    dtype: Any = "float32",
    network_dtype: Any = None,
) -> Flow:
    """Builds q(u | x), the noise flow of `Dequantized` (Ho et al., 2019) [1].

    u = UnitInterval(couplings(z; x)),  z logistic

    The affine couplings see x beside the passive units: with checkerboard masks and
    convolutional networks on images, on the two halves with dense networks on vectors.
    A sigmoid of a logistic variable is uniform, and couplings begin as the identity:
    before training q is uniform, and the bound that of uniform dequantization. (Up to
    the margin of `UnitInterval`, which keeps x + u below x + 1 also after rounding:
    6e-5 nats a pixel of 8 bits in float32, less for fewer values.)

    Shapes: u `[*batch, *event_shape]`, context x `[*batch, *event_shape]`.

    Args:
      event_shape: `(D,)` with D >= 2, or `(*positions, C)`, one to three axes, with at
        least two positions.
      num_values: number of integer values of x.
      num_steps: number of couplings.
      filters: channels of each network on images; half of the width on vectors.
      dtype: of the events and weights.
      network_dtype: Keras dtype policy of the networks, or `dtype` if None.

    Returns:
      A conditional `Flow` over (0, 1).

    Raises:
      ValueError: if the event has more axes, or there are no steps.

    Examples:
      >>> noise = noise_flow((4, 4, 1), num_values=17, filters=8)
      >>> noise.sample(seed=1, context=tf.zeros([3, 4, 4, 1])).shape
      TensorShape([3, 4, 4, 1])

    References:
      [1] Ho, Chen, Srinivas, Duan, Abbeel. Flow++: Improving flow-based generative
          models with variational dequantization and architecture design. ICML 2019.
          arXiv:1902.00275
    """
    shape = tuple(event_shape)
    if len(shape) > 4 or num_steps < 1:
        raise ValueError(
            f"Variational dequantization needs event_shape (D,), (T, C), (H, W, C) or "
            f"(D, H, W, C) and num_steps >= 1, got {shape} and {num_steps}. Flatten "
            "other events."
        )
    network = functools.partial(ConvResNet, filters, num_blocks=1)
    mask = masks.checkerboard
    if len(shape) == 1:
        network, mask = functools.partial(MLP, (2 * filters, 2 * filters)), masks.half
    couplings = [
        AffineCoupling(
            shape,
            network(dtype=network_dtype or dtype),
            mask(shape, flip=bool(i % 2)),
            context_shape=shape,
            dtype=dtype,
            name=f"noise_coupling_{i}",
        )
        for i in range(num_steps)
    ]
    # One step of the numbers just below num_values: x + 1 - margin is below x + 1.
    margin = num_values * float(np.finfo(tf.as_dtype(dtype).as_numpy_dtype).eps)
    cell = UnitInterval(shape, margin=margin, dtype=dtype)
    chain = Chain([cell, *couplings], name="noise")
    return Flow(chain, StandardLogistic(shape, dtype))
