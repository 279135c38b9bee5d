"""Glow on 32 x 32 x 3 beside its networks alone and `tfb.Glow`.

3 levels of 8 steps, networks of 3x3, 1x1 and 3x3 convolutions with 128 filters, batch
16, Adam. "Networks": Keras' own convolutions chained through slices, forward, backward
and Adam; their time for a sample is that of a forward pass. "Convolutions": all those
of a Glow, the 1x1 ones and those of the learned priors included. "Bare operations": a
Glow of these layers written down in TensorFlow's operations, halves, affine maps and
log-dets, as few as there can be: what the arithmetic costs however it is wrapped.
"No gradients": log_prob and samples under `evaluating`, where the halves of a batch
go side by side; "networks in halves" tells what that alone does for the networks.
"TFP": `tfb.Glow` with its `GlowDefaultNetwork`, on Keras 2. Graphs only: XLA's
convolutions are the slower ones on a CPU.
"""

import itertools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from benchmarks import models
from tfp_flows import flows
from tfp_flows.bijectors import evaluating

TITLE = "Glow"

SHAPE, LEVELS, STEPS, FILTERS, BATCH = (32, 32, 3), 3, 8, 128, 16


def candidates(jit_compile: bool) -> dict[str, dict[str, Callable[[], object]]]:
    """Returns work -> name -> call, all over the same data; none with XLA."""
    if jit_compile:
        return {}
    rng = np.random.default_rng(0)
    images = tf.constant(rng.standard_normal((BATCH, *SHAPE)), tf.float32)
    floor, ours = networks(images), _ours("constant")
    calls = {
        "networks": floor,
        "networks in halves": _in_halves(floor, images),
        "convolutions": networks(images, whole=True),
        "bare operations": _bare(),
        "flow": _ours("activations"),
        "flow, constant memory": ours,
        "flow, no gradients": _evaluated(ours, xla=False),
        "flow, no gradients, XLA": _evaluated(ours, xla=True),
        "tfp": _tfps(),
    }
    return models.work(calls, jit_compile, images, images)


def networks(images: tf.Tensor, steps: int = STEPS, whole: bool = False) -> tuple:
    """The floor: what the networks cost without any flow around them.

    Args:
      images: a batch.
      steps: of each level.
      whole: whether the 1x1 and the priors' convolutions are there too.
    """
    levels = [_level(i, steps, whole) for i in range(LEVELS)]

    def total(x):
        result = 0.0
        for network_of_step, mix_of_step, prior in levels:
            x = tf.nn.space_to_depth(x, 2)
            channels = x.shape[-1]
            for network, mix in zip(network_of_step, mix_of_step, strict=True):
                x = network(mix(x)[..., : channels // 2])
                result += tf.reduce_sum(x * x, axis=[1, 2, 3])
            x = x[..., : channels // 2]
            if prior is not None:
                result += tf.reduce_sum(prior(x), axis=[1, 2, 3])
        return result

    return models.with_adam(
        lambda x: tf.reduce_mean(total(x)),
        total,
        lambda seed: total(images),
        _variables(levels),
    )


def _bare():
    levels = [_level(i, STEPS, whole=True) for i in range(LEVELS)]

    def log_prob(x):
        result = 0.0
        for network_of_step, mix_of_step, prior in levels:
            x = tf.nn.space_to_depth(x, 2)
            for network, mix in zip(network_of_step, mix_of_step, strict=True):
                seen, moved = tf.split(mix(x), 2, axis=-1)
                moved, log_det = _moved(moved, network(seen))
                x = tf.concat([seen, moved], axis=-1)
                result += log_det
            if prior is not None:
                x, done = tf.split(x, 2, axis=-1)
                done, log_det = _moved(done, prior(x))
                result += log_det - 0.5 * tf.reduce_sum(done * done, axis=[1, 2, 3])
        return result - 0.5 * tf.reduce_sum(x * x, axis=[1, 2, 3])

    def sample(seed):
        height, width, channels = SHAPE
        side = 2**LEVELS
        shape = [BATCH, height // side, width // side, channels * 2 * side]
        x = tf.random.stateless_normal(shape, seed)
        for network_of_step, mix_of_step, prior in levels[::-1]:
            if prior is not None:
                done = tf.random.stateless_normal(tf.shape(x), seed)
                x = tf.concat([x, _moved_back(done, prior(x))], axis=-1)
            for network, mix in zip(network_of_step, mix_of_step, strict=True):
                seen, moved = tf.split(x, 2, axis=-1)
                moved = _moved_back(moved, network(seen))
                x = mix(tf.concat([seen, moved], axis=-1))
            x = tf.nn.depth_to_space(x, 2)
        return x

    return models.with_adam(
        lambda x: -tf.reduce_mean(log_prob(x)), log_prob, sample, _variables(levels)
    )


def _moved(x, params):
    shift, raw = tf.split(params, 2, axis=-1)
    log_scale = 2.0 * tf.tanh(raw)
    return x / tf.exp(log_scale) - shift, -tf.reduce_sum(log_scale, axis=[1, 2, 3])


def _level(i, steps, whole):
    """Networks, 1x1 convolutions and prior of level i."""
    height, width, channels = SHAPE
    shape = height // 2 ** (i + 1), width // 2 ** (i + 1), channels * 2 ** (i + 2)
    network_of_step = [_network(*shape) for _ in range(steps)]
    mix_of_step = [_mix(shape[-1], whole) for _ in range(steps)]
    prior = _prior(*shape) if whole and i < LEVELS - 1 else None
    return network_of_step, mix_of_step, prior


def _moved_back(x, params):
    shift, raw = tf.split(params, 2, axis=-1)
    return (x + shift) * tf.exp(2.0 * tf.tanh(raw))


def _variables(levels):
    layers = itertools.chain.from_iterable([*n, *m, p] for n, m, p in levels)
    return [v.value for n in layers if n for v in n.trainable_variables]


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


def _mix(channels, whole):
    """A 1x1 convolution as Keras' dense layer, the faster way on small images."""
    mix = keras.layers.Dense(channels) if whole else keras.layers.Identity()
    mix.build((None, channels))
    return mix


def _prior(height, width, channels):
    conv = keras.layers.Conv2D(channels, 3, padding="same")
    conv.build((None, height, width, channels // 2))
    return conv


def _ours(memory):
    return models.ours(flows.glow(SHAPE, LEVELS, STEPS, FILTERS, memory=memory), BATCH)


def _evaluated(model, xla):
    """The same model, not to be trained."""

    def under(function):
        def call(argument):
            with evaluating(xla):
                return function(argument)

        return call

    _, log_prob, sample, *_ = model
    return None, under(log_prob), under(sample), None, None


def _in_halves(model, images):
    """The networks over both halves of the batch, one half beside the other."""

    def both(x):
        return tf.concat([model[1](half) for half in tf.split(x, 2)], axis=0)

    return None, both, lambda seed: both(images), None, None


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
