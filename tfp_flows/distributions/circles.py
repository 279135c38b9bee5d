"""A base whose angles are uniform on their circles."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.bases import Base


class WithCircles(Base):
    """Angles uniform on [-pi, pi], and another base for the other units.

    log p(z) = log q(z[others]) - n log(2 pi), in nats, n the number of angles

    A density on circles: z and z + 2 pi are the same angle. It has no mean there; a
    temperature leaves uniform angles as they are.

    Shapes: z `[*batch, *positions, D]` -> log_prob `[*batch]`.

    Args:
      is_angle: which of the D units of each position are angles.
      others: base q of the other units, in their order; None if there are none.
      dtype: of the events.
      name: of the distribution.
      positions: sizes of the axes before the last, of sequences and the like.

    Raises:
      ValueError: if q does not fit the number of other units, or there is no angle.

    Examples:
      >>> from tfp_flows.distributions import StandardNormal
      >>> base = WithCircles([True, False], StandardNormal((1,)))
      >>> print(base.log_prob([[1.0, 0.0]]).numpy().round(3))
      [-2.757]
    """

    def __init__(
        self,
        is_angle: Sequence[bool] | np.ndarray,
        others: Base | None = None,
        dtype: Any = tf.float32,
        name: str = "with_circles",
        *,
        positions: Sequence[int] = (),
    ):
        parameters = dict(locals())
        flags = np.asarray(is_angle, bool)
        positions = tuple(int(n) for n in positions)
        rest = () if flags.all() else (*positions, int((~flags).sum()))
        given = () if others is None else tuple(others.event_shape)
        if rest != given or not flags.any():
            raise ValueError(
                f"{name} needs at least one angle and a base on the other units, of "
                f"shape {rest}, got one of shape {given}."
            )
        self._others, self._is_angle = others, flags
        self._real, self._angles = np.flatnonzero(~flags), np.flatnonzero(flags)
        self._back = np.argsort(np.concatenate([self._real, self._angles]))
        self._angles_shape = (*positions, len(self._angles))
        uniforms = math.prod(self._angles_shape)
        uniforms += 0 if others is None else others.num_uniforms
        shape = (*positions, *flags.shape)
        super().__init__(shape, uniforms, dtype, parameters, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def is_angle(self) -> np.ndarray:
        """Which units of a position are angles, bool `[D]`."""
        return self._is_angle

    @property
    def others(self) -> Base | None:
        """The base of the units that are no angles."""
        return self._others

    def _log_prob(self, z):
        others, angles = self._split(z)
        uniform = -math.prod(self._angles_shape) * math.log(2 * math.pi)
        # Plus zero, which is NaN for an angle that is.
        log_prob = uniform + self._sum(0 * tf.sin(angles))
        return (
            log_prob
            if self._others is None
            else log_prob + self._others.log_prob(others)
        )

    def from_uniform(self, u: tf.Tensor) -> tf.Tensor:
        """Maps the last uniform numbers to angles, those before to the other units."""
        cut = self.num_uniforms - math.prod(self._angles_shape)
        angles = math.pi * (2.0 * u[..., cut:] - 1.0)
        shape = tf.concat([tf.shape(u)[:-1], self._angles_shape], axis=0)
        angles = tf.reshape(angles, shape)
        if self._others is None:
            return angles
        return self._joined(self._others.from_uniform(u[..., :cut]), angles)

    def tempered(self, z: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
        """Scales the other units alone."""
        others, angles = self._split(z)
        if self._others is None:
            return z
        return self._joined(self._others.tempered(others, temperature), angles)

    def _split(self, z):
        return tf.gather(z, self._real, axis=-1), tf.gather(z, self._angles, axis=-1)

    def _joined(self, others, angles):
        return tf.gather(tf.concat([others, angles], axis=-1), self._back, axis=-1)
