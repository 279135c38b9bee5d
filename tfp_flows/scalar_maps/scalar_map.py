"""What a map of single units is, whose parameters come from outside."""

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

    Examples:
      >>> from tfp_flows.scalar_maps import Affine
      >>> isinstance(Affine(), ScalarMap), Affine().num_params
      (True, 2)
    """

    num_params: int
    keeps_volume = False

    def forward(
        self, x: tf.Tensor, *params: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns y and log dy/dx of each unit; None in its place when it is 0.

        Args:
          x: on the latent side, `[..., units]`.
          *params: `num_params` tensors of the same shape.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward direction.")

    def inverse(
        self, y: tf.Tensor, *params: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns x and, as `forward` does, log dy/dx of each unit.

        Args:
          y: on the data side, `[..., units]`.
          *params: `num_params` tensors of the same shape.
        """
        raise NotImplementedError(f"{type(self).__name__} has no inverse direction.")
