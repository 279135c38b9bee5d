"""From real numbers to rows of positive entries that sum to one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.support_map import SupportMap

_TOLERANCE = 1e-3  # of sums


class Simplex(SupportMap):
    """Maps D - 1 real numbers to D positive entries whose sum is one: a softmax.

    inverse:  x[i] = log y[i] - log y[D-1],  i < D - 1, the additive log-ratio
    forward:  y = softmax([x, 0])
    log_det of the forward:  sum log y, over all D entries

    The density is that with respect to the volume of the first D - 1 entries, as that
    of `tfd.Dirichlet` is; the last entry follows from them. (With respect to the area
    of the simplex it would be smaller by the factor sqrt(D).)

    Rows may have been rounded: what their sum is off by, up to 1e-3, is divided away.
    An event that is farther off, or whose entries are not all positive, has density 0.

    Shapes: y `[*batch, D]`, x `[*batch, D - 1]` -> log_det `[*batch]`.

    Args:
      event_shape: `(D,)`, D of at least 2.
      dtype: of the events.
      name: of the bijector.

    Raises:
      ValueError: for another shape.

    Examples:
      >>> print(Simplex((3,)).forward([[0.0, 0.0]]).numpy().round(3))
      [[0.333 0.333 0.333]]

    References:
      Aitchison. The statistical analysis of compositional data. 1986.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        *,
        dtype: Any = tf.float32,
        name: str = "simplex",
    ):
        parameters = dict(locals())
        if len(event_shape) != 1 or event_shape[0] < 2:
            raise ValueError(
                f"{name} needs rows of two or more entries, event_shape (D,), got "
                f"{tuple(event_shape)}."
            )
        super().__init__(
            event_shape,
            latent_shape=(event_shape[0] - 1,),
            dtype=dtype,
            parameters=parameters,
            name=name,
        )
        self._tiny = np.finfo(self.dtype.as_numpy_dtype).tiny

    def beyond(self, y: Any) -> np.ndarray:
        """Returns which events lie beyond the simplex, bool `[N]`."""
        y = np.asarray(y, self.dtype.as_numpy_dtype)
        off = np.abs(y.sum(axis=-1) - 1.0) > _TOLERANCE
        return (y < self._tiny).any(axis=-1) | off

    def flaw(self, event: Any) -> tuple[str, str]:
        """Says which entry is not positive, or what the sum is."""
        event = np.asarray(event, self.dtype.as_numpy_dtype)
        if not (event < self._tiny).any():
            return (
                f"the sum is {event.sum()!s}, and has to be 1",
                "Divide rows by their sum.",
            )
        column = int(np.argmax(event < self._tiny))
        return (
            f"column {column} is {event[column]!s}, and has to be above 0",
            "Replace zeros by a small share and divide rows by their sum.",
        )

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Returns x and log|det dx/dy|."""
        outside = tf.reduce_any(y < self._tiny, axis=-1)
        outside |= tf.abs(tf.reduce_sum(y, axis=-1) - 1.0) > _TOLERANCE
        even = tf.constant(1.0 / self._event_shape[0], self.dtype)
        # Before the division: a sum of 0 or infinity has no finite gradient.
        y = tf.where(outside[..., tf.newaxis], even, y)
        log_y = tf.math.log(y / tf.reduce_sum(y, axis=-1, keepdims=True))
        log_det = -tf.reduce_sum(log_y, axis=-1)
        nothing = tf.constant(-np.inf, self.dtype)
        x = log_y[..., :-1] - log_y[..., -1:]
        return x, tf.where(outside, nothing, log_det)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Returns y and log|det dy/dx|."""
        logits = tf.concat([x, tf.zeros_like(x[..., :1])], axis=-1)
        log_y = tf.nn.log_softmax(logits)
        y = tf.maximum(tf.exp(log_y), tf.constant(self._tiny, self.dtype))
        return y, tf.reduce_sum(log_y, axis=-1)
