"""A bijector taken the other way round."""

import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector


class Inverse(KerasBijector):
    """Swaps the directions of a bijector: forward becomes inverse.

    As `tfb.Invert`, and a `KerasBijector` itself, so that it needs no event shape from
    its neighbours and gives value and log-det in one pass. Of a masked autoregressive
    bijector it makes the inverse autoregressive flow (Kingma et al., 2016) [1].

    It shares the weights and takes the context of what it inverts. Data-dependent
    weights are not adapted, as they belong to the other side: adapt the bijector.

    Args:
      bijector: to invert; its event on either side is one tensor.
      name: of the bijector.

    Example:
      >>> from tfp_flows.bijectors import DiagonalScale
      >>> Inverse(DiagonalScale((2,))).forward(tf.ones([3, 2])).shape
      TensorShape([3, 2])

    References:
      [1] Kingma, Salimans, Jozefowicz, Chen, Sutskever, Welling. Improving variational
          inference with inverse autoregressive flow. NeurIPS 2016. arXiv:1606.04934
    """

    def __init__(self, bijector: KerasBijector, name: str = "inverse"):
        super().__init__(
            bijector.latent_shape,
            latent_shape=bijector.event_shape,
            context_shape=bijector.context_shape,
            dtype=bijector.dtype,
            parameters={"bijector": bijector, "name": name},
            name=name,
        )
        self._bijector = bijector

    @property
    def bijector(self) -> KerasBijector:
        """What is inverted."""
        return self._bijector

    def _forward_and_log_det(self, x, context=None) -> tuple[tf.Tensor, tf.Tensor]:
        return self._bijector._inverse_and_log_det(x, **_given(context))

    def _inverse_and_log_det(self, y, context=None) -> tuple[tf.Tensor, tf.Tensor]:
        return self._bijector._forward_and_log_det(y, **_given(context))


def _given(context):
    return {} if context is None else {"context": context}
