"""What all benchmarks share: the calls that are timed, and Adam.

A model is the five things `work` needs of it: loss (or None, if it is not trained),
log_prob, sample (or None), variables, apply.
"""

import functools
from collections.abc import Callable

import keras
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def work(
    models: dict, jit_compile: bool, rows: tf.Tensor, many: tf.Tensor
) -> dict[str, dict[str, Callable]]:
    """Returns work -> name of the model -> call, all over the same data.

    Args:
      models: name -> model.
      jit_compile: whether XLA compiles the calls.
      rows: batch to train on.
      many: batch to evaluate.
    """
    compiled = functools.partial(tf.function, jit_compile=jit_compile)
    calls: dict[str, dict] = {"train step": {}, "log_prob": {}, "sample": {}}
    for name, (loss, log_prob, sample, variables, apply) in models.items():
        if loss is not None:
            calls["train step"][name] = _train_step(
                compiled, loss, variables, apply, rows
            )
        calls["log_prob"][name] = functools.partial(_wait, compiled(log_prob), many)
        if sample is not None:
            seed = tf.constant([1, 2])
            calls["sample"][name] = functools.partial(_wait, compiled(sample), seed)
    return calls


def ours(flow: tfd.Distribution, count: int) -> tuple:
    """A flow of this library, and how many samples to draw."""
    return with_adam(
        lambda x: -tf.reduce_mean(flow.log_prob(x)),
        flow.log_prob,
        lambda seed: flow.sample(count, seed=seed),
        list(flow.trainable_variables),
    )


def with_adam(loss, log_prob, sample, variables) -> tuple:
    """A model trained by Keras' Adam."""
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(variables)
    apply = functools.partial(optimizer.apply, trainable_variables=variables)
    return loss, log_prob, sample, variables, apply


def with_tf_keras_adam(flow: tfd.Distribution, count: int, variables) -> tuple:
    """A flow of TFP, trained by Keras 2's Adam, the Keras it is bound to."""
    import tf_keras  # only the peer needs Keras 2

    optimizer = tf_keras.optimizers.Adam(1e-3)
    optimizer.build(variables)
    return (
        lambda x: -tf.reduce_mean(flow.log_prob(x)),
        flow.log_prob,
        lambda seed: flow.sample(count, seed=seed),
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
