"""Keras' training flag, carried to where no layer's call surrounds the networks."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


class TrainingMode(keras.layers.Layer):
    """Reads the training flag of the call that is going on, and sets it for another.

    Keras hands the flag from layer to layer during a call. A gradient that recomputes
    networks runs after that call, and a traced function must know the flag as an
    argument: both ask here.

    Examples:
      >>> mode = TrainingMode()
      >>> mode.current() is None
      True
      >>> mode.run(lambda: TrainingMode().current(), training=True)
      True
    """

    def __init__(self):
        super().__init__(name="training_mode", autocast=False)
        self._seen: bool | None = None

    def current(self) -> bool | None:
        """Returns the flag: True, False, or None outside of any layer's call."""
        self(tf.zeros([]), run=None)
        return self._seen

    def run(self, function: Callable[[], Any], training: bool | None) -> Any:
        """Calls the function with the flag set."""
        return self(tf.zeros([]), run=function, training=training)

    def call(self, x: tf.Tensor, run: Any, training: bool | None = None):
        """Notes the flag, or runs a function under it."""
        self._seen = training
        return x if run is None else run()
