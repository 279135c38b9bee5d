"""Noise of each row, in training mode alone."""

import keras
import tensorflow as tf

from tfp_flows.networks.uniform_rows import of_layer


@keras.saving.register_keras_serializable("tfp_flows")
class RowNoise(keras.layers.Layer):
    """Uniform numbers for each row in training mode, none otherwise.

    For what a model draws anew at each step of training and not in use, as dropout
    does. They belong to the rows of the whole batch, see `Dropout`.

    Shapes: x `[B, ...]` -> `[B, size]` in training mode, `[B, 0]` otherwise.

    Args:
      size: numbers of a row.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Examples:
      >>> RowNoise(2)(tf.ones([3, 5]), training=True).shape
      TensorShape([3, 2])
      >>> RowNoise(2)(tf.ones([3, 5])).shape
      TensorShape([3, 0])
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.seed_generator = keras.random.SeedGenerator(0)
        self.built = True

    def call(self, x: tf.Tensor, training: bool | None = False) -> tf.Tensor:
        """Returns the numbers, strictly between 0 and 1."""
        rows = tf.shape(x)[0]
        if not training:
            return tf.zeros([rows, 0], self.compute_dtype)
        return of_layer(self.seed_generator, [rows, self.size], self.compute_dtype)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"size": self.size}
