"""A dense layer whose units see the units of no higher degree."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class MaskedDense(keras.layers.Layer):
    """y = x (M * W) + b, where M joins a unit to those of no higher degree.

    Besides the product with all weights at once, it hands out the weights that lead
    to the units of each degree, for whoever computes these one after the other.

    Shapes: x `[B, inputs]` -> `[B, units]`.

    Args:
      degrees_in: degree of each input, int `[inputs]`.
      degrees_out: degree of each unit, int `[units]`.
      kernel_initializer: as for `keras.layers.Dense`.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Example:
      >>> layer = MaskedDense([0, 1], [0, 1], kernel_initializer="ones")
      >>> layer(tf.constant([[1.0, 10.0]])).numpy().tolist()
      [[1.0, 11.0]]

    References:
      Germain, Gregor, Murray, Larochelle. MADE. ICML 2015. arXiv:1502.03509
    """

    def __init__(
        self,
        degrees_in: np.ndarray,
        degrees_out: np.ndarray,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        # No bool: TensorFlow writes those into a graph one by one in Python.
        self._mask = np.less_equal.outer(degrees_in, degrees_out).astype(np.int8)
        self._initializer = kernel_initializer

    def build(self, x_shape):
        """Makes the weights."""
        self.kernel = self.add_weight(
            shape=self._mask.shape, initializer=self._initializer, name="kernel"
        )
        self.bias = self.add_weight(
            shape=self._mask.shape[1:], initializer="zeros", name="bias"
        )

    def call(self, x):
        """Returns `[B, units]`."""
        return tf.nn.bias_add(tf.matmul(x, self._masked()), self._cast(self.bias))

    def blocks(
        self, inputs: np.ndarray, units: np.ndarray
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the weights in the order in which units are computed.

        Args:
          inputs: which input each place of the caller's record holds, int `[places]`;
            -1 for none.
          units: which units each step computes, int `[steps, units_a_step]`; -1 for
            none, whose weights are those of any unit.

        Returns:
          Kernels `[steps, units_a_step, places]` and biases `[steps, units_a_step]`.
        """
        held = (inputs >= 0)[:, None].astype(np.int8)
        rows = tf.gather(self._masked(), np.maximum(inputs, 0)) * self._cast(held)
        flat = np.maximum(units, 0).ravel()
        kernels = tf.gather(tf.transpose(rows), flat)
        biases = tf.gather(self._cast(self.bias), flat)
        return tf.reshape(kernels, [*units.shape, -1]), tf.reshape(biases, units.shape)

    def _masked(self):
        return self._cast(self.kernel) * self._cast(self._mask)

    def _cast(self, value):
        value = value.value if isinstance(value, keras.Variable) else value
        return tf.cast(value, self.compute_dtype)
