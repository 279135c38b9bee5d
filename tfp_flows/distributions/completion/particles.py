"""Particles complete events of autoregressive models whose order does not suit a mask.

Weighted events that a `Cloud` moves are draws of p(rest | known) as their number grows.
How far they are from it their ancestors tell [1]: particles with the same one have the
same beginning.

References:
  [1] Lee, Whiteley. Variance estimation in the particle filter. Biometrika 105, 2018.
      arXiv:1509.00394
"""

import numbers
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.autoregressive import Autoregressive
from tfp_flows.distributions.completion import beginnings
from tfp_flows.distributions.completion.cloud import Cloud, shares, systematic
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
    question = Question.of(distribution, x, mask, n, context)
    if not isinstance(question.model, Autoregressive):
        raise ValueError(
            "complete_by_particles needs an Autoregressive model, got "
            f"{type(question.model).__name__}. Use complete, which knows other ways."
        )
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
    cloud = Cloud(question, count, seed)
    # Eager steps would have Python start every operation of every position. Traced for
    # this question alone, which a call of the function would take for a mistake.
    run = tf.function(cloud.run, autograph=False).get_concrete_function()
    x, log_weights, ancestors, log_known = run()
    share, total = shares(log_weights)
    chosen = systematic(share, cloud.lots[:, -1:], question.n)  # [N, n]
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


def _check(question, num_particles):
    if not isinstance(num_particles, numbers.Integral) or num_particles < 2:
        raise ValueError(
            f"Completion by particles needs num_particles >= 2, whose weights are "
            f"compared, got {num_particles!r}. Take 1000, or more if it warns."
        )
    model = question.model
    beginnings.check_whole(model, question.known, model.network.order)
