"""Markov chains complete events of any flow: the No-U-Turn sampler.

p(x[u] | x[k]) ~ p(x[u], x[k]), so the flow's own log_prob is all that a chain needs.
Unknown units move in the scale of the model's samples, w = (x[u] - mean) / deviation.
For flows of integers everything moves: unknown units as numbers that are rounded down
in the end, and known ones inside of their cells, x[k] + sigmoid(w), so that the noise
of dequantization is integrated over and not fixed.

Chains begin at those samples of the model whose known units are nearest to the given
ones, each at another one. Whether they have met in the end is measured: a density with
modes far apart keeps them apart, and then their draws are not to be trusted.
"""

import math
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import markov_chains, noise
from tfp_flows.distributions.completion.question import Question
from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.model import Model

_CANDIDATES = 64  # samples a chain from which beginnings are taken
_CURE = (
    "give complete_by_chains more steps, or train flows.any_order or an "
    "autoregressive model, whose completions are exact"
)


def complete_by_chains(
    distribution: Model,
    x: Any,
    mask: Any,
    n: int = 1,
    *,
    seed: Any = None,
    context: Any = None,
    num_chains: int = 4,
    num_warm_up: int = 500,
    num_steps: int = 500,
    max_tree_depth: int = 6,
) -> markov_chains.Draws:
    """Draws the unknown part of events of any flow by the No-U-Turn sampler [1].

    As `complete`, with the measures of convergence and the lengths of the chains. The
    n draws are taken evenly from all steps of all chains: neighbours among them may
    depend on each other.

    Cost: gradients of the flow, up to 2^max_tree_depth for each of the steps, on
    num_chains times as many events as x holds.

    Args:
      distribution: a `Flow`, or a `Dequantized` one.
      x: events `[*batch, *event_shape]`; their unknown units may hold anything.
      mask: as for `complete`.
      n: draws for each event.
      seed: as for `sample`.
      context: `[*batch', *context_shape]` for a conditional model.
      num_chains: of each event, at least 2.
      num_warm_up: steps in which the step size is adapted, not returned.
      num_steps: of each chain after that; more if n asks for more.
      max_tree_depth: doublings of a trajectory.

    Returns:
      The draws and their diagnostics.

    Raises:
      ValueError: for another kind of model, a number too small, or an argument that
        does not fit.

    Examples:
      >>> found = complete_by_chains(flow, x, mask, n=3)  # doctest: +SKIP
      >>> found.problem() is None  # doctest: +SKIP
      True

    References:
      [1] Hoffman, Gelman. The No-U-Turn sampler. JMLR 15, 2014. arXiv:1111.4246
    """
    lengths = (num_chains, num_warm_up, num_steps, max_tree_depth)
    markov_chains.check_lengths("complete_by_chains", *lengths)
    question = Question.of(distribution, x, mask, n, context)
    return _completions(question, seed, *lengths)


def checked(question: Question, seed: Any) -> tf.Tensor:
    """Returns the rows of all draws, and warns if the chains have not met.

    Args:
      question: any mask.
      seed: as for `sample`.

    Returns:
      `[n * N, *event_shape]`.

    Raises:
      ValueError: if the model has no flow inside.
    """
    _check(question.model)
    if question.known.all():
        return question.tiled().x
    if not question.known.any():
        given = {} if question.context is None else {"context": question.context}
        shape = [question.n] if given else [question.n * question.num_rows]
        drawn = question.model.sample(shape, seed=seed, **given)
        return tf.reshape(drawn, [-1, *question.model.event_shape])
    found = _completions(question, seed, 4, 500, 500, 6)
    if tf.executing_eagerly():
        problem = found.problem()
        if problem is not None:
            warnings.warn(problem, stacklevel=4)
    return tf.reshape(found.x, [-1, *question.model.event_shape])


def _check(model):
    if not isinstance(model, (Flow, Dequantized)):
        raise ValueError(
            f"complete has no way for {type(model).__name__} {model.name!r}: it needs "
            "an autoregressive model, or a flow whose log_prob is a density of x "
            "alone. flows.any_order completes every mask of integers exactly."
        )
    if model.flow.distribution.event_shape != model.flow.event_shape:
        raise ValueError(
            f"{model.name} has events {model.flow.event_shape} with fewer free "
            "numbers, as entries of a simplex sum to one, which chains would leave. "
            "Complete a model of log-ratios of the entries instead."
        )


