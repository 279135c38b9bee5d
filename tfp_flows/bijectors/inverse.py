"""A bijector taken the other way round."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.around import Around
from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.bijectors.keras_bijector import OPPOSITE, KerasBijector
from tfp_flows.bijectors.masked_autoregressive import MaskedAutoregressive


class Inverse(Around):
    """Swaps the directions of a bijector: forward becomes inverse.

    As `tfb.Invert`, and a `KerasBijector` itself, so that it needs no event shape from
    its neighbours and gives value and log-det in one pass. Of a masked autoregressive
    bijector it makes the inverse autoregressive flow (Kingma et al., 2016) [1].

    It shares the weights and takes the context of what it inverts. The network of a
    coupling or masked autoregressive bijector adapts to the latent side, which it sees
    here. Other data-dependent weights are not adapted: what they would make of the
    latent side they make of the data elsewhere.

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
        """Whether the network of the bijector inside is, if there is one."""
        return not self._is_conditioned or self._bijector.is_adapted

    @property
    def _is_conditioned(self):
        return isinstance(self._bijector, Coupling | MaskedAutoregressive)

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Lets the network of the bijector inside adapt, if there is one.

        Args:
          y: `[N, *event_shape]`.
          context: `[N, *context_shape]` for a conditional bijector.
        """
        if self._is_conditioned:
            x, _ = self.inverse_and_log_det(y, context)
            self._bijector.adapt(x, context)

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
