"""What is asked of every network over images, and which pixels each may see."""

import keras
import numpy as np
import tensorflow as tf

from tests import autoregressive_laws as laws

POLICIES = ("float32", "float64", "mixed_bfloat16")


def positions(network, may_see: np.ndarray) -> np.ndarray:
    """From pixels to positions: `[H, W, H, W]` -> bool `[positions, positions]`.

    A pixel that may see another sees all its channels; of itself it may see the
    channels before, which the law adds.
    """
    height, width, _ = network.event_shape
    per_pixel = network.num_positions // (height * width)
    square = may_see.reshape(height * width, height * width)
    blocks = np.kron(square, np.ones((per_pixel, per_pixel), bool))
    own = np.kron(np.eye(height * width, dtype=bool), np.tri(per_pixel, k=-1) > 0)
    return blocks | own


def looks(shape, offsets) -> np.ndarray:
    """Bool `[H, W, H, W]`: pixel (r, c) reads (r + dr, c + dc) for each offset."""
    height, width = shape
    found = np.zeros((height, width, height, width), bool)
    for r, c in np.ndindex(height, width):
        for dr, dc in offsets:
            if 0 <= r + dr < height and 0 <= c + dc < width:
                found[r, c, r + dr, c + dc] = True
    return found


def after(first, then) -> np.ndarray:
    """What is seen when `then` reads what `first` gave."""
    height, width = first.shape[:2]
    n = height * width
    product = then.reshape(n, n).astype(int) @ first.reshape(n, n).astype(int)
    return product.reshape(height, width, height, width) > 0


def rectangle(rows, columns):
    """Offsets of a block of pixels."""
    return [(dr, dc) for dr in rows for dc in columns]


def mask_a(shape, kernel_size):
    """What the first layer reads: the rows above, and the pixels to the left."""
    reach = kernel_size // 2
    up = rectangle(range(-reach, 0), range(-reach, reach + 1))
    return looks(shape, [*up, *rectangle([0], range(-reach, 0))])


def assert_context_matters(network):
    """Everywhere, also in the first pixel, which sees nothing else."""
    x, context = laws.events(network), laws.contexts(network)
    change = np.abs(network(x, context=context) - network(x, context=context + 1.0))
    assert (change.reshape(3, network.order.size, -1).max(axis=-1) > 0.0).all()


def assert_keras_contract(make, context_shape=(2,)):
    """Config round trip, start at zero, gradients, and lower precision."""
    for policy in POLICIES:
        network = make(dtype=policy)
        again = type(network).from_config(network.get_config())
        for n in (network, again):
            n.build((None, *n.features_shape), context_shape=(None, *context_shape))
        shapes = [v.shape for v in network.weights]
        assert shapes and shapes == [v.shape for v in again.weights]
        assert {keras.backend.standardize_dtype(v.dtype) for v in network.weights} == {
            network.variable_dtype
        }
        x, context = laws.events(network, 2), laws.contexts(network, batch=2)
        params = network(x, context=context)
        assert params.dtype == network.compute_dtype
        assert not np.any(tf.cast(params, "float32"))
        laws.randomize(network)
        state = network.initial_state(2, context)
        shown = tf.zeros([2, network.block_size * network.num_features])
        first, _ = network.step(state, shown, 0)
        assert first.dtype == network.compute_dtype


def assert_every_weight_learns(network):
    """Each has a gradient that is not zero."""
    x, context = laws.events(network), laws.contexts(network)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(x, context=context) - 1.0))
    variables = network.trainable_variables
    for v, g in zip(
        variables, tape.gradient(loss, [v.value for v in variables]), strict=True
    ):
        assert np.any(g), v.path
