"""Dropout whose mask belongs to the rows of the whole batch."""

import keras
import tensorflow as tf

from tfp_flows.networks.uniform_rows import of_layer


@keras.saving.register_keras_serializable("tfp_flows")
class Dropout(keras.layers.Dropout):
    """As `keras.layers.Dropout`, but equal on any number of replicas [1].

    The mask of a row follows from the layer's seed state and from the row's place in
    the whole batch, so that replicas which share a batch drop what one device would
    drop. `FlowModel` tells that place in the second number of the seed state. Under
    XLA on CPUs it is also many times faster than Keras' own.

    Shapes: any `[B, ...]` -> the same.

    Args:
      rate: share of the features that are set to zero in training mode; the others are
        divided by 1 - rate.
      noise_shape: shape of the mask, as for `keras.layers.Dropout`; that of the input
        if None.
      seed: of the masks, a Python integer; drawn from Keras' global one if None.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: for a rate outside of 0 to 1.

    Examples:
      >>> Dropout(0.5)(tf.ones([2, 3]), training=False).numpy().tolist()
      [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]

    References:
      [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov. Dropout: A simple
          way to prevent neural networks from overfitting. JMLR 15, 2014.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = False) -> tf.Tensor:
        """Returns the inputs with some features dropped, if it is training."""
        if not training or not self.rate:
            return inputs
        shape = [tf.shape(inputs)[0], *inputs.shape[1:]]
        kept = of_layer(self.seed_generator, shape) >= self.rate
        scale = 1.0 / (1.0 - self.rate) if self.rate < 1.0 else 0.0
        return tf.where(kept, inputs * tf.cast(scale, inputs.dtype), 0)
