"""Densities without samples: surrogates by reverse KL, and chains in their latents."""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

from tfp_flows import progress
from tfp_flows.distributions import Flow, markov_chains, noise

_LARGEST_PARETO_K = 0.7


@dataclasses.dataclass(frozen=True)
class Surrogate:
    """How near a flow has come to a target density, by importance weights.

    Args:
      losses: reverse KL of each step in nats, but for the target's log-normaliser.
      x: samples of the trained flow, `[N, *event_shape]`.
      log_weights: log target - log q of these, `[N]`.

    Examples:
      >>> found = Surrogate(np.zeros(3), np.zeros([100, 2]), np.zeros(100))
      >>> round(found.effective_sample_size)  # of equal weights
      100
    """

    losses: np.ndarray
    x: np.ndarray
    log_weights: np.ndarray

    @property
    def effective_sample_size(self) -> float:
        """How many samples of the target the weighted ones are worth (Kish)."""
        log_weights = self.log_weights
        twice = special.logsumexp(2 * log_weights)
        return float(np.exp(2 * special.logsumexp(log_weights) - twice))

    @property
    def log_normalizer(self) -> float:
        """Log of the target's integral, estimated by the mean weight."""
        return float(special.logsumexp(self.log_weights) - np.log(len(self.x)))

    @functools.cached_property
    def pareto_k(self) -> float:
        """Shape of the weights' tail, by ArviZ: above 0.7 do not trust them [1].

        References:
          [1] Vehtari, Simpson, Gelman, Yao, Gabry. Pareto smoothed importance
              sampling. JMLR 25, 2024. arXiv:1507.02646
        """
        try:
            from arviz_stats.base import array_stats
        except ModuleNotFoundError as error:
            raise ImportError(
                "pareto_k needs ArviZ, which is not installed. Install the extra: pip "
                "install 'tfp_flows[infer]' (Python 3.11 or newer)."
            ) from error
        return float(array_stats.psislw(self.log_weights)[1])

    def problem(self) -> str | None:
        """Returns what is wrong with the surrogate in a sentence, or None."""
        if self.pareto_k <= _LARGEST_PARETO_K:
            return None
        return (
            f"The surrogate is not near the target: Pareto-k is {self.pareto_k:.2g} "
            f"(wanted: at most {_LARGEST_PARETO_K}), {len(self.x)} samples are worth "
            f"{self.effective_sample_size:.0f}. Take more steps or a larger flow, or "
            "correct it by tasks.neutra."
        )


def surrogate(
    target_log_prob: Callable[[tf.Tensor], tf.Tensor],
    flow: Flow,
    *,
    num_steps: int = 1000,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    num_samples: int = 2000,
    jit_compile: bool = True,
    seed: int = 0,
) -> Surrogate:
    """Trains a flow to be near a density that is known but for a constant.

    minimises E_q[log q(x) - log target(x)], the reverse KL, by Adam with a learning
    rate that falls to 0 (cosine)

    Reverse KL leaves out modes rather than to cover what is between them: importance
    weights see too light a tail, but not a mode without any sample.

    Args:
      target_log_prob: x `[B, *event_shape]` -> `[B]`, nats, in TensorFlow.
      flow: without a context, whose samples have gradients; it is changed in place.
      num_steps: of the optimizer.
      batch_size: samples of a step.
      learning_rate: at the first step.
      num_samples: for the importance weights.
      jit_compile: False if the target cannot be compiled by XLA.
      seed: of the samples.

    Raises:
      ValueError: if the flow, the target or a number cannot be used, or the target is
        not finite.

    Examples:
      >>> from tfp_flows import flows
      >>> normal = lambda x: -0.5 * tf.reduce_sum((x - 1.0) ** 2, axis=-1)
      >>> flow = flows.real_nvp((2,), 2, (8,))
      >>> found = surrogate(normal, flow, num_steps=50, learning_rate=0.02)
      >>> found.effective_sample_size > 500  # of 2,000
      True

    References:
      [1] Rezende, Mohamed. Variational inference with normalizing flows. ICML 2015.
          arXiv:1505.05770
    """
    _check(flow, "surrogate", num_steps, batch_size, num_samples)
    _check_target(target_log_prob, flow, seed)
    weights = flow.trainable_variables
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, num_steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(weights)

    @tf.function(autograph=False, jit_compile=jit_compile)
    def step(seed):
        with tf.GradientTape() as tape:
            x = flow.sample(batch_size, seed=seed)
            loss = tf.reduce_mean(flow.log_prob(x) - target_log_prob(x))
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    salted = noise.salted(seed, "surrogate")[:2]
    losses = []
    for i in progress.steps(range(num_steps), "surrogate"):
        losses.append(float(step(salted + tf.constant([i, 0]))))
        if not np.isfinite(losses[-1]):
            raise ValueError(
                f"The reverse KL is {losses[-1]} at step {i}: the target density is 0 "
                "or not a number where the flow has samples. Give the flow the "
                "target's support by a bijector, or a smaller learning rate."
            )
    x = flow.sample(num_samples, seed=salted)
    log_weights = target_log_prob(x) - flow.log_prob(tf.identity(x))
    return Surrogate(np.array(losses), x.numpy(), np.asarray(log_weights, np.float64))


