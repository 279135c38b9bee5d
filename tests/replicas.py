"""Two replicas on the two logical devices of the tests."""

import functools

import tensorflow as tf


@functools.cache
def mirrored():
    """Returns the one mirrored strategy of all tests.

    TensorFlow numbers the collectives of every new strategy from the beginning, and on
    one machine the numbers of two strategies meet.
    """
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
