"""Seeds that depend on where training stands, and on nothing else.

A step's randomness (dequantisation noise, dropout masks) is a function of the model's
seed, the optimizer's step and the replica, so that a resumed run continues as if it
had never stopped, and two evaluations agree.
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
    model_seed: int, purpose: Purpose, position: tf.Tensor | int, replica: bool = True
) -> tf.Tensor:
    """Returns the stateless seed for a position in training or in the data.

    Args:
      model_seed: Python integer, the model's own seed.
      purpose: what the seed is for.
      position: scalar integer, such as the optimizer's step.
      replica: whether replicas get different seeds; only in a replica's step.

    Returns:
      int32 `[2]`.
    """
    position = tf.cast(tf.cast(position, tf.int64) % 2**31, tf.int32)
    context = tf.distribute.get_replica_context()
    if replica and context is not None:
        # Not a plain Python integer: under TPU strategies this is a tensor.
        index = tf.cast(context.replica_id_in_sync_group, tf.int32)
        position = position * context.num_replicas_in_sync + index
    key = (model_seed % 2**28) * len(Purpose) + int(purpose)
    return tf.stack([tf.constant(key, tf.int32), position])


def layer_states(
    states: list[keras.Variable], seed: tf.Tensor
) -> list[tuple[keras.Variable, tf.Tensor]]:
    """Gives every random layer's seed state its value for this step.

    Args:
      states: the seed states of the layers (of their `keras.random.SeedGenerator`).
      seed: int32 `[2]`, of purpose LAYERS.

    Returns:
      Pairs of a state and its value, for `keras.StatelessScope`.
    """
    if not states:
        return []
    # Philox by name: the default algorithm is slow under XLA on a CPU.
    values = tf.random.stateless_uniform(
        [len(states), 2], seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    return [
        (state, tf.cast(value, state.dtype))
        for state, value in zip(states, tf.unstack(values), strict=True)
    ]
