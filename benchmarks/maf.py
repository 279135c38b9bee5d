"""MAF on 64 dimensions beside its networks alone and TFP's.

5 MADE layers of 2 x 256 with affine maps, batch 512 to train, 4,096 to evaluate,
1,024 samples, Adam, no normalisation between. "Networks": Keras' dense layers of the
same shapes without masks, chained, forward, backward and Adam; as a sample, one forward
pass of 1,024 rows. "TFP": `tfb.MaskedAutoregressiveFlow` with
`tfb.AutoregressiveNetwork`, on Keras 2; its samples take 64 passes of each network.
"""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from benchmarks import models
from tfp_flows import flows

tfb, tfd = tfp.bijectors, tfp.distributions

TITLE = "MAF-64"

DIMS, STEPS, HIDDEN, SAMPLES = 64, 5, (256, 256), 1024


def candidates(jit_compile: bool) -> dict[str, dict[str, Callable[[], object]]]:
    """Returns work -> name -> call, all over the same data."""
    rng = np.random.default_rng(0)
    rows, many = (
        tf.constant(rng.standard_normal((count, DIMS)), tf.float32)
        for count in (512, 4096)
    )
    calls = {
        "networks": networks(DIMS, STEPS, HIDDEN),
        "flow": ours(DIMS, STEPS, HIDDEN),
        "tfp": tfps(DIMS, STEPS, HIDDEN),
    }
    return models.work(calls, jit_compile, rows, many)


def ours(dims: int, steps: int, hidden: tuple[int, ...], count: int = SAMPLES) -> tuple:
    """A MAF of this library with random weights: at zero, sampling is too easy."""
    flow = flows.maf((dims,), steps, hidden, normalization=None)
    rng = np.random.default_rng(1)
    for v in flow.trainable_variables:
        v.assign_add(0.02 * rng.standard_normal(v.shape))
    return models.ours(flow, count)


def networks(dims: int, steps: int, hidden: tuple[int, ...]) -> tuple:
    """The floor: what the networks cost without masks and without a flow."""
    layer = functools.partial(keras.layers.Dense, activation="relu")
    stack = [
        keras.Sequential(
            [keras.Input((dims,)), *map(layer, hidden), keras.layers.Dense(2 * dims)]
        )
        for _ in range(steps)
    ]

    def total(x):
        result = 0.0
        for network in stack:
            out = network(x)
            result += tf.reduce_sum(out * out, axis=-1)
            x = out[:, :dims]
        return result

    variables = [v.value for n in stack for v in n.trainable_variables]
    many = tf.constant(
        np.random.default_rng(2).standard_normal((SAMPLES, dims)), tf.float32
    )
    return models.with_adam(
        lambda x: tf.reduce_mean(total(x)), total, lambda seed: total(many), variables
    )


def tfps(dims: int, steps: int, hidden: tuple[int, ...], count: int = SAMPLES) -> tuple:
    """TFP's masked autoregressive flow, with Keras 2, the Keras it is bound to."""
    stack = [
        tfb.AutoregressiveNetwork(
            2, event_shape=[dims], hidden_units=list(hidden), activation="relu"
        )
        for _ in range(steps)
    ]
    chain = tfb.Chain([tfb.MaskedAutoregressiveFlow(network) for network in stack])
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [dims])
    flow = tfd.TransformedDistribution(base, chain)
    flow.log_prob(tf.zeros([1, dims]))  # builds the networks
    variables = [v for n in stack for v in n.trainable_variables]
    return models.with_tf_keras_adam(flow, count, variables)