def neutra(
    target_log_prob: Callable[[tf.Tensor], tf.Tensor],
    flow: Flow,
    n: int = 1000,
    *,
    num_chains: int = 4,
    num_warm_up: int = 500,
    num_steps: int = 500,
    max_tree_depth: int = 8,
    seed: int = 0,
) -> markov_chains.Draws:
    """Samples a density by chains in the latent space of a flow that is near it [1].

    z -> log target(x(z)) + log|det dx/dz| is near to normal where the flow is near to
    the target, and easy for the No-U-Turn sampler; the draws are the target's own
    however far the flow is.

    Args:
      target_log_prob: x `[B, *event_shape]` -> `[B]`, nats, in TensorFlow.
      flow: without a context, such as one trained by `surrogate`.
      n: number of draws, taken evenly from all steps of all chains.
      num_chains: at least 2; they begin at samples of the flow.
      num_warm_up: steps in which the step size is adapted, not returned.
      num_steps: of each chain after that; more if n asks for more.
      max_tree_depth: doublings of a trajectory.
      seed: of the chains.

    Returns:
      The draws `[n, *event_shape]` and the measures of x's units.

    Raises:
      ValueError: if the flow, the target or a number cannot be used.

    Examples:
      >>> from tfp_flows import flows
      >>> normal = lambda x: -0.5 * tf.reduce_sum((x - 1.0) ** 2, axis=-1)
      >>> flow = flows.real_nvp((2,), 2, (8,))
      >>> neutra(normal, flow, 100).x.shape  # doctest: +SKIP
      TensorShape([100, 2])

    References:
      [1] Hoffman, Sountsov, Dillon, Langmore, Tran, Vasudevan. NeuTra-lizing bad
          geometry in Hamiltonian Monte Carlo using neural transport. 2019.
          arXiv:1903.03704
    """
    _check(flow, "neutra", n)
    markov_chains.check_lengths(
        "neutra", num_chains, num_warm_up, num_steps, max_tree_depth
    )
    _check_beginnings(target_log_prob, flow, seed)
    seeds = tfp.random.split_seed(noise.salted(seed, "neutra")[:2], 2)
    start = flow.distribution.sample(num_chains, seed=seeds[0])
    latent = start.shape[1:].as_list()

    def log_prob(z):  # [chains, 1, D]
        x, log_det = flow.decode_and_log_det(tf.reshape(z, [-1, *latent]))
        return tf.reshape(target_log_prob(x) + log_det, tf.shape(z)[:2])

    states, accepted = markov_chains.run(
        log_prob,
        tf.reshape(start, [num_chains, 1, -1]),
        seeds[1],
        num_warm_up,
        max(num_steps, -(-n // num_chains)),
        max_tree_depth,
    )
    x = flow.decode(tf.reshape(states, [-1, *latent]))
    x = tf.reshape(x, [*states.shape[:2], *x.shape[1:]])
    return markov_chains.Draws(
        markov_chains.evenly(x, n), *markov_chains.convergence(x), accepted[0]
    )


def _check_beginnings(target_log_prob, flow, seed):
    """Refuses a target that is nowhere positive where chains begin."""
    if not np.isfinite(_check_target(target_log_prob, flow, seed)).any():
        raise ValueError(
            "The target density is 0 or not a number at all samples of the flow that "
            "were tried, where chains begin. Give the flow the target's support by a "
            "bijector, or train it by tasks.surrogate."
        )


def _check(flow, owner, *numbers):
    if not isinstance(flow, Flow) or flow.context_shape is not None:
        raise ValueError(
            f"tasks.{owner} needs a Flow of real events without a context, got "
            f"{type(flow).__name__}. Take real_nvp, iaf or neural_spline, without "
            "num_values and context_shape."
        )
    if min(numbers) < 1:
        raise ValueError(
            f"tasks.{owner} needs positive numbers, got {min(numbers)} among them."
        )


def _check_target(target_log_prob, flow, seed):
    """Refuses what is no log-density with a gradient; returns some values of it."""
    if not callable(target_log_prob):
        raise ValueError(
            "The target is a function of events [N, *event_shape], got "
            f"{target_log_prob!r}. Give its log-density, such as target.log_prob."
        )
    count = 1 + (flow.event_shape or [1])[-1]  # no other axis is of that length
    x = tf.identity(flow.sample(count, seed=noise.salted(seed, "target")[:2]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = target_log_prob(x)
    shape = None if value is None else tuple(np.shape(value))
    if shape != (count,):
        raise ValueError(
            f"For {count} events the target gives shape {shape}. It must give one "
            f"log-density for each, ({count},): sum over the event's axes."
        )
    if not tf.is_tensor(value) or tape.gradient(value, x) is None:
        raise ValueError(
            "The target has no gradient, which the samples follow. Write it in "
            "TensorFlow, without rounding or NumPy."
        )
    return value
