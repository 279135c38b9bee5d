"""Maps of single units with parameters from outside: shift and affine."""

import tensorflow as tf


class ScalarMap:
    """An increasing function y = f(x; params) of each unit, with its inverse.

    A coupling or an autoregressive bijector asks a network for `num_params` numbers a
    unit, and this class says what is done with them. With all parameters 0 it is the
    identity, since the heads of networks begin at zero. forward goes from the latent
    to the data side.

    Shapes: x, y and each of the `num_params` tensors `[..., units]`.

    Implementing one: set `num_params`, write `forward` and `inverse`.
    `keeps_volume` says that log dy/dx is None: always 0.
    """

    num_params: int
    keeps_volume = False

    def forward(
        self, x: tf.Tensor, *params: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns y and log dy/dx of each unit; None in its place when it is 0."""
        raise NotImplementedError(f"{type(self).__name__} has no forward direction.")

    def inverse(
        self, y: tf.Tensor, *params: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns x and, as `forward` does, log dy/dx of each unit."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse direction.")


class Shift(ScalarMap):
    """y = x + shift, NICE's map; log dy/dx = 0."""

    num_params = 1
    keeps_volume = True

    def forward(self, x, shift):
        """Returns x + shift and None."""
        return x + shift, None

    def inverse(self, y, shift):
        """Returns y - shift and None."""
        return y - shift, None


class Affine(ScalarMap):
    """y = (x + shift) exp(log_scale), log_scale = scale_bound * tanh(raw).

    The shift is on the latent side of the scale, so its gradient does not explode
    with the scale. |log_scale| <= scale_bound, so no layer can overflow, however far
    its input lies.

    Args:
      scale_bound: largest |log_scale|.

    Raises:
      ValueError: if `scale_bound` is not positive.

    Example:
      >>> y, log_slope = Affine(2.0).forward(tf.ones([3]), tf.ones([3]), tf.zeros([3]))
      >>> print(y.numpy(), log_slope.numpy())
      [2. 2. 2.] [0. 0. 0.]
    """

    num_params = 2

    def __init__(self, scale_bound: float = 2.0):
        if not scale_bound > 0:
            raise ValueError(
                f"An affine map needs scale_bound > 0, got {scale_bound}. For a map "
                "without scale use Shift, or AdditiveCoupling."
            )
        self._bound = float(scale_bound)

    def forward(self, x, shift, raw):
        """Returns (x + shift) exp(log_scale) and log_scale."""
        log_scale = self._bound * tf.tanh(raw)
        return (x + shift) * tf.exp(log_scale), log_scale

    def inverse(self, y, shift, raw):
        """Returns y exp(-log_scale) - shift and log_scale."""
        log_scale = self._bound * tf.tanh(raw)
        return y / tf.exp(log_scale) - shift, log_scale
