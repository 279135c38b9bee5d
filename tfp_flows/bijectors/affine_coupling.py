"""RealNVP's coupling."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.scalar_maps.affine import Affine


class AffineCoupling(Coupling):
    """RealNVP's coupling: the active units are scaled and shifted (Dinh et al.) [1].

    forward:  y[active] = (x[active] + shift) * exp(log_scale)
    inverse:  x[active] = y[active] * exp(-log_scale) - shift
    log_scale = scale_bound * tanh(raw);  log_det = sum of log_scale

    Shapes, cost and errors: see `Coupling`.

    Args:
      event_shape: shape of one event, of any rank.
      network: Keras layer or model, see `Conditioner`.
      mask: bool array that broadcasts to `event_shape`; True marks passive units.
      scale_bound: largest |log_scale|. The default 2 lets one layer expand or contract
        up to e^2 = 7.4 times: two layers on the same units already cover a factor of
        50, and 32 of them stay within e^64, far inside float32's e^88.
      context_shape: shape of one context, or None.
      head: last layer, as in `Conditioner`.
      dtype: of the events.
      name: of the bijector.

    Examples:
      >>> from tfp_flows.networks import MLP, masks
      >>> coupling = AffineCoupling((4,), MLP((8,)), masks.half((4,)))
      >>> coupling.forward_log_det_jacobian(tf.ones([3, 4])).shape
      TensorShape([3])

    References:
      [1] Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017.
          arXiv:1605.08803
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        network: keras.Layer,
        mask: np.ndarray,
        *,
        scale_bound: float = 2.0,
        context_shape: Sequence[int] | None = None,
        head: Callable[[int], keras.Layer] | None = None,
        dtype: Any = tf.float32,
        name: str = "affine_coupling",
    ):
        super().__init__(
            event_shape,
            network,
            mask,
            Affine(scale_bound),
            context_shape=context_shape,
            head=head,
            dtype=dtype,
            name=name,
            parameters=dict(locals()),
        )
