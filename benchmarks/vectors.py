"""What the benchmarks on vectors share: data, work, the networks alone, TFP's chain.

64 dimensions, 8 couplings with an MLP of 2 x 256, batch 512 to train, 4,096 to
evaluate and sample, Adam. A model is the five things `work` needs of it: loss,
log_prob, sample (or None), variables, apply.
"""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfb, tfd = tfp.bijectors, tfp.distributions

DIMS, STEPS, HIDDEN = 64, 8, (256, 256)
_BATCH, _MANY = 512, 4096


def work(models: dict, jit_compile: bool) -> dict[str, dict[str, Callable]]:
    """Returns work -> name of the model -> call, all over the same data."""
    rng = np.random.default_rng(0)
    rows = tf.constant(rng.standard_normal((_BATCH, DIMS)), tf.float32)
    many = tf.constant(rng.standard_normal((_MANY, DIMS)), tf.float32)
    compiled = functools.partial(tf.function, jit_compile=jit_compile)
    calls: dict[str, dict] = {"train step": {}, "log_prob": {}, "sample": {}}
    for name, (loss, log_prob, sample, variables, apply) in models.items():
        calls["train step"][name] = _train_step(compiled, loss, variables, apply, rows)
        calls["log_prob"][name] = functools.partial(_wait, compiled(log_prob), many)
        if sample is not None:
            seed = tf.constant([1, 2])
            calls["sample"][name] = functools.partial(_wait, compiled(sample), seed)
    return calls


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
    return _with_adam(lambda x: tf.reduce_mean(total(x)), total, None, variables)


def ours(flow: tfd.Distribution) -> tuple:
    """A flow of this library."""
    return _with_adam(
        lambda x: -tf.reduce_mean(flow.log_prob(x)),
        flow.log_prob,
        lambda seed: flow.sample(_MANY, seed=seed),
        list(flow.trainable_variables),
    )


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
    optimizer = tf_keras.optimizers.Adam(1e-3)
    optimizer.build(variables)
    return (
        lambda x: -tf.reduce_mean(flow.log_prob(x)),
        flow.log_prob,
        lambda seed: flow.sample(_MANY, seed=seed),
        variables,
        lambda gradients: optimizer.apply_gradients(
            zip(gradients, variables, strict=True)
        ),
    )


def _train_step(compiled, loss, variables, apply, rows):
    @compiled
    def step(x):
        with tf.GradientTape() as tape:
            value = loss(x)
        apply(tape.gradient(value, variables))
        return value

    return functools.partial(_wait, step, rows)


def _wait(function, argument):
    """Touches the result, so that the time is that of finished work."""
    return tf.reshape(function(argument), [-1])[0].numpy()


def _with_adam(loss, log_prob, sample, variables):
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(variables)
    apply = functools.partial(optimizer.apply, trainable_variables=variables)
    return loss, log_prob, sample, variables, apply
