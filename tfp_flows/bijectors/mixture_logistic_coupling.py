"""Flow++'s coupling."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.scalar_maps.mixture_logistic import MixtureLogistic


class MixtureLogisticCoupling(Coupling):
    """Flow++'s coupling: mixtures of logistics on the active units (Ho et al.) [1].

    forward:  y[active] = f(x[active]; params(x[passive])), by Newton's method
    inverse:  x[active] = affine^-1(logit F(y[active])), F a mixture of logistics

    Shapes, cost and errors: see `Coupling`; the map: `MixtureLogistic`.

    Args:
      event_shape: shape of one event, of any rank.
      network: Keras layer or model, see `Conditioner`.
      mask: bool array that broadcasts to `event_shape`; True marks passive units.
      num_components: logistics for each active unit; the head has
        `3 num_components + 2` units for each.
      scale_bound: of the affine map, see `Affine`.
      context_shape: shape of one context, or None.
      head: last layer, as in `Conditioner`.
      dtype: of the events.
      name: of the bijector.

    Examples:
      >>> from tfp_flows.networks import MLP, masks
      >>> coupling = MixtureLogisticCoupling((4,), MLP((8,)), masks.half((4,)))
      >>> coupling.inverse(coupling.forward(tf.ones([3, 4]))).shape
      TensorShape([3, 4])

    References:
      [1] Ho, Chen, Srinivas, Duan, Abbeel. Flow++. ICML 2019. arXiv:1902.00275
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        network: keras.Layer,
        mask: np.ndarray,
        *,
        num_components: int = 8,
        scale_bound: float = 2.0,
        context_shape: Sequence[int] | None = None,
        head: Callable[[int], keras.Layer] | None = None,
        dtype: Any = tf.float32,
        name: str = "mixture_logistic_coupling",
    ):
        super().__init__(
            event_shape,
            network,
            mask,
            MixtureLogistic(num_components, scale_bound),
            context_shape=context_shape,
            head=head,
            dtype=dtype,
            name=name,
            parameters=dict(locals()),
        )
