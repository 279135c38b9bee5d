"""NICE's coupling."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.scalar_maps.shift import Shift


class AdditiveCoupling(Coupling):
    """NICE's coupling: the active units are shifted (Dinh et al., 2015) [1].

    forward:  y[active] = x[active] + shift(x[passive])
    inverse:  x[active] = y[active] - shift(y[passive])
    log_det:  0

    Shapes: x, y `[*batch, *event_shape]` -> log_det `[]`, always 0. Cost: one network
    call a direction.

    Args:
      event_shape: shape of one event, of any rank.
      network: Keras layer or model, see `Conditioner`.
      mask: bool array that broadcasts to `event_shape`; True marks passive units.
      context_shape: shape of one context, or None.
      head: last layer, as in `Conditioner`.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: if the mask or the network does not fit, as in `Coupling`.

    Examples:
      >>> from tfp_flows.networks import MLP, masks
      >>> coupling = AdditiveCoupling((4,), MLP((8,)), masks.half((4,)))
      >>> coupling.inverse(coupling.forward(tf.ones([3, 4]))).shape
      TensorShape([3, 4])

    References:
      [1] Dinh, Krueger, Bengio. NICE: Non-linear independent components estimation.
          ICLR workshop 2015. arXiv:1410.8516
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        network: keras.Layer,
        mask: np.ndarray,
        *,
        context_shape: Sequence[int] | None = None,
        head: Callable[[int], keras.Layer] | None = None,
        dtype: Any = tf.float32,
        name: str = "additive_coupling",
    ):
        super().__init__(
            event_shape,
            network,
            mask,
            Shift(),
            context_shape=context_shape,
            head=head,
            dtype=dtype,
            name=name,
            parameters=dict(locals()),
        )
