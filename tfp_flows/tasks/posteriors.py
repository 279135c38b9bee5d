"""Posteriors that Markov chains sample: a learnt likelihood times a prior."""

import math
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import Model, markov_chains, noise
from tfp_flows.tasks.simulations import to_support

tfd = tfp.distributions

_CANDIDATES = 64  # draws of the prior for each chain, among which it begins


class ByChains:
    """p(theta | x) ~ p(x | theta) p(theta), up to a constant, sampled by chains.

    The chains move where the prior's bijector maps its support to, and begin at draws
    of the prior, taken as likely as they make the observation.

    Shapes: x `[*batch, *event_shape]` gives batch shape `[*batch]`.

    Args:
      likelihood: p(x | theta), conditional on theta.
      prior: of theta.
      observation: x.

    Examples:
      >>> from tfp_flows import flows
      >>> model = flows.maf((2,), 1, (8,), context_shape=(1,))
      >>> prior = tfd.Sample(tfd.Uniform(-1.0, 1.0), 1)
      >>> posterior = ByChains(model, prior, tf.zeros([3, 2]))
      >>> posterior.chains(10, num_steps=20, num_warm_up=20, seed=1).x.shape
      TensorShape([10, 3, 1])
    """

    def __init__(self, likelihood: Model, prior: tfd.Distribution, observation: Any):
        self._likelihood, self._prior = likelihood, prior
        self._x = tf.cast(observation, likelihood.real_dtype)
        self._to_support = to_support(prior)
        free = self._to_support.inverse_event_shape(prior.event_shape)
        self._free = free.as_list()

    @property
    def batch_shape(self) -> tf.TensorShape:
        """Shape of the observations' batch."""
        rank = len(self._likelihood.event_shape)
        return self._x.shape[: self._x.shape.rank - rank]

    @property
    def event_shape(self) -> tf.TensorShape:
        """Shape of theta."""
        return self._prior.event_shape

    def unnormalized_log_prob(self, theta: Any) -> tf.Tensor:
        """Returns log p(x | theta) + log p(theta), nats: the evidence is not known.

        Args:
          theta: `[..., *batch, *event_shape]`.
        """
        theta = tf.cast(theta, self._prior.dtype)
        return self._likelihood.log_prob(self._x, context=theta) + self._prior.log_prob(
            theta
        )

    def sample(self, n: int = 1, seed: Any = None) -> tf.Tensor:
        """Returns n draws `[n, *batch, *event_shape]`, and warns if chains disagree.

        Args:
          n: number of draws, from as many steps of four chains as that takes.
          seed: Python integer or integers `[2]`.
        """
        found = self.chains(n, seed=seed)
        problem = found.problem()
        if problem is not None:
            warnings.warn(problem, stacklevel=2)
        return found.x

    def chains(
        self,
        n: int,
        *,
        num_chains: int = 4,
        num_warm_up: int = 500,
        num_steps: int = 500,
        max_tree_depth: int = 6,
        seed: Any = None,
    ) -> markov_chains.Draws:
        """Returns draws with their measures of convergence.

        Args:
          n: number of draws, taken evenly from all steps of all chains.
          num_chains: of each observation, at least 2.
          num_warm_up: steps in which the step size is adapted, not returned.
          num_steps: of each chain after that; more if n asks for more.
          max_tree_depth: doublings of a trajectory.
          seed: Python integer or integers `[2]`.

        Raises:
          ValueError: for a number too small.
        """
        lengths = (num_warm_up, num_steps, max_tree_depth)
        markov_chains.check_lengths("chains", num_chains, *lengths)
        num_steps = max(num_steps, math.ceil(n / num_chains))
        seeds = tfp.random.split_seed(noise.salted(seed, "posterior")[:2], 2)
        start = self._begin(num_chains, seeds[0])
        states, acceptance = markov_chains.run(
            self._density, start, seeds[1], num_warm_up, num_steps, max_tree_depth
        )
        theta = self._parameters(states)
        batch = [*self.batch_shape, *self.event_shape]
        r_hat, size = markov_chains.convergence(theta)
        drawn = tf.reshape(markov_chains.evenly(theta, n), [n, *batch])
        return markov_chains.Draws(
            drawn,
            tf.reshape(r_hat, batch),
            tf.reshape(size, batch),
            tf.reshape(acceptance, self.batch_shape),
        )

    def _rows(self):
        return tf.reshape(self._x, [-1, *self._likelihood.event_shape])

    def _parameters(self, u):
        """Theta `[..., *event_shape]` of free numbers `[..., D]`."""
        shape = tf.concat([tf.shape(u)[:-1], self._free], axis=0)
        return self._to_support.forward(tf.reshape(u, shape))

    def _density(self, u):
        """Of the free numbers u `[chains, N, D]` -> `[chains, N]`."""
        shape = tf.concat([tf.shape(u)[:-1], self._free], axis=0)
        free = tf.reshape(u, shape)
        theta = self._to_support.forward(free)
        log_det = self._to_support.forward_log_det_jacobian(free, len(self._free))
        likelihood = self._likelihood.log_prob(self._rows(), context=theta)
        return likelihood + self._prior.log_prob(theta) + log_det

    def _begin(self, num_chains, seed):
        """Draws of the prior `[chains, N, D]`, resampled by their likelihood."""
        seeds = tfp.random.split_seed(seed, 2)
        theta = self._prior.sample(_CANDIDATES * num_chains, seed=seeds[0])
        likelihood = self._likelihood.log_prob(self._rows()[:, None], context=theta)
        chosen = tf.random.stateless_categorical(likelihood, num_chains, seeds[1])
        u = self._to_support.inverse(tf.identity(theta))
        u = tf.reshape(u, [len(theta), int(np.prod(self._free))])
        return tf.gather(u, tf.transpose(chosen))
