"""What the benchmarks on vectors share: data, work, the networks alone, TFP's chain.

64 dimensions, 8 couplings with an MLP of 2 x 256, batch 512 to train, 4,096 to
evaluate and sample, Adam.
"""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from benchmarks import models

tfb, tfd = tfp.bijectors, tfp.distributions

DIMS, STEPS, HIDDEN = 64, 8, (256, 256)
_BATCH, MANY = 512, 4096


def work(calls: dict, jit_compile: bool) -> dict[str, dict[str, Callable]]:
    """Returns work -> name of the model -> call; see `models.work`."""
    rng = np.random.default_rng(0)
    rows = tf.constant(rng.standard_normal((_BATCH, DIMS)), tf.float32)
    many = tf.constant(rng.standard_normal((MANY, DIMS)), tf.float32)
    return models.work(calls, jit_compile, rows, many)


def networks(num_params: int) -> tuple:
    """The floor: what the networks cost without any flow around them.

    Args:
      num_params: outputs of a network for each active unit.
    """
    layer = functools.partial(keras.layers.Dense, activation="relu")
    half = DIMS // 2
    stack = [
        keras.Sequential(
            [
                keras.Input((half,)),
                *map(layer, HIDDEN),
                keras.layers.Dense(half * num_params),
            ]
        )
        for _ in range(STEPS)
    ]

    def total(x):
        result, x = 0.0, x[:, :half]
        for network in stack:
            out = network(x)
            result += tf.reduce_sum(out * out, axis=-1)
            x = out[:, :half]
        return result

    variables = [v.value for n in stack for v in n.trainable_variables]
    return models.with_adam(lambda x: tf.reduce_mean(total(x)), total, None, variables)


def tfps(num_params: int, coupling: Callable[[Callable], dict]) -> tuple:
    """TFP's chain of couplings, with Keras 2, the Keras it is bound to.

    Args:
      num_params: outputs of a network for each active unit.
      coupling: returns the arguments of `tfb.RealNVP` for a network.
    """
    import tf_keras  # only the peer needs Keras 2

    layer = functools.partial(tf_keras.layers.Dense, activation="relu")
    half = DIMS // 2
    stack = [
        tf_keras.Sequential(
            [
                tf_keras.Input((half,)),
                *map(layer, HIDDEN),
                tf_keras.layers.Dense(half * num_params),
            ]
        )
        for _ in range(STEPS)
    ]
    chain = tfb.Chain(
        [
            tfb.RealNVP(num_masked=half if i % 2 == 0 else -half, **coupling(network))
            for i, network in enumerate(stack)
        ]
    )
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [DIMS])
    flow = tfd.TransformedDistribution(base, chain)
    variables = [v for n in stack for v in n.trainable_variables]
    return models.with_tf_keras_adam(flow, MANY, variables)
