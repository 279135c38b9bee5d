"""Glow on 32 x 32 x 3 beside its networks alone and `tfb.Glow`.

3 levels of 8 steps, networks of 3x3, 1x1 and 3x3 convolutions with 128 filters, batch
16, Adam. "Networks": Keras' own convolutions chained through slices, forward, backward
and Adam; their time for a sample is that of a forward pass. "TFP": `tfb.Glow` with
its `GlowDefaultNetwork`, on Keras 2. Graphs only: XLA's convolutions are the slower
ones on a CPU.
"""

import itertools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from benchmarks import models
from tfp_flows import flows

TITLE = "Glow"

SHAPE, LEVELS, STEPS, FILTERS, BATCH = (32, 32, 3), 3, 8, 128, 16


def candidates(jit_compile: bool) -> dict[str, dict[str, Callable[[], object]]]:
    """Returns work -> name -> call, all over the same data; none with XLA."""
    if jit_compile:
        return {}
    rng = np.random.default_rng(0)
    images = tf.constant(rng.standard_normal((BATCH, *SHAPE)), tf.float32)
    calls = {
        "networks": networks(images),
        "flow": _ours("activations"),
        "flow, constant memory": _ours("constant"),
        "tfp": _tfps(),
    }
    return models.work(calls, jit_compile, images, images)


def networks(images: tf.Tensor, steps: int = STEPS) -> tuple:
    """The floor: what the networks cost without any flow around them."""
    height, width, channels = SHAPE
    levels = []
    for _ in range(LEVELS):
        height, width, channels = height // 2, width // 2, 4 * channels
        levels.append([_network(height, width, channels) for _ in range(steps)])
        channels //= 2

    def total(x):
        result = 0.0
        for level in levels:
            x = tf.nn.space_to_depth(x, 2)
            channels = x.shape[-1]
            for network in level:
                x = network(x[..., : channels // 2])
                result += tf.reduce_sum(x * x, axis=[1, 2, 3])
            x = x[..., : channels // 2]
        return result

    chained = itertools.chain.from_iterable(levels)
    variables = [v.value for n in chained for v in n.trainable_variables]
    return models.with_adam(
        lambda x: tf.reduce_mean(total(x)), total, lambda seed: total(images), variables
    )


def _network(height, width, channels):
    conv = keras.layers.Conv2D
    return keras.Sequential(
        [
            keras.Input((height, width, channels // 2)),
            conv(FILTERS, 3, padding="same", activation="relu"),
            conv(FILTERS, 1, activation="relu"),
            conv(channels, 3, padding="same"),
        ]
    )


def _ours(memory):
    return models.ours(flows.glow(SHAPE, LEVELS, STEPS, FILTERS, memory=memory), BATCH)


def _tfps():
    tfb, tfd = tfp.bijectors, tfp.distributions

    def network(shape):
        return tfb.GlowDefaultNetwork(shape, num_hidden=FILTERS)

    glow = tfb.Glow(
        output_shape=SHAPE,
        num_glow_blocks=LEVELS,
        num_steps_per_block=STEPS,
        coupling_bijector_fn=network,
        exit_bijector_fn=tfb.GlowDefaultExitNetwork,
        grab_after_block=[0.5] * LEVELS,
    )
    size = glow.inverse_event_shape(tf.TensorShape(SHAPE))
    flow = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), size), glow)
    flow.log_prob(tf.zeros([1, *SHAPE]))  # builds the networks
    return models.with_tf_keras_adam(flow, BATCH, list(flow.trainable_variables))
