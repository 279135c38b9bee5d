"""Simulations: parameters of a prior and what a simulator makes of them, checked."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import Simplex
from tfp_flows.distributions import noise

tfd = tfp.distributions


class Simulations(NamedTuple):
    """Pairs of parameters and observations.

    Attributes:
      theta: parameters `[N, *theta]`, in the dtype of the prior.
      x: observations `[N, *x]`, in the same dtype.
      num_dropped: how many others were dropped since they were not finite.

    Examples:
      >>> pairs = simulate(np.sin, tfd.Sample(tfd.Normal(0.0, 1.0), 2), 5)
      >>> pairs.theta.shape, pairs.num_dropped
      ((5, 2), 0)
    """

    theta: np.ndarray
    x: np.ndarray
    num_dropped: int


def simulate(
    simulator: Callable[[np.ndarray], Any],
    prior: tfd.Distribution,
    n: int,
    *,
    drop_invalid: bool = False,
    seed: int = 0,
) -> Simulations:
    """Draws parameters from the prior and simulates an observation for each.

    Args:
      simulator: `[N, *theta]` -> `[N, *x]`, an observation for each row of parameters;
        gets a NumPy array, and may be TensorFlow, NumPy or plain Python.
      prior: of one real tensor, without batch dimensions.
      n: number of simulations.
      drop_invalid: whether simulations that hold NaN or infinity are left out. What is
        learnt then is the posterior given that a simulation is valid, which is the
        right one for every valid observation.
      seed: of the parameters; the simulator's own randomness is its own.

    Raises:
      ValueError: if the prior has another form or is improper, if the observations are
        not one numeric row each, or not all are finite.

    Examples:
      >>> prior = tfd.Sample(tfd.Uniform(0.0, 1.0), 2)
      >>> noisy = lambda theta: theta + np.random.randn(*theta.shape)
      >>> pairs = simulate(noisy, prior, 5)
      >>> pairs.theta.shape, pairs.x.shape, pairs.x.dtype
      ((5, 2), (5, 2), dtype('float32'))
    """
    check_prior(prior)
    if n < 1:
        raise ValueError(f"simulate needs n of at least 1, got {n}.")
    theta = prior.sample(n, seed=noise.salted(seed, "simulate")[:2])
    densities = prior.log_prob(theta).numpy()
    theta = theta.numpy()
    if not (np.isfinite(theta).all() and np.isfinite(densities).all()):
        raise ValueError(
            f"The prior {prior.name!r} is improper: samples of it, or their "
            "log-densities, are not finite. Give it finite bounds or scales."
        )
    x = np.asarray(simulator(theta.copy()))  # which may compute in place
    if x.ndim < 2 or len(x) != n or x.dtype.kind not in "biuf":
        raise ValueError(
            f"The simulator got parameters of shape {theta.shape} and returned shape "
            f"{x.shape}, {x.dtype}. It must return numbers [N, *x], a row for each "
            "row of parameters; single numbers as [N, 1]."
        )
    x = x.astype(theta.dtype)
    finite = np.isfinite(x).reshape(n, -1).all(axis=1)
    if not finite.all() and not (drop_invalid and finite.any()):
        raise ValueError(
            f"{np.sum(~finite)} of {n} simulations hold NaN or infinity, the first one "
            f"for the parameters {theta[np.argmin(finite)].tolist()}. Mend the "
            "simulator, narrow the prior, or pass drop_invalid=True to learn from the "
            "others, if there are any."
        )
    return Simulations(theta[finite], x[finite], int(np.sum(~finite)))


def check_prior(prior: Any) -> None:
    """Refuses what is no distribution of one real tensor.

    Raises:
      ValueError: saying what came.
    """
    if not isinstance(prior, tfd.Distribution):
        raise ValueError(
            f"A prior must be a tfd.Distribution, got {type(prior).__name__}."
        )
    if tf.nest.is_nested(prior.dtype) or not prior.dtype.is_floating:
        raise ValueError(
            f"The prior {prior.name!r} has events of dtype {prior.dtype}. It must be "
            "of one tensor of real numbers."
        )
    if prior.batch_shape.rank != 0 or prior.event_shape.rank in (None, 0):
        raise ValueError(
            f"The prior {prior.name!r} has batch shape {prior.batch_shape} and event "
            f"shape {prior.event_shape}. It must be one distribution of a vector: "
            "tfd.Independent(prior, 1) makes events of a batch, tfd.Sample(prior, 1) "
            "one of a single number."
        )


def to_support(prior: tfd.Distribution) -> tfp.bijectors.Bijector:
    """Returns the prior's own bijector from the whole space to its support.

    Raises:
      ValueError: if it has none, as distributions of integers.
    """
    if isinstance(prior, tfd.Dirichlet):  # TFP's own fails with NumPy 2.4
        return Simplex(prior.event_shape.as_list(), dtype=prior.dtype)
    bijector = prior.experimental_default_event_space_bijector()
    if bijector is None:
        raise ValueError(
            f"The prior {prior.name!r} has no map from the whole space to its support: "
            "its parameters are integers. Take one of real numbers."
        )
    return bijector
