"""What must hold for every autoregressive network, judged by autodiff and by `call`."""

import keras
import numpy as np
import tensorflow as tf

from tests import laws
from tfp_flows.networks.autoregressive import AutoregressiveNetwork, generate


def build(network: AutoregressiveNetwork, context_shape=None, scale=0.6, seed=0):
    """Builds a network and gives it random weights."""
    shape = None if context_shape is None else (None, *context_shape)
    given = {} if shape is None else {"context_shape": shape}
    network.build((None, *network.features_shape), **given)
    randomize(network, seed, scale)
    return network


def randomize(network, seed=0, scale=0.6):
    rng = np.random.default_rng(seed)
    for v in network.trainable_variables:
        fan_in = int(np.prod(v.shape[:-1])) or 1
        v.assign(rng.standard_normal(v.shape) * scale * 2 / np.sqrt(fan_in))


def events(network, batch=3, seed=1):
    """Random input of `call`, in the network's own dtype."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, *network.features_shape))
    return tf.constant(x, network.compute_dtype)


def dependence(network, context=None) -> np.ndarray:
    """Largest |d params of position i / d block j|, `[positions, positions]`."""
    x = events(network, batch=2)
    kwargs = {} if context is None else {"context": context[:2]}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        params = network(x, **kwargs)
        flat = tf.reshape(params, [2, -1])
    jacobian = tape.batch_jacobian(flat, x, experimental_use_pfor=False)
    size = network.order.size
    shape = [2, size, network.num_params, size, network.num_features]
    by_unit = np.abs(np.reshape(jacobian, shape)).max(axis=(0, 2, 4))
    order = network.order
    blocks = by_unit[order.ravel()][:, order.ravel()]
    n, k = order.shape
    return blocks.reshape(n, k, n, k).max(axis=(1, 3))


def assert_sees_exactly(network, may_see=None, context=None):
    """The Jacobian is zero wherever it must be and not where it may be.

    Args:
      network: with random weights.
      may_see: bool `[positions, positions]`; all earlier positions if None.
      context: for a conditional network.
    """
    found = dependence(network, context)
    earlier = np.tri(len(found), k=-1, dtype=bool)
    assert (found[~earlier] == 0.0).all(), "a position sees itself or a later one"
    wanted = earlier if may_see is None else may_see & earlier
    np.testing.assert_array_equal(found > 0.0, wanted)


def assert_masks_survive_training(network, context=None, steps=100):
    """Zero stays zero after optimiser steps and after averaged weights come in."""
    x, kwargs = events(network, 4), {} if context is None else {"context": context[:1]}
    if context is not None:
        kwargs = {"context": tf.repeat(context[:1], 4, axis=0)}
    optimizer = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9)
    variables = network.trainable_variables
    optimizer.build(variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(network(x, **kwargs) - 1.0))
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    for _ in range(steps):
        step()
    later = ~np.tri(network.num_positions, k=-1, dtype=bool)
    assert (dependence(network, context)[later] == 0.0).all()
    optimizer.finalize_variable_values(variables)  # the averaged weights
    assert (dependence(network, context)[later] == 0.0).all()


def stepped(network, x, context=None):
    """`call` of a given x, computed by steps alone, `[B, *event_shape, num_params]`."""
    shown = tf.reshape(x, [x.shape[0], network.order.size, network.num_features])
    shown = tf.gather(shown, network.order, axis=1)  # [B, positions, block, features]
    shown = tf.reshape(shown, [x.shape[0], network.num_positions, -1])

    def draw(params, i):
        return shown[:, i], [params[..., p] for p in range(network.num_params)]

    dtypes = [tf.as_dtype(network.compute_dtype)] * network.num_params
    found = generate(network, x.shape[0], draw, dtypes, context)
    return tf.stack(found, axis=-1)


def assert_steps_give_the_numbers_of_call(network, context=None):
    """Eager, in a graph and under XLA; 1e-10 in float64, 1e-5 in float32."""
    x = events(network)
    kwargs = {} if context is None else {"context": context}
    atol = {"float64": 1e-10, "float32": 1e-5}[network.compute_dtype]
    wanted = network(x, **kwargs)
    assert wanted.shape == (x.shape[0], *network.event_shape, network.num_params)
    function = lambda v: stepped(network, v, context)  # noqa: E731
    for mode in (
        function,
        tf.function(function),
        tf.function(function, jit_compile=True),
    ):
        laws.assert_close(mode(x), wanted, atol)
