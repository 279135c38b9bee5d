"""NICE's map of single units: a shift."""

import tensorflow as tf

from tfp_flows.scalar_maps.scalar_map import ScalarMap


class Shift(ScalarMap):
    """y = x + shift, NICE's map; log dy/dx = 0 [1].

    Shapes: x, y and shift `[..., units]`. The log-slope is None, see `ScalarMap`.

    Examples:
      >>> import tensorflow as tf
      >>> y, log_slope = Shift().forward(tf.constant([1.0]), tf.constant([0.5]))
      >>> y.numpy(), log_slope
      (array([1.5], dtype=float32), None)

    References:
      [1] Dinh, Krueger, Bengio. NICE: Non-linear independent components estimation.
          ICLR workshop 2015. arXiv:1410.8516
    """

    num_params = 1
    keeps_volume = True

    def forward(self, x: tf.Tensor, shift: tf.Tensor):
        """Returns x + shift and None."""
        return x + shift, None

    def inverse(self, y: tf.Tensor, shift: tf.Tensor):
        """Returns y - shift and None."""
        return y - shift, None
