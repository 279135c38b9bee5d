"""Particles complete events of autoregressive models whose order does not suit a mask.

Each particle is an event that the model draws in its own order. Known units are set,
and weigh the particle by p(known unit | units before it). Before more units are drawn,
particles whose weights are worth less than half of their number are resampled: light
ones die, heavy ones are copied [1]. The weighted particles are draws of p(rest | known)
as their number grows. How far they are from it their ancestors tell [2]: particles with
the same one have the same beginning.

Networks keep what they have seen in states of their own forms, so after resampling the
units up to there are shown to the network again.

References:
  [1] Doucet, Johansen. A tutorial on particle filtering and smoothing: fifteen years
      later. 2009.
  [2] Lee, Whiteley. Variance estimation in the particle filter. Biometrika 105, 2018.
      arXiv:1509.00394
"""

import numbers
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import noise
from tfp_flows.distributions.autoregressive import Autoregressive
from tfp_flows.distributions.completion import beginnings
from tfp_flows.distributions.completion.question import Question
from tfp_flows.distributions.model import Model

_FEWEST = 10.0  # effective particles of draws that may be trusted


class Particles(NamedTuple):
    """Draws by weighted particles, and how far to trust them.

    Attributes:
      x: `[n, *batch, *event_shape]`.
      effective_sample_size: `[*batch]`, how many independent draws the particles are
        worth: 1 / sum of the squared weights of what descends from each ancestor.
      log_prob_of_known: `[*batch]`, log of an unbiased estimate of p(known units), in
        nats; `model.log_prob(x)` minus this is log p(rest | known).
      cure: what to do if they cannot be trusted, a sentence.

    Examples:
      >>> draws = Particles(np.zeros([10, 2]), np.array(40.0), np.array(-3.0))
      >>> draws.problem() is None
      True
    """

    x: tf.Tensor
    effective_sample_size: tf.Tensor
    log_prob_of_known: tf.Tensor
    cure: str = "give more particles."

    def problem(self) -> str | None:
        """Returns what is wrong with them in a sentence, or None."""
        sizes = np.asarray(self.effective_sample_size)
        few = ~(sizes >= _FEWEST)
        if not few.any():
            return None
        return (
            f"Few particles fit what is known: the smallest effective sample size is "
            f"{sizes.min():.3g} (wanted: at least {_FEWEST:g}), too small for "
            f"{few.sum()} of {few.size} events. Do not trust these draws: {self.cure}"
        )


def complete_by_particles(
    distribution: Model,
    x: Any,
    mask: Any,
    n: int = 1,
    *,
    seed: Any = None,
    context: Any = None,
    num_particles: int = 1000,
) -> Particles:
    """Draws the unknown part of events of an `Autoregressive` model, any mask.

    As `complete`, with the effective sample size and the probability of what is known.
    Where the known units come first in the order, all weights are equal and the draws
    exact.

    Cost: the network's steps on num_particles times as many events as x holds, and
    again up to each position before which particles are resampled.

    Args:
      distribution: an `Autoregressive` model.
      x: events `[*batch, *event_shape]`; their unknown units may hold anything.
      mask: as for `complete`.
      n: draws for each event, those of one from the same particles.
      seed: as for `sample`.
      context: `[*batch', *context_shape]` for a conditional model.
      num_particles: of each event, at least 2; n if that is more.

    Returns:
      The draws and how far to trust them.

    Raises:
      ValueError: for another kind of model, too few particles, a known unit that is no
        value of the model, or an argument that does not fit.

    Examples:
      >>> from tfp_flows import flows
      >>> model = flows.pixel_cnn((4, 4, 1), 1, 8, num_values=2)
      >>> left = np.arange(4).reshape(1, 4, 1) < 2
      >>> complete_by_particles(model, tf.ones([4, 4, 1]), left, n=3, seed=1).x.shape
      TensorShape([3, 4, 4, 1])
    """
    if not isinstance(distribution, Autoregressive):
        raise ValueError(
            "complete_by_particles needs an Autoregressive model, got "
            f"{type(distribution).__name__}. Use complete, which has a way for others."
        )
    question = Question.of(distribution, x, mask, n, context)
    return completions(question, seed, num_particles)


