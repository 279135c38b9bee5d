"""The Keras layers that bijectors are made of, and their variables."""

from collections.abc import Iterable, Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp


def unique(items: Iterable) -> list:
    """Returns the items in order, each object once."""
    return list({id(item): item for item in items}.values())


def layers_of(bijector: tfp.bijectors.Bijector) -> list[keras.Layer]:
    """Returns the Keras layers of a bijector and of all that it is made of.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm, Chain
      >>> len(layers_of(Chain([ActNorm((3,)), ActNorm((3,))])))
      2
    """
    parts = (bijector, *bijector.submodules)
    return unique(layer for p in parts for layer in getattr(p, "keras_layers", ()))


def variables_of(bijector: tfp.bijectors.Bijector) -> list[keras.Variable]:
    """Returns the variables of those layers."""
    return unique(v for layer in layers_of(bijector) for v in layer.variables)


def raw_variables(layers: Sequence[keras.Layer]) -> list[tf.Variable]:
    """Returns TensorFlow's variables of built layers, as they are to be trained.

    `tf.Module` asks the variable whether it is trained; Keras notes that a layer is
    frozen on the layer only. So it is told to the variable here.
    """
    variables = [v for layer in layers for v in layer.variables]
    trained = {id(v) for layer in layers for v in layer.trainable_variables}
    for variable in variables:
        if variable.value.trainable and id(variable) not in trained:
            for mirror in getattr(variable.value, "values", (variable.value,)):
                mirror._trainable = False  # one on each replica
    return unique(v.value for v in variables)


def shapes_of(layer: keras.Layer) -> list[tuple[int, ...]]:
    """Returns the shapes of a built layer's variables."""
    return [tuple(v.shape) for v in layer.variables]
