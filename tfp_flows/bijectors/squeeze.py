"""Trading space for channels."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.shapes import as_shape
from tfp_flows.networks.grids import squeeze, squeezed_shape, unsqueeze


class Squeeze(KerasBijector):
    """Moves blocks of positions into channels on the way to the latent side [1].

    inverse:  `[H, W, C]` -> `[H / f, W / f, f * f * C]`;  forward: back.  log_det: 0

    Signals `[T, C]` and volumes `[D, H, W, C]` alike. Channel order: place in the
    block, row by row, then channel, as in `tf.nn.space_to_depth`.

    Shapes: y `[*batch, *positions, C]`, x `[*batch, *positions / f, f^n * C]` for n
    axes of positions.

    Args:
      event_shape: `(*positions, channels)` on the data side.
      factor: f, must divide all sides.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: if the event has no positions or `factor` does not divide its sides.

    Examples:
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
        sides = shape[:-1]
        if not sides or factor < 2 or any(side % factor for side in sides):
            raise ValueError(
                f"{name} by {factor} needs an event (*positions, channels), such as "
                f"(height, width, channels), whose sides are multiples of {factor} (at "
                f"least 2), got {shape}. Pad or crop the events, or use fewer levels."
            )
        super().__init__(
            shape,
            latent_shape=squeezed_shape(shape, factor),
            dtype=dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=True,
        )
        self._factor = factor

    @property
    def _is_permutation(self):
        return True

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        return self._move(unsqueeze, x, self._event_shape)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        return self._move(squeeze, y, self._latent_shape)

    def _move(self, function, value, shape):
        ndims = len(shape)
        batch = tf.shape(value)[:-ndims]
        if value.shape.rank == ndims + 1:
            return function(value, self._factor), tf.zeros([], value.dtype)
        flat = function(tf.reshape(value, [-1, *value.shape[-ndims:]]), self._factor)
        moved = tf.reshape(flat, tf.concat([batch, shape], axis=0))
        return moved, tf.zeros([], value.dtype)