def completions(question: Question, seed: Any, num_particles: int) -> Particles:
    """Returns the draws of a question to an `Autoregressive` model.

    Args:
      question: any mask.
      seed: as for `sample`.
      num_particles: as for `complete_by_particles`.
    """
    _check(question, num_particles)
    model, count = question.model, max(int(num_particles), question.n)
    batch = tf.cast(question.batch, tf.int32)
    if question.x.shape[0] == 0:
        none = tf.zeros(batch, model.real_dtype)
        return Particles(question.answer(question.x), none, none)
    cloud = _Cloud(question, count, seed)
    # Eager steps would have Python start every operation of every position.
    x, log_weights, ancestors, log_known = tf.function(cloud.run, autograph=False)()
    share, total = _shares(log_weights)
    chosen = _systematic(share, cloud.lots[:, -1:], question.n)  # [N, n]
    families = tf.math.unsorted_segment_sum(
        tf.reshape(share, [-1]), cloud.in_all(ancestors), tf.size(share)
    )
    size = 1.0 / tf.reduce_sum(tf.reshape(families, tf.shape(share)) ** 2, axis=1)
    x = tf.gather(x, cloud.in_all(chosen))
    x = tf.reshape(x, tf.stack([-1, question.n, *model.event_shape]))
    late = beginnings.come_late(question.known, model.network.order)
    advice = f" {beginnings.advice(question.known[late][0])}" if late.any() else ""
    return Particles(
        question.answer(tf.transpose(x, [1, 0, *range(2, x.shape.rank)])),
        tf.reshape(tf.where(tf.math.is_inf(total), tf.zeros_like(size), size), batch),
        tf.reshape(log_known + total - np.log(count), batch),
        f"give more particles.{advice}",
    )


class _Cloud:
    """P particles of each of N events, N P in all, with the noise that moves them."""

    def __init__(self, question, count, seed):
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

    def in_all(self, chosen):
        """Numbers `[N, ...]` of an event's particles -> among those of all, flat."""
        return tf.reshape(chosen + self.count * tf.range(self.num_rows)[:, None], [-1])

    def run(self):
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
        share, total = _shares(log_weights)
        poor = self._are_poor(log_weights) & (front < self.model.network.num_positions)
        lot = tf.gather(self.lots, [front], axis=1)
        chosen = _systematic(share, lot, self.count)
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
        network, element = self.model.network, self._element
        last = network.num_positions - 1
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
            params = tf.cast(params, self.model.real_dtype)
            params = tf.reshape(
                params, tf.concat([tf.shape(log_weights), params.shape[1:]], axis=0)
            )
            drawn = element.from_uniform(params, self._u[i])
            block = tf.where(self._known[i], self._events[i], drawn)
            block = tf.where(i < front, blocks[i], block)
            gain = self._gain(params, block, self._known[i])
            log_weights += tf.where(i < front, tf.zeros([], gain.dtype), gain)
            shown = tf.reshape(element.features(block, network.compute_dtype), shape)
            blocks = tf.tensor_scatter_nd_update(blocks, [[i]], block[None])
            return i + 1, shown, state, blocks, log_weights

        shown = tf.zeros(shape, network.compute_dtype)
        state = network.initial_state(shape[0], context)
        front, _, _, blocks, log_weights = tf.while_loop(
            goes_on,
            body,
            (tf.constant(0), shown, state, blocks, log_weights),
            parallel_iterations=1,
        )
        return front, blocks, log_weights

    def _gain(self, params, block, known):
        """Returns log p of the known units of a block, `[N, P]`."""
        zero = tf.zeros([], params.dtype)
        if self._element.block_size is not None:  # known as a whole, or not at all
            log_prob = self._element.log_prob(params, block)
            return tf.where(tf.reduce_all(known, axis=-1), log_prob, zero)
        log_prob = self._element.log_prob(params[..., None, :], block[..., None])
        return tf.reduce_sum(tf.where(known, log_prob, zero), axis=-1)

    def _are_poor(self, log_weights):
        """Whether an event's particles are worth less than half of them, `[N]`."""
        share, _ = _shares(log_weights)
        return self.count * tf.reduce_sum(share**2, axis=-1) > 2.0


def _shares(log_weights):
    """Returns weights `[N, P]` that sum to one, and the log of their sum before."""
    total = tf.reduce_logsumexp(log_weights, axis=-1)
    share = tf.exp(log_weights - total[:, None])
    # Where no particle explains what is known, all are as good.
    equal = tf.ones_like(share) / tf.cast(tf.shape(share)[-1], share.dtype)
    return tf.where(tf.math.is_inf(total)[:, None], equal, share), total


def _systematic(share, lot, n):
    """Chooses n of each row's particles, each about n times its share, `[N, n]`."""
    upper = tf.cumsum(share, axis=-1)
    places = (tf.cast(tf.range(n), share.dtype) + lot) / n
    places = tf.minimum(places, 1.0 - np.finfo(share.dtype.as_numpy_dtype).epsneg)
    return tf.searchsorted(upper / upper[:, -1:], places, side="right")


def _check(question, num_particles):
    if not isinstance(num_particles, numbers.Integral) or num_particles < 2:
        raise ValueError(
            f"Completion by particles needs num_particles >= 2, whose weights are "
            f"compared, got {num_particles!r}. Take 1000, or more if it warns."
        )
    model = question.model
    beginnings.check_whole(model, question.known, model.network.order)
    _, fits = model.element.supported(question.x, model.real_dtype)
    if fits is None or not tf.executing_eagerly():
        return
    wrong = (~fits.numpy() & question.known).reshape(len(fits), -1).any(axis=1)
    if wrong.any():
        raise ValueError(
            f"{model.name} has values from 0 to {model.num_values - 1}, and the known "
            f"units of the rows {np.flatnonzero(wrong)[:10].tolist()} hold others. "
            "Make the mask False there, or correct x."
        )
