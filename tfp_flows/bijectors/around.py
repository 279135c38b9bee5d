"""What bijectors around one other bijector have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfp_flows.bijectors.keras_bijector import KerasBijector


class Around(KerasBijector):
    """Base of bijectors that give another one's weights a place of their own.

    It has the inner bijector's dtype, context and adaptation; a subclass writes
    `forward_and_log_det` and `inverse_and_log_det`.

    Args:
      bijector: the inner one, whose weights are shared.
      event_shape: shape of one event on the data side.
      parameters: the constructor's arguments, for `copy`.
      name: of the bijector.
      **kwargs: of `KerasBijector`.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm, Inverse
      >>> Inverse(ActNorm((2,))).bijector.name
      'act_norm'
    """

    def __init__(
        self,
        bijector: KerasBijector,
        event_shape: Sequence[int],
        *,
        parameters: Mapping[str, Any],
        name: str,
        **kwargs,
    ):
        kwargs.setdefault("context_shape", bijector.context_shape)
        super().__init__(
            event_shape,
            dtype=bijector.dtype,
            parameters=parameters,
            name=name,
            is_constant_jacobian=bijector.is_constant_jacobian,
            **kwargs,
        )
        self._bijector = bijector

    @property
    def bijector(self) -> KerasBijector:
        """The inner bijector."""
        return self._bijector

    @property
    def parts(self) -> tuple[KerasBijector, ...]:
        """The inner bijector."""
        return (self._bijector,)

    @property
    def is_adapted(self) -> bool:
        """Whether the inner bijector is."""
        return self._bijector.is_adapted
