"""What must hold for every autoregressive network, judged by autodiff and by `call`."""

import re

import keras
import numpy as np
import tensorflow as tf

# Private, and all there is to see what runs: the public dumps of tf.debugging use it.
from tensorflow.python.framework import op_callbacks

from tests import laws
from tfp_flows.networks.autoregressive_network import AutoregressiveNetwork, generate


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


def contexts(network, shape=(2,), batch=3):
    """A random context for each of the events; None for no shape."""
    if shape is None:
        return None
    rng = np.random.default_rng(7)
    return tf.constant(rng.standard_normal((batch, *shape)), network.compute_dtype)


def given(context):
    """Keyword arguments of a call."""
    return {} if context is None else {"context": context}


def dependence(network, context=None) -> np.ndarray:
    """Largest |d params of position i / d block j|, `[positions, positions]`.

    The whole Jacobian in one backward pass: each output has a copy of x of its own.
    """
    size, num_params = network.order.size, network.num_params
    outputs = size * num_params
    copies = lambda v: tf.repeat(v[:2], outputs, axis=0)  # noqa: E731
    x = copies(events(network))
    context = None if context is None else copies(context)
    with tf.GradientTape() as tape:
        tape.watch(x)
        params = tf.reshape(network(x, **given(context)), [2, outputs, outputs])
        own = tf.reduce_sum(tf.linalg.diag_part(params))
    shape = [2, size, num_params, size, network.num_features]
    jacobian = np.reshape(tape.gradient(own, x), shape)
    by_unit = np.abs(jacobian).max(axis=(0, 2, 4))
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


class Regression(keras.Model):
    """Gives the params of a network to a loss of Keras."""

    def __init__(self, network):
        super().__init__(dtype=network.dtype_policy)
        self.network = network

    def call(self, inputs):
        x, *context = inputs
        return self.network(x, **given(*context or [None]))


def assert_sees_exactly_however_trained(network, may_see=None, context=None):
    """Before training, after 100 steps of Adam, and with averaged weights swapped in.

    The optimizer is a plain one: no constraint, no mask on its updates.
    """
    assert_sees_exactly(network, may_see, context)
    weights = [np.concatenate([np.ravel(v) for v in network.trainable_variables])]

    def look(*_):
        assert_sees_exactly(network, may_see, context)
        weights.append(
            np.concatenate([np.ravel(v) for v in network.trainable_variables])
        )

    inputs = (events(network),) if context is None else (events(network), context)
    wanted = np.random.default_rng(2).standard_normal(network(*inputs).shape)
    model = Regression(network)
    optimizer = keras.optimizers.Adam(2e-3, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, "mse", jit_compile=False)
    model.fit(
        tf.data.Dataset.from_tensors((inputs, wanted)).repeat(100),
        shuffle=False,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_end=look),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.LambdaCallback(on_epoch_end=look),
        ],
    )
    first, trained, averaged = weights
    assert np.abs(trained - first).max() > 0.02
    assert np.abs(averaged - trained).max() > 1e-4


def stepped(network, x, context=None):
    """`call` of a given x, computed by steps alone, `[B, *event_shape, num_params]`."""
    batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    features = network.num_features
    shown = tf.reshape(x, [-1, network.order.size, features])
    shown = tf.gather(shown, network.order, axis=1)  # [B, positions, block, features]
    shape = [-1, network.num_positions, network.block_size * features]
    shown = tf.reshape(shown, shape)

    def draw(params, i):
        return shown[:, i], [params[..., p] for p in range(network.num_params)]

    dtypes = [tf.as_dtype(network.compute_dtype)] * network.num_params
    found = generate(network, batch, draw, dtypes, context)
    return tf.stack(found, axis=-1)


def assert_steps_give_the_numbers_of_call(network, context=None):
    """Eager, in a graph of unknown batch, and under XLA; to 1e-10 or 1e-5."""
    args = (events(network),) if context is None else (events(network), context)
    atol = {"float64": 1e-10, "float32": 1e-5}[network.compute_dtype]
    wanted = network(*args)
    assert wanted.shape == (3, *network.event_shape, network.num_params)
    function = lambda *args: stepped(network, *args)  # noqa: E731
    any_batch = tf.function(
        function,
        input_signature=[tf.TensorSpec([None, *v.shape[1:]], v.dtype) for v in args],
    )
    for mode in (function, any_batch, tf.function(function, jit_compile=True)):
        laws.assert_close(mode(*args), wanted, atol)
    laws.assert_close(any_batch(*(v[:1] for v in args)), wanted[:1], atol)


def multiplications(function) -> int:
    """Counts those of all matrix products and convolutions that run, eagerly."""
    count = 0

    def see(op_type, inputs, attrs, outputs, *_):
        nonlocal count
        op_type = tf.compat.as_str(op_type)
        if op_type in ("MatMul", "BatchMatMulV2"):
            flags = dict(zip(attrs[::2], attrs[1::2], strict=True))
            turned = flags.get("transpose_a") or flags.get("adj_x")
            each = inputs[0].shape[-2 if turned else -1]
        elif op_type == "Conv2D":
            each = np.prod(inputs[1].shape[:3])
        else:
            assert not re.search("Einsum|Conv|While|Call|__inference", op_type), op_type
            return
        count += int(np.prod(outputs[0].shape) * each)

    op_callbacks.add_op_callback(see)
    try:
        function()
    finally:
        op_callbacks.remove_op_callback(see)
    return count


def assert_a_sample_costs(at_most, network, context=None):
    """All steps together multiply as often as that many calls, whatever the rest."""
    x = events(network)
    steps = multiplications(lambda: stepped(network, x, context))
    call = multiplications(lambda: network(x, **given(context)))
    assert 0 < steps <= at_most * call < network.num_positions * call
