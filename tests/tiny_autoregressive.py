"""An autoregressive network too small to be wrong, to test its consumers with."""

import numpy as np
import tensorflow as tf

from tfp_flows.networks.autoregressive_network import AutoregressiveNetwork


class Tiny(AutoregressiveNetwork):
    """params = tanh of one masked matrix; a step is a call on what is there so far."""

    def build(self, x_shape, context_shape=None):
        size, features = self.order.size, self.num_features
        shape = (size * features, size * self.num_params)
        self.kernel = self.add_weight(shape=shape, name="kernel")
        self.bias = self.add_weight(shape=shape[1:], name="bias")
        if context_shape is not None:
            shape = (context_shape[-1], shape[1])
            self.beside = self.add_weight(shape=shape, name="beside")
        position = np.zeros(size, int)
        position[self.order] = np.arange(self.num_positions)[:, None]
        mask = position[:, None] < position
        self._mask = mask.repeat(features, 0).repeat(self.num_params, 1)

    def call(self, x, context=None):
        flat = tf.reshape(x, [tf.shape(x)[0], self.kernel.shape[0]])
        params = flat @ (self.kernel * tf.cast(self._mask, flat.dtype)) + self.bias
        if context is not None:
            params += tf.cast(context, flat.dtype) @ tf.convert_to_tensor(self.beside)
        return 3.0 * tf.tanh(
            tf.reshape(params, [-1, *self.event_shape, self.num_params])
        )

    def initial_state(self, batch, context=None):
        seen = tf.zeros(
            tf.stack([batch, self.order.size, self.num_features]), self.compute_dtype
        )
        return (seen,) if context is None else (seen, context)

    def step(self, state, x_previous, i):
        seen, *context = state
        last = tf.constant(self.order)[tf.maximum(i - 1, 0)]
        place = tf.one_hot(last, self.order.size, dtype=seen.dtype)  # [block, D]
        shown = tf.reshape(x_previous, [-1, self.block_size, self.num_features])
        shown = tf.einsum("bkf,kd->bdf", shown, place)
        seen = tf.where(i > 0, seen + shown, seen)
        params = self.call(tf.reshape(seen, [-1, *self.features_shape]), *context)
        flat = tf.reshape(params, [-1, self.order.size, self.num_params])
        return tf.gather(flat, tf.constant(self.order)[i], axis=1), (seen, *context)
