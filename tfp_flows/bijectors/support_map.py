"""What bijectors to a support have in common: they say which events lie beyond it."""

import abc
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.keras_bijector import KerasBijector


class SupportMap(KerasBijector, abc.ABC):
    """Base of bijectors between a support on the data side and real numbers.

    Events beyond the support have the log-det -inf, so the density 0; `adapt` and
    `FlowModel.fit` refuse them with a message that names row and column. It has no
    weights.

    Implementing one: write both directions, `beyond` and `flaw`. Arguments: see
    `KerasBijector`.

    Shapes: y `[*batch, *event_shape]` on the data side -> x `[*batch, *latent_shape]`,
    log_det `[*batch]`, nats.

    Raises:
      ValueError: by `adapt`, for events beyond the support.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.real_nvp((2,), 1, (8,), support="positive")
      >>> isinstance(flow.support, SupportMap)
      True
      >>> print(flow.support.beyond(np.array([[1.0, 2.0], [1.0, -2.0]])))
      [False  True]
    """

    @property
    def support(self) -> "SupportMap":
        """The map itself."""
        return self

    @property
    def is_by_unit(self) -> bool:
        """Whether each unit is mapped to a real number by itself, see `by_unit`."""
        return False

    def by_unit(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns x and log|dx/dy| of each unit, of a map that `is_by_unit`.

        Args:
          y: `[*batch, *event_shape]`; NaN, a value that is missing, stays NaN and has
            the log-slope 0.

        Returns:
          Both `[*batch, *event_shape]`.
        """
        raise NotImplementedError(f"{type(self).__name__} maps events as a whole.")

    @abc.abstractmethod
    def beyond(self, y: Any) -> np.ndarray:
        """Returns which events lie beyond the support, bool `[N]`.

        Those that hold NaN do not, as they lie nowhere.

        Args:
          y: `[N, *event_shape]`.
        """

    @abc.abstractmethod
    def flaw(self, event: Any) -> tuple[str, str]:
        """Says where one event `[*event_shape]` leaves the support, and what to do."""

    def adapt(self, y: tf.Tensor, context: tf.Tensor | None = None) -> None:
        """Refuses events beyond the support; there is nothing to adapt.

        Args:
          y: `[N, *event_shape]`.
          context: not used.

        Raises:
          ValueError: naming the first event, its column and value.
        """
        self.check(y)

    def check(self, y: Any, rows: Any = None, data: str = "data") -> None:
        """Refuses events beyond the support.

        Args:
          y: `[N, *event_shape]`.
          rows: their numbers in the data, `[N]`; 0, 1, ... if None.
          data: what the data are called.

        Raises:
          ValueError: naming the first event, its column and value.
        """
        beyond = np.flatnonzero(self.beyond(y))
        if not beyond.size:
            return
        first = beyond[0]
        rows = np.arange(len(y)) if rows is None else np.asarray(rows)
        listed = ", ".join(str(rows[i]) for i in beyond[:10])
        more = f" and {beyond.size - 10} more" if beyond.size > 10 else ""
        flaw, cure = self.flaw(y[first])
        raise ValueError(
            f"Of the {data}, row {listed}{more}, counted from 0, lies beyond the "
            f"support of the model. In row {rows[first]}, {flaw}. {cure}"
        )
