"""RealNVP on 64 dimensions beside its networks alone and tfb.RealNVP.

8 affine couplings with an MLP of 2 x 256, batch 512 to train, 4,096 to evaluate and
sample. "Networks": the same Keras layers chained through a slice, forward, backward
and Adam. "TFP": `tfb.RealNVP` with the same layers in Keras 2, the Keras it is bound
to, and Keras 2's Adam. Act norms are left out of all, as TFP's model has none; ours
with them, the recipe's default, is timed as well.
"""

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import flows

tfb, tfd = tfp.bijectors, tfp.distributions

_DIMS, _STEPS, _HIDDEN = 64, 8, 256
_BATCH, _MANY = 512, 4096


def candidates(jit_compile: bool) -> dict[str, dict[str, Callable[[], object]]]:
    """Returns work -> name -> call, all over the same data."""
    rng = np.random.default_rng(0)
    rows = tf.constant(rng.standard_normal((_BATCH, _DIMS)), tf.float32)
    many = tf.constant(rng.standard_normal((_MANY, _DIMS)), tf.float32)
    compiled = functools.partial(tf.function, jit_compile=jit_compile)
    models = {
        "networks": _networks(),
        "flow": _flow(act_norm=False),
        "flow with act norm": _flow(act_norm=True),
        "tfp": _tfp(),
    }
    work = {"train step": {}, "log_prob": {}, "sample": {}}
    for name, (loss, log_prob, sample, variables, apply) in models.items():
        work["train step"][name] = _train_step(compiled, loss, variables, apply, rows)
        work["log_prob"][name] = functools.partial(_wait, compiled(log_prob), many)
        if sample is not None:
            seed = tf.constant([1, 2])
            work["sample"][name] = functools.partial(_wait, compiled(sample), seed)
    return work


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


def _networks():
    """The floor: what the networks cost without any flow around them."""
    layer = functools.partial(keras.layers.Dense, _HIDDEN, activation="relu")
    half = _DIMS // 2
    networks = [
        keras.Sequential(
            [keras.Input((half,)), layer(), layer(), keras.layers.Dense(_DIMS)]
        )
        for _ in range(_STEPS)
    ]

    def total(x):
        result, x = 0.0, x[:, :half]
        for network in networks:
            out = network(x)
            result += tf.reduce_sum(out * out, axis=-1)
            x = out[:, :half]
        return result

    variables = [v.value for n in networks for v in n.trainable_variables]
    return _with_adam(lambda x: tf.reduce_mean(total(x)), total, None, variables)


def _flow(act_norm):
    flow = flows.real_nvp((_DIMS,), _STEPS, (_HIDDEN, _HIDDEN), act_norm=act_norm)
    return _with_adam(
        lambda x: -tf.reduce_mean(flow.log_prob(x)),
        flow.log_prob,
        lambda seed: flow.sample(_MANY, seed=seed),
        list(flow.trainable_variables),
    )


def _with_adam(loss, log_prob, sample, variables):
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(variables)
    apply = functools.partial(optimizer.apply, trainable_variables=variables)
    return loss, log_prob, sample, variables, apply


def _tfp():
    import tf_keras  # only the peer needs Keras 2

    layer = functools.partial(tf_keras.layers.Dense, _HIDDEN, activation="relu")
    half = _DIMS // 2
    networks = [
        tf_keras.Sequential(
            [tf_keras.Input((half,)), layer(), layer(), tf_keras.layers.Dense(_DIMS)]
        )
        for _ in range(_STEPS)
    ]
    bijectors = [
        tfb.RealNVP(
            num_masked=half if i % 2 == 0 else -half,
            shift_and_log_scale_fn=lambda x, units, network=network, **_: tf.split(
                network(x), 2, axis=-1
            ),
        )
        for i, network in enumerate(networks)
    ]
    base = tfd.Sample(tfd.Normal(0.0, 1.0), [_DIMS])
    flow = tfd.TransformedDistribution(base, tfb.Chain(bijectors))
    variables = [v for n in networks for v in n.trainable_variables]
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
