"""Trading space for channels."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.shapes import as_shape


class Squeeze(KerasBijector):
    """Moves blocks of pixels into channels on the way to the latent side [1].

    inverse:  `[H, W, C]` -> `[H / f, W / f, f * f * C]`;  forward: back.  log_det: 0

    Channel order: block row, block column, channel, as in `tf.nn.space_to_depth`.

    Shapes: y `[*batch, H, W, C]`, x `[*batch, H / f, W / f, f * f * C]`.

    Args:
      event_shape: `(height, width, channels)` on the data side.
      factor: f, must divide height and width.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: if the event is not an image or `factor` does not divide its sides.

    Example:
      >>> Squeeze((4, 4, 3)).inverse(tf.zeros([5, 4, 4, 3])).shape
      TensorShape([5, 2, 2, 12])

    References:
      [1] Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017.
          arXiv:1605.08803
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        factor: int = 2,
        *,
        dtype: Any = tf.float32,
        name: str = "squeeze",
    ):
        parameters = dict(locals())
        shape = as_shape(event_shape)
        if len(shape) != 3 or factor < 2 or shape[0] % factor or shape[1] % factor:
            raise ValueError(
                f"{name} by {factor} needs an event (height, width, channels) whose "
                f"sides are multiples of {factor} (at least 2), got {shape}. Pad or "
                "crop the images, or use fewer levels."
            )
        height, width, channels = shape
        squeezed = (height // factor, width // factor, factor * factor * channels)
        super().__init__(
            shape,
            latent_shape=squeezed,
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=True,
        )
        self._factor = factor

    @property
    def _is_permutation(self):
        return True

    def forward_and_log_det(self, x, context=None):
        """Returns y and log|det dy/dx|."""
        return self._move(tf.nn.depth_to_space, x, self._event_shape)

    def inverse_and_log_det(self, y, context=None):
        """Returns x and log|det dx/dy|."""
        return self._move(tf.nn.space_to_depth, y, self._latent_shape)

    def _move(self, function, value, shape):
        batch = tf.shape(value)[:-3]
        if value.shape.rank == 4:
            return function(value, self._factor), tf.zeros([], value.dtype)
        flat = function(tf.reshape(value, [-1, *value.shape[-3:]]), self._factor)
        moved = tf.reshape(flat, tf.concat([batch, shape], axis=0))
        return moved, tf.zeros([], value.dtype)
