"""A bijector on some features of an event, the others left alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.around import Around
from tfp_flows.bijectors.keras_bijector import KerasBijector


class OnUnits(Around):
    """Applies a bijector to the chosen units of the last axis.

    forward: y[units] = f(x[units]), y[others] = x[others];  log_det: that of f

    Shapes: x, y `[*batch, *positions, D]` -> log_det as the bijector's.

    Args:
      bijector: f, on events `(*positions, number of chosen units)`, whose shape it
        keeps.
      chosen: which of the D units f is given.
      name: of the bijector; f's if None.

    Raises:
      ValueError: if the bijector does not fit the units.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm
      >>> on_ends = OnUnits(ActNorm((2,)), [True, False, True])
      >>> on_ends.forward(tf.ones([5, 3])).shape
      TensorShape([5, 3])
    """

    def __init__(
        self,
        bijector: KerasBijector,
        chosen: Sequence[bool] | np.ndarray,
        name: str | None = None,
    ):
        parameters = dict(locals())
        flags = np.asarray(chosen, bool)
        positions = bijector.event_shape[:-1]
        wanted = (*positions, int(flags.sum()))
        if (bijector.event_shape, bijector.latent_shape) != (wanted, wanted):
            raise ValueError(
                f"OnUnits needs a bijector on events of shape {wanted}, got "
                f"{bijector.name!r} from {bijector.latent_shape} to "
                f"{bijector.event_shape}."
            )
        super().__init__(
            bijector,
            (*positions, *flags.shape),
            parameters=parameters,
            name=name or bijector.name,
        )
        units, others = np.flatnonzero(flags), np.flatnonzero(~flags)
        back = np.argsort(np.concatenate([units, others]))
        self._units, self._others, self._back = (
            self._no_dependency(places) for places in (units, others, back)
        )

    @property
    def is_affine(self) -> bool:
        """Whether the bijector is."""
        return self._bijector.is_affine

    def keeps_order(self, order: np.ndarray) -> bool:
        """Returns whether the bijector keeps that of the chosen units."""
        chosen = np.zeros(self._event_shape, bool)
        chosen[..., self._units] = True
        number = np.cumsum(chosen) - 1  # of a chosen unit among these
        blocks = [number[block[chosen.ravel()[block]]] for block in order]
        blocks = [block for block in blocks if block.size]
        is_even = len({block.size for block in blocks}) == 1
        return is_even and self._bijector.keeps_order(np.array(blocks))

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Adapts the bijector to the chosen units of `[N, D]`."""
        self._bijector.adapt(tf.gather(y, self._units, axis=-1), context)

    def forward_and_log_det(self, x: Any, context: tf.Tensor | None = None):
        """Maps the chosen units from the latent to the data side."""
        return self._walk("forward_and_log_det", x, context)

    def inverse_and_log_det(self, y: Any, context: tf.Tensor | None = None):
        """Maps the chosen units from the data to the latent side."""
        return self._walk("inverse_and_log_det", y, context)

    def _walk(self, direction, value, context):
        units = tf.gather(value, self._units, axis=-1)
        mapped, log_det = getattr(self._bijector, direction)(units, context)
        others = tf.gather(value, self._others, axis=-1)
        joined = tf.concat([mapped, others], axis=-1)
        return tf.gather(joined, self._back, axis=-1), log_det
