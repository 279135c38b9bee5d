"""Particles that move through the order of an autoregressive model.

Each particle is an event that the model draws in its own order. Known units are set,
and weigh the particle by p(known unit | units before it). Before more units are drawn,
particles whose weights are worth less than half of their number are resampled: light
ones die, heavy ones are copied [1].

Networks keep what they have seen in states of their own forms, so after resampling the
units up to there are shown to the network again.

References:
  [1] Doucet, Johansen. A tutorial on particle filtering and smoothing: fifteen years
      later. 2009.
"""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import noise
from tfp_flows.distributions.completion.question import Question


class Cloud:
    """P particles of each of N events, N P in all, with the noise that moves them.

    Args:
      question: of N events, to an `Autoregressive` model.
      count: P.
      seed: as for `sample`.
    """

    def __init__(self, question: Question, count: int, seed: Any):
        model = self.model = question.model
        network, self._element = model.network, model.element
        self.num_rows, self.count = question.num_rows, count
        self._events = network.to_blocks(question.x)[:, :, None]  # [D, N, 1, block]
        self._known = network.to_blocks(tf.constant(question.known))[:, :, None]
        self._context = question.context
        seeds = tfp.random.split_seed(noise.salted(seed, "particles")[:2], 2)
        u = model.uniforms(self.num_rows * count, seeds[0])
        shape = [network.num_positions, network.block_size, self._element.num_uniforms]
        u = tf.reshape(u, tf.stack([self.num_rows, count, *shape]))
        self._u = tf.transpose(u, [2, 0, 1, 3, 4])  # [D, N, P, block, uniforms]
        lots = [self.num_rows, network.num_positions + 1]
        self.lots = noise.uniform(lots, seeds[1], model.real_dtype)

    def in_all(self, chosen: tf.Tensor) -> tf.Tensor:
        """Turns numbers `[N, ...]` of an event's particles into those among all, flat.

        Args:
          chosen: int32, below P.
        """
        return tf.reshape(chosen + self.count * tf.range(self.num_rows)[:, None], [-1])

    def run(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Moves all particles through all positions.

        Returns:
          Events `[N P, *event_shape]`; log-weights and ancestors `[N, P]`; log of what
          weights were worth whenever particles were resampled, `[N]`.
        """
        network, real = self.model.network, self.model.real_dtype
        shape = tf.shape(self._u)[1:3]
        start = (
            tf.constant(0),
            tf.zeros(tf.shape(self._u)[:-1], self.model.dtype),
            tf.zeros(shape, real),
            tf.broadcast_to(tf.range(self.count), shape),
            tf.zeros(shape[:1], real),
        )
        _, blocks, log_weights, ancestors, log_known = tf.while_loop(
            lambda front, *_: front < network.num_positions, self._stretch, start
        )
        shape = [network.num_positions, -1, network.block_size]
        events = network.from_blocks(tf.reshape(blocks, shape))
        return events, log_weights, ancestors, log_known

    def _stretch(self, front, blocks, log_weights, ancestors, log_known):
        """Goes on from a front to where particles must be resampled, and does so."""
        front, blocks, log_weights = self._advance(front, blocks, log_weights)
        share, total = shares(log_weights)
        poor = self._are_poor(log_weights) & (front < self.model.network.num_positions)
        lot = tf.gather(self.lots, [front], axis=1)
        chosen = systematic(share, lot, self.count)
        chosen = self.in_all(tf.where(poor[:, None], chosen, tf.range(self.count)))
        flat = tf.reshape(blocks, [blocks.shape[0], -1, blocks.shape[-1]])
        blocks = tf.reshape(tf.gather(flat, chosen, axis=1), tf.shape(blocks))
        ancestors = tf.gather(tf.reshape(ancestors, [-1]), chosen)
        return (
            front,
            tf.ensure_shape(blocks, self._u.shape[:-1]),
            tf.where(poor[:, None], tf.zeros([], share.dtype), log_weights),
            tf.ensure_shape(tf.reshape(ancestors, tf.shape(share)), share.shape),
            log_known + tf.where(poor, total - np.log(self.count), 0.0),
        )

    def _advance(self, front, blocks, log_weights):
        """Shows the network what is before the front, then draws and weighs."""
        network, last = self.model.network, self.model.network.num_positions - 1
        draws = ~tf.reduce_all(self._known, axis=[2, 3])  # [D, 1 or N]
        context = self.model.seen(self._context)
        context = None if context is None else tf.repeat(context, self.count, axis=0)
        width = network.block_size * network.num_features
        shape = tf.stack([self.num_rows * self.count, width])

        def goes_on(i, shown, state, blocks, log_weights):
            waits = tf.gather(draws, tf.minimum(i, last)) & self._are_poor(log_weights)
            return (i <= last) & ~tf.reduce_any(waits)

        def body(i, shown, state, blocks, log_weights):
            params, state = network.step(state, shown, i)
            block, gain = self._block(params, i)
            block = tf.where(i < front, blocks[i], block)
            log_weights += tf.where(i < front, tf.zeros([], gain.dtype), gain)
            shown = self._element.features(block, network.compute_dtype)
            blocks = tf.tensor_scatter_nd_update(blocks, [[i]], block[None])
            return i + 1, tf.reshape(shown, shape), state, blocks, log_weights

        shown = tf.zeros(shape, network.compute_dtype)
        state = network.initial_state(shape[0], context)
        front, _, _, blocks, log_weights = tf.while_loop(
            goes_on,
            body,
            (tf.constant(0), shown, state, blocks, log_weights),
            parallel_iterations=1,
        )
        return front, blocks, log_weights

    def _block(self, params, i):
        """Returns block i as known or drawn, and log p of what is known, `[N, P]`."""
        params = tf.cast(params, self.model.real_dtype)
        shape = tf.stack([self.num_rows, self.count, *params.shape[1:]])
        params = tf.reshape(params, shape)
        known, zero = self._known[i], tf.zeros([], params.dtype)
        drawn = self._element.from_uniform(params, self._u[i])
        block = tf.where(known, self._events[i], drawn)
        if self._element.block_size is not None:  # known as a whole, or not at all
            log_prob = self._element.log_prob(params, block)
            return block, tf.where(tf.reduce_all(known, axis=-1), log_prob, zero)
        log_prob = self._element.log_prob(params[..., None, :], block[..., None])
        return block, tf.reduce_sum(tf.where(known, log_prob, zero), axis=-1)

    def _are_poor(self, log_weights):
        """Whether an event's particles are worth less than half of them, `[N]`."""
        share, _ = shares(log_weights)
        return self.count * tf.reduce_sum(share**2, axis=-1) > 2.0


def shares(log_weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns weights `[N, P]` that sum to one, and the log of their sum before, `[N]`.

    Args:
      log_weights: `[N, P]`.
    """
    total = tf.reduce_logsumexp(log_weights, axis=-1)
    share = tf.exp(log_weights - total[:, None])
    # Where no particle explains what is known, all are as good.
    equal = tf.ones_like(share) / tf.cast(tf.shape(share)[-1], share.dtype)
    return tf.where(tf.math.is_inf(total)[:, None], equal, share), total


def systematic(share: tf.Tensor, lot: tf.Tensor, n: int) -> tf.Tensor:
    """Chooses n of each row's particles, each about n times its share, `[N, n]`.

    Args:
      share: weights that sum to one, `[N, P]`.
      lot: uniform noise, `[N, 1]`.
      n: number of choices.
    """
    upper = tf.cumsum(share, axis=-1)
    places = (tf.cast(tf.range(n), share.dtype) + lot) / n
    places = tf.minimum(places, 1.0 - np.finfo(share.dtype.as_numpy_dtype).epsneg)
    return tf.searchsorted(upper / upper[:, -1:], places, side="right")