def _completions(question, seed, num_chains, num_warm_up, num_steps, depth):
    _check(question.model)
    target = _Target(question)
    num_steps = max(num_steps, math.ceil(question.n / num_chains))
    seed = noise.salted(seed, "completion")[:2]
    seeds = tfp.random.split_seed(seed, 2)
    start = target.begin(num_chains, seeds[0])
    states, acceptance = markov_chains.run(
        target.log_prob, start, seeds[1], num_warm_up, num_steps, depth
    )
    r_hat, size = markov_chains.convergence(states)
    drawn = target.events(markov_chains.evenly(states, question.n))
    shape = question.model.event_shape.as_list()
    batch = tf.concat([tf.cast(question.batch, tf.int32), shape], axis=0)
    none = tf.constant(math.nan, target.dtype)
    known = target.known
    return markov_chains.Draws(
        question.answer(drawn),
        tf.reshape(tf.where(known, none, r_hat), batch),
        tf.reshape(tf.where(known, none, size), batch),
        tf.reshape(acceptance, tf.cast(question.batch, tf.int32)),
        _CURE,
    )


class _Target:
    """The density of the free numbers w, `[..., N, D]`, of a question's events."""

    def __init__(self, question):
        self.question, self.flow = question, question.model.flow
        self.dtype = self.flow.dtype
        self._shape = question.model.event_shape.as_list()
        size = int(np.prod(self._shape))
        self.known = question.known.reshape([-1, size])
        self._is_whole = question.model.num_values is not None
        self._x = tf.cast(tf.reshape(question.x, [-1, size]), self.dtype)
        self._mean, self._deviation = tf.zeros([]), tf.ones([])

    def begin(self, num_chains, seed):
        """Returns where the chains begin, `[chains, N, D]`, and learns the scale."""
        context = self.question.context
        given = {} if context is None else {"context": context}
        count = _CANDIDATES * num_chains
        samples = self.flow.sample(count, seed=seed, **given)
        samples = tf.reshape(samples, [count, -1, self._x.shape[-1]])
        self._mean = tf.reduce_mean(samples, axis=0)
        self._deviation = tf.math.reduce_std(samples, axis=0)
        w = (samples - self._mean) / self._deviation
        aim = (self._x - self._mean) / self._deviation  # [N, D]
        far = tf.where(self.known, (w - aim) ** 2, tf.zeros([], self.dtype))
        nearest = tf.math.top_k(-tf.transpose(tf.reduce_sum(far, -1)), num_chains)
        chosen = tf.transpose(nearest.indices)  # [chains, N]
        w = tf.broadcast_to(w, [count, *tf.unstack(tf.shape(self._x))])
        found = tf.gather(
            tf.transpose(w, [1, 0, 2]), tf.transpose(chosen), batch_dims=1
        )
        return tf.where(
            self.known, tf.zeros([], self.dtype), tf.transpose(found, [1, 0, 2])
        )

    def log_prob(self, w):
        """Returns log p(x[u], x[k]) up to a constant, `[...]` without the last axis."""
        y = self._numbers(w)
        batch = tf.shape(y)[:-1]
        given = {}
        if self.question.context is not None:
            given["context"] = self.question.context
        value = self.flow.log_prob(
            tf.reshape(y, tf.concat([batch, self._shape], axis=0)), **given
        )
        # Known units are free numbers of their own, or places in their cells.
        own = -0.5 * w**2
        if self._is_whole:
            own = tf.math.log_sigmoid(w) + tf.math.log_sigmoid(-w)
        own = tf.where(self.known, own, tf.zeros([], self.dtype))
        return value + tf.reduce_sum(own, axis=-1)

    def _numbers(self, w):
        known = self._x + tf.sigmoid(w) if self._is_whole else self._x
        return tf.where(self.known, known, self._mean + self._deviation * w)

    def events(self, w):
        """Returns the events of w `[n, N, D]`, as rows of the model's dtype."""
        y = self._numbers(w)
        if self._is_whole:
            highest = self.question.model.num_values - 1
            y = tf.clip_by_value(tf.floor(y), 0.0, tf.cast(highest, y.dtype))
        y = tf.where(self.known, self._x, y)
        return tf.cast(y, self.question.model.dtype)
