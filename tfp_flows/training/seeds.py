"""Seeds that depend on where training stands, and on nothing else.

A step's randomness (dequantisation noise, dropout masks) is a function of the model's
seed, the optimizer's step and an example's place in the batch of all replicas, so that
a resumed run continues as if it had never stopped, two evaluations agree, and replicas
draw what one device would.
"""

import enum

import keras
import tensorflow as tf


class Purpose(enum.IntEnum):
    """What a seed is for; seeds of two purposes never coincide."""

    TRAIN = 0
    EVALUATE = 1
    PREDICT = 2
    LAYERS = 3


def seed_at(
    model_seed: int, purpose: Purpose, position: tf.Tensor | int, first_row: tf.Tensor
) -> tf.Tensor:
    """Returns the stateless seed for a position in training or in the data.

    Args:
      model_seed: Python integer, the model's own seed.
      purpose: what the seed is for.
      position: scalar integer, such as the optimizer's step.
      first_row: place of this replica's first example in the whole batch, scalar.

    Returns:
      int32 `[3]`, see `distributions.noise.salted`.
    """
    position = tf.cast(tf.cast(position, tf.int64) % 2**31, tf.int32)
    key = (model_seed % 2**28) * len(Purpose) + int(purpose)
    return tf.stack(
        [tf.constant(key, tf.int32), position, tf.cast(first_row, tf.int32)]
    )


def layer_states(
    states: list[keras.Variable], seed: tf.Tensor
) -> list[tuple[keras.Variable, tf.Tensor]]:
    """Gives every random layer's seed state its value for this step.

    Args:
      states: the seed states of the layers (of their `keras.random.SeedGenerator`).
      seed: int32 `[3]`, of purpose LAYERS.

    Returns:
      Pairs of a state and its value, for `keras.StatelessScope`: a key for layer and
      step, and the place of the first row, see `networks.Dropout`. Keras' own layers
      take both for a key, so that their noise is another on another replica.
    """
    if not states:
        return []
    # Philox by name: the default algorithm is slow under XLA on a CPU.
    keys = tf.random.stateless_uniform(
        [len(states)], seed[:2], minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    return [
        (state, tf.cast(tf.stack([key, seed[2]]), state.dtype))
        for state, key in zip(states, tf.unstack(keys), strict=True)
    ]
