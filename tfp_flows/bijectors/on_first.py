"""A bijector on the first of two parts, the other one left alone."""

from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.around import Around
from tfp_flows.bijectors.keras_bijector import KerasBijector


class OnFirst(Around):
    """Applies a bijector to the first part of pairs, as a `ReversibleBlock` maps them.

    forward: (x, u) -> (f(x), u);  log_det: that of f

    With data in the first part and an auxiliary variable in the second, it takes what
    is made for the data, such as `Standardize`, into a chain of reversible blocks.

    Shapes: pairs of `[*batch, *event_shape]` -> log_det as the bijector's.

    Args:
      bijector: f, whose events keep their shape.
      name: of the bijector.

    Raises:
      ValueError: if the bijector changes the shape of events.

    Examples:
      >>> from tfp_flows.bijectors import DiagonalScale
      >>> pair = [tf.ones([3, 2]), tf.ones([3, 2])]
      >>> [part.shape for part in OnFirst(DiagonalScale((2,))).forward(pair)]
      [TensorShape([3, 2]), TensorShape([3, 2])]
    """

    def __init__(self, bijector: KerasBijector, name: str = "on_first"):
        parameters = dict(locals())
        if bijector.event_shape != bijector.latent_shape:
            raise ValueError(
                f"{name} needs a bijector that keeps the shape of events, got "
                f"{bijector.name!r} from {bijector.latent_shape} to "
                f"{bijector.event_shape}."
            )
        super().__init__(
            bijector,
            bijector.event_shape,
            parameters=parameters,
            name=name,
            forward_min_event_ndims=[len(bijector.event_shape)] * 2,
        )

    def adapt(self, y: list[tf.Tensor], context: tf.Tensor | None = None) -> None:
        """Adapts the bijector to the first parts.

        Args:
          y: pair of `[N, *event_shape]`.
          context: `[N, *context_shape]` for a conditional bijector.
        """
        self._bijector.adapt(y[0], context)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Maps the first part from the latent to the data side."""
        first, log_det = self._bijector.forward_and_log_det(x[0], context)
        return [first, x[1]], log_det

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Maps the first part from the data to the latent side."""
        first, log_det = self._bijector.inverse_and_log_det(y[0], context)
        return [first, y[1]], log_det
