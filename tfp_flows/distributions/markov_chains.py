"""Markov chains by the No-U-Turn sampler, and how far to trust them."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import progress

_LARGEST_R_HAT = 1.05
_FEWEST_DRAWS = 100  # effective ones, of all chains together
_ACCEPTED = 0.8  # share that step sizes aim at, as in Stan
_PARTS = 10  # of a run, each an update of its bar


class Draws(NamedTuple):
    """Draws of Markov chains, and how far to trust them.

    What does not move, such as the known units of a completion, has NaN for its R-hat
    and its effective sample size.

    Attributes:
      x: `[n, *batch, *event_shape]`.
      r_hat: `[*batch, *event_shape]`, potential scale reduction of each unit over
        split chains, 1 if they have met.
      effective_sample_size: `[*batch, *event_shape]`, how many independent draws all
        steps of all chains are worth.
      acceptance: `[*batch]`, mean acceptance probability.
      cure: what to do if they cannot be trusted, a clause.

    Examples:
      >>> draws = Draws(np.zeros([10, 2]), np.ones(2), np.full(2, 400.0), 0.8, "wait")
      >>> draws.problem() is None
      True
    """

    x: tf.Tensor
    r_hat: tf.Tensor
    effective_sample_size: tf.Tensor
    acceptance: tf.Tensor
    cure: str = "give more steps or chains; modes may be far apart"

    def problem(self) -> str | None:
        """Returns what is wrong with them in a sentence, or None."""
        r_hat, size = np.asarray(self.r_hat), np.asarray(self.effective_sample_size)
        known = np.isnan(size) & np.isnan(r_hat)
        if known.all():
            return None
        worst = np.where(known, -np.inf, np.nan_to_num(r_hat, nan=np.inf)).max()
        fewest = np.where(known, np.inf, np.nan_to_num(size, nan=0.0)).min()
        if worst <= _LARGEST_R_HAT and fewest >= _FEWEST_DRAWS:
            return None
        return (
            f"The chains have not met: the largest R-hat is {worst:.3g} (wanted: at "
            f"most {_LARGEST_R_HAT}), the smallest effective sample size {fewest:.3g} "
            f"(wanted: at least {_FEWEST_DRAWS}). Do not trust these draws: "
            f"{self.cure}."
        )


def check_lengths(owner: str, num_chains: int, *lengths: int) -> None:
    """Refuses too few chains to compare, and no steps.

    Args:
      owner: whose arguments they are.
      num_chains: of each problem.
      *lengths: num_warm_up, num_steps and max_tree_depth.

    Raises:
      ValueError: saying what came.
    """
    if num_chains < 2 or min(lengths) < 1:
        raise ValueError(
            f"{owner} needs num_chains >= 2, which are compared, and "
            "num_warm_up, num_steps and max_tree_depth >= 1, got "
            f"{', '.join(map(str, (num_chains, *lengths)))}."
        )


def run(
    log_prob: Callable[[tf.Tensor], tf.Tensor],
    start: tf.Tensor,
    seed: tf.Tensor,
    num_warm_up: int,
    num_steps: int,
    max_tree_depth: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs chains of N problems side by side, each with a step size of its own [1].

    Args:
      log_prob: `[chains, N, D]` -> `[chains, N]`, up to a constant.
      start: where the chains begin, `[chains, N, D]`, real numbers in units of about
        their standard deviations.
      seed: integers `[2]`.
      num_warm_up: steps in which the step size is adapted, not returned, or a few more.
      num_steps: of each chain after that.
      max_tree_depth: doublings of a trajectory.

    Returns:
      States `[steps, chains, N, D]` and the mean acceptance probability `[N]`.

    Examples:
      >>> normal = lambda w: -0.5 * tf.reduce_sum(w**2, axis=-1)
      >>> states, accepted = run(normal, tf.zeros([2, 3, 1]), [0, 1], 10, 20, 4)
      >>> states.shape, accepted.shape
      (TensorShape([20, 2, 3, 1]), TensorShape([3]))

    References:
      [1] Hoffman, Gelman. The No-U-Turn sampler. JMLR 15, 2014. arXiv:1111.4246
    """
    kernel = _kernel(log_prob, start, num_warm_up, max_tree_depth)
    is_eager = tf.executing_eagerly()
    count = _PARTS if is_eager else 1
    begin = kernel.bootstrap_results
    advance = functools.partial(
        _advance, kernel, -(-(num_warm_up + num_steps) // count)
    )
    if is_eager:
        # A chain is many small gradients, one after the other: XLA starts them ten
        # times as fast as a graph does, whatever the network.
        begin, advance = (
            tf.function(f, autograph=False, jit_compile=True) for f in (begin, advance)
        )
    state, results = start, begin(start)
    found = []
    seeds = tfp.random.split_seed(seed, count)
    for part in progress.steps(range(count), "Markov chains"):
        states, log_accept, results = advance(state, results, seeds[part])
        state = states[-1]
        found.append((states, log_accept))
    states, log_accept = (
        tf.concat(parts, axis=0)[-num_steps:] for parts in zip(*found, strict=True)
    )
    accepted = tf.exp(tf.minimum(log_accept, 0.0))
    return states, tf.reduce_mean(accepted, axis=[0, 1])


def _advance(kernel, num_steps, state, results, seed):
    """Returns states, logs of acceptance ratios, and where to go on."""
    return tfp.mcmc.sample_chain(
        num_steps,
        state,
        results,
        kernel,
        trace_fn=lambda _, results: results.inner_results.log_accept_ratio,
        return_final_kernel_results=True,
        seed=seed,
        parallel_iterations=1,
    )


def _kernel(log_prob, start, num_warm_up, max_tree_depth):
    one = tf.fill([1, tf.shape(start)[1], 1], tf.constant(0.1, start.dtype))
    kernel = tfp.mcmc.NoUTurnSampler(log_prob, one, max_tree_depth=max_tree_depth)
    return tfp.mcmc.DualAveragingStepSizeAdaptation(
        kernel,
        num_adaptation_steps=int(0.8 * num_warm_up),
        target_accept_prob=tf.constant(_ACCEPTED, start.dtype),
    )


def convergence(states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns split R-hat and the effective sample size of each number.

    Args:
      states: `[steps, chains, ...]`.

    Returns:
      Both `[...]`; all chains together for the second.
    """
    r_hat = tfp.mcmc.potential_scale_reduction(states, 1, split_chains=True)
    return r_hat, tfp.mcmc.effective_sample_size(states, cross_chain_dims=1)


def evenly(states: tf.Tensor, n: int) -> tf.Tensor:
    """Returns n draws from evenly spaced steps of all chains, `[n, ...]`.

    Args:
      states: `[steps, chains, ...]`.
      n: at most steps x chains.
    """
    total = states.shape[0] * states.shape[1]
    # Draw i of a chain before draw i + 1 of the others, from evenly spaced steps.
    chosen = np.arange(n) * total // n
    shape = tf.concat([[total], tf.shape(states)[2:]], axis=0)
    return tf.gather(tf.reshape(states, shape), chosen)
