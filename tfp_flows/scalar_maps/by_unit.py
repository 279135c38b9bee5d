"""One scalar map for some units and another one for the rest."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.scalar_maps.scalar_map import ScalarMap


class ByUnit(ScalarMap):
    """Applies one map to the chosen units and another one to all others.

    Each has as many params as the larger of the two maps wants, of which the other one
    takes the first; the rest does nothing.

    Args:
      chosen_map: of the chosen units.
      other_map: of the others. Both maps have to take 0.
      chosen: which units, `[units]`.

    Examples:
      >>> from tfp_flows.scalar_maps import Affine, CircularSpline
      >>> mixed = ByUnit(CircularSpline(4), Affine(), [True, False])
      >>> mixed.num_params
      13
    """

    def __init__(
        self,
        chosen_map: ScalarMap,
        other_map: ScalarMap,
        chosen: Sequence[bool] | np.ndarray,
    ):
        self.num_params = max(chosen_map.num_params, other_map.num_params)
        self._maps = {True: chosen_map, False: other_map}
        self._chosen: Any = np.asarray(chosen, bool)

    @classmethod
    def where(
        cls,
        chosen: Sequence[bool] | np.ndarray,
        chosen_map: ScalarMap,
        other_map: ScalarMap,
    ) -> ScalarMap:
        """Returns the map of these units; one of the two if they are all or none.

        Args:
          chosen: which units have the first map, bool `[units]`.
          chosen_map: of these.
          other_map: of the others.
        """
        if not np.any(chosen):
            return other_map
        return chosen_map if np.all(chosen) else cls(chosen_map, other_map, chosen)

    def at(self, chosen: Any) -> "ByUnit":
        """Returns the same for other units.

        Args:
          chosen: which ones, bool `[units]`, a tensor or an array.
        """
        other = copy.copy(self)
        other._chosen = chosen
        return other

    def forward(self, x: tf.Tensor, *params):
        """Returns y and log dy/dx of each unit."""
        return self._each("forward", x, params)

    def inverse(self, y: tf.Tensor, *params):
        """Returns x and log dy/dx of each unit."""
        return self._each("inverse", y, params)

    def _each(self, direction, value, params):
        results, log_slopes = [], []
        for is_chosen, scalar_map in self._maps.items():
            # Zero for units of the other map: a gradient not taken must be finite.
            own = tf.equal(self._chosen, is_chosen)
            own = tf.where(own, value, tf.zeros_like(value))
            function = getattr(scalar_map, direction)
            result, log_slope = function(own, *params[: scalar_map.num_params])
            results.append(result)
            log_slopes.append(tf.zeros_like(value) if log_slope is None else log_slope)
        return tf.where(self._chosen, *results), tf.where(self._chosen, *log_slopes)
