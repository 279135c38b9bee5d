"""Evolution: for black boxes, and for integers without a code."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import progress
from tfp_flows.tasks.problem import Judged, Problem

# What is not allowed costs more than anything that is: events are compared by their
# violation first (Deb, 2000). In float64, which still tells small violations apart.
_NOT_ALLOWED = 1e6


def evolve(problem: Problem, starts: tf.Tensor, num_steps: int) -> tf.Tensor:
    """Moves a population of codes by differential evolution.

    Args:
      problem: to solve, of a model with a code.
      starts: events `[P, *event_shape]`, the first population.
      num_steps: generations.

    Returns:
      The last population, `[P, *event_shape]`.
    """
    first = problem.asked.encode(starts)

    def events(codes):
        return problem.asked.decode(tf.cast(codes, first.dtype))

    seed = int(problem.seed[0]) & 0x7FFFFFFF  # TFP wants a Python integer

    # In a graph of its own, TFP's noise is a function of the seed alone.
    @tf.function(autograph=False)
    def last_population(codes):
        found = tfp.optimizer.differential_evolution_minimize(
            lambda codes: _cost(problem.judge(events(codes))),
            initial_population=codes,
            max_iterations=num_steps,
            seed=seed,
        )
        return events(found.final_population)

    return last_population(tf.cast(first, tf.float64))


def recombine(problem: Problem, starts: tf.Tensor, num_steps: int) -> tf.Tensor:
    """Replaces some units of events by those of others and of samples of the model.

    A child takes its parent's place if it costs less. Nothing is asked of the model
    but samples and their probabilities, so that it serves integers without a code.

    Args:
      problem: to solve.
      starts: events `[P, *event_shape]`, the first population.
      num_steps: generations.

    Returns:
      The last population, `[P, *event_shape]`.
    """
    rng = np.random.default_rng(problem.seed.numpy().astype(np.uint32))
    events, samples = starts.numpy(), problem.samples.numpy()
    count, others = len(events), (1,) * (events.ndim - 1)
    costs = _cost(problem.judge(starts)).numpy()
    for _ in progress.steps(range(num_steps), "generations"):
        fresh = rng.random((count, *others)) < 0.5
        donors = np.where(
            fresh, samples[rng.integers(len(samples), size=count)],
            events[rng.integers(count, size=count)],
        )  # fmt: skip
        # Few units or many: the share is drawn anew for each child.
        taken = rng.random(events.shape) < rng.random((count, *others)) ** 2
        children = np.where(taken, donors, events)
        child_costs = _cost(problem.judge(tf.constant(children))).numpy()
        better = child_costs < costs
        events = np.where(better.reshape(-1, *others), children, events)
        costs = np.where(better, child_costs, costs)
    return tf.constant(events)


def _cost(judged: Judged):
    """One number to minimise, `[N]` in float64."""
    objective = tf.cast(judged.objective, tf.float64)
    violation = tf.cast(judged.violation, tf.float64)
    cost = tf.where(violation > 0, _NOT_ALLOWED + violation, -objective)
    return tf.where(tf.math.is_nan(cost), tf.constant(np.inf, cost.dtype), cost)
