"""A bijector taken the other way round."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.around import Around
from tfp_flows.bijectors.keras_bijector import OPPOSITE, KerasBijector


class Inverse(Around):
    """Swaps the directions of a bijector: forward becomes inverse.

    As `tfb.Invert`, and a `KerasBijector` itself, so that it needs no event shape from
    its neighbours and gives value and log-det in one pass. Of a masked autoregressive
    bijector it makes the inverse autoregressive flow (Kingma et al., 2016) [1].

    It shares the weights and takes the context of what it inverts. Data-dependent
    weights are not adapted, as they belong to the other side: adapt the bijector.

    Args:
      bijector: to invert.
      name: of the bijector.

    Examples:
      >>> from tfp_flows.bijectors import DiagonalScale
      >>> Inverse(DiagonalScale((2,))).forward(tf.ones([3, 2])).shape
      TensorShape([3, 2])

    References:
      [1] Kingma, Salimans, Jozefowicz, Chen, Sutskever, Welling. Improving variational
          inference with inverse autoregressive flow. NeurIPS 2016. arXiv:1606.04934
    """

    def __init__(self, bijector: KerasBijector, name: str = "inverse"):
        super().__init__(
            bijector,
            bijector.latent_shape,
            latent_shape=bijector.event_shape,
            parameters={"bijector": bijector, "name": name},
            name=name,
            **_min_ndims(bijector),
        )

    @property
    def is_adapted(self) -> bool:
        """True: the bijector inside adapts to what is the latent side here."""
        return True

    @property
    def is_affine(self) -> bool:
        """Whether the bijector inside is."""
        return self._bijector.is_affine

    @property
    def order(self) -> np.ndarray | None:
        """That of the bijector inside."""
        return self._bijector.order

    def keeps_order(self, order: np.ndarray) -> bool:
        """Returns whether the bijector inside does."""
        return self._bijector.keeps_order(order)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns the inverse of what is inverted, and its log-det."""
        return self._bijector.inverse_and_log_det(x, context)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns the forward of what is inverted, and its log-det."""
        return self._bijector.forward_and_log_det(y, context)

    def recompute(
        self,
        direction: str,
        out: Any,
        tape: tf.GradientTape,
        context: tf.Tensor | None = None,
    ):
        """As the bijector does it, the other way round."""
        return self._bijector.recompute(OPPOSITE[direction], out, tape, context)


def _min_ndims(bijector):
    """Pairs, as a reversible block maps them, must be told of."""
    ndims = bijector.inverse_min_event_ndims
    return {"forward_min_event_ndims": ndims} if tf.nest.is_nested(ndims) else {}
