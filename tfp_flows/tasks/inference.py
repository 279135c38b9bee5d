"""Simulation-based inference: posteriors of simulators without a likelihood."""

import dataclasses
import functools
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import flows
from tfp_flows.bijectors import Chain
from tfp_flows.distributions import Flow, Model
from tfp_flows.distributions.embedded import Embedded, embedding_shape
from tfp_flows.tasks.posteriors import ByChains
from tfp_flows.tasks.simulations import Simulations, simulate, to_support
from tfp_flows.training import FlowModel

tfb, tfd = tfp.bijectors, tfp.distributions

_OPTIONS = {"num_steps": 4, "hidden_units": (64, 64)}  # thousands of simulations
_LEAST = 50  # simulations, a tenth of which are held out
_PATIENCE = 20  # epochs without a better held-out density


@dataclasses.dataclass(frozen=True)
class Posterior:
    """What `posterior` learnt.

    Args:
      model: p(theta | x), or p(x | theta) if the method is "likelihood": a conditional
        model like any other, also for `diagnostics` and `serving.export`.
      prior: of the parameters.
      method: "posterior" or "likelihood".
      simulations: that it was learnt from.
      history: Keras' history of `loss`, `nll` and their `val_` by epoch.

    Raises:
      ValueError: by `given`, for an observation of another shape, or one that is not
        finite.

    Examples:
      >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
      >>> small = {"num_steps": 1, "hidden_units": (8,)}
      >>> found = posterior(np.sin, prior, 200, recipe="maf", options=small, epochs=1)
      >>> found.method, found.simulations.theta.shape, sorted(found.history)[:1]
      ('posterior', (200, 2), ['bits_per_dim'])
    """

    model: Model
    prior: tfd.Distribution
    method: str
    simulations: Simulations
    history: Mapping[str, list[float]]

    def given(self, observation: Any) -> Any:
        """Returns the posterior given an observation.

        Args:
          observation: `[*batch, *x]`.

        Returns:
          A distribution of theta with batch shape `[*batch]`, with `sample` and
          `log_prob`; a `ByChains` if the method is "likelihood", whose density is
          not normalised.

        Raises:
          ValueError: if the observation has another shape than the simulations, or is
            not finite.
        """
        wanted = self.simulations.x.shape[1:]
        x = np.asarray(observation, self.simulations.x.dtype)
        if x.shape[x.ndim - len(wanted) :] != wanted or x.ndim < len(wanted):
            raise ValueError(
                f"The observation has shape {x.shape}; simulations are of shape "
                f"{wanted}. Give [*batch, *x] of that shape."
            )
        if not np.isfinite(x).all():
            raise ValueError(
                f"The observation holds {np.sum(~np.isfinite(x))} numbers that are not "
                "finite, and simulations hold none. Drop what was not observed from "
                "the simulations too."
            )
        if self.method == "posterior":
            return self.model.given(x)
        return ByChains(self.model, self.prior, x)


def posterior(
    simulator: Callable[[np.ndarray], Any],
    prior: tfd.Distribution,
    num_simulations: int = 2000,
    *,
    method: str = "posterior",
    recipe: str = "neural_spline",
    options: Mapping[str, Any] | None = None,
    embedding: Callable[[], keras.Layer] | None = None,
    epochs: int = 300,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    drop_invalid: bool = False,
    seed: int = 0,
    verbose: int = 0,
) -> Posterior:
    """Learns the posterior of a simulator's parameters from simulations alone.

    method="posterior": neural posterior estimation [1]: p(theta | x) is a conditional
      flow, for all observations at once (amortised); samples cost a pass. It acts on
      parameters mapped to the whole space by the prior's own bijector
      (`experimental_default_event_space_bijector`), so that no mass leaks out of the
      prior's support.
    method="likelihood": neural likelihood estimation [2]: p(x | theta) is learnt, and
      Markov chains sample p(theta | x) ~ p(x | theta) p(theta). Another prior needs no
      new training; many parameters and few observations are easier so.

    A tenth of the simulations is held out; training stops when its density has not
    risen for 20 epochs, and goes back to the best weights.

    Args:
      simulator: `[N, *theta]` -> `[N, *x]`, see `simulate`.
      prior: of one real tensor, without batch dimensions.
      num_simulations: at least 50.
      method: "posterior" or "likelihood".
      recipe: name of a flow in `tfp_flows.flows` that takes contexts.
      options: of the recipe; 4 steps of two layers of 64 units if None.
      embedding: builder of a Keras layer `[B, *x]` -> `[B, features]` through which
        the flow sees observations, for images and sets; trained with it. Observations
        reach it in their own unit: begin it with a `keras.layers.Rescaling` if that is
        far from 1. Not for the likelihood.
      epochs: at most.
      batch_size: of training.
      learning_rate: of Adam.
      drop_invalid: whether simulations that hold NaN or infinity are left out; not for
        the likelihood.
      seed: of parameters and noise; initial weights and the order of batches are
        Keras', see `keras.utils.set_random_seed`.
      verbose: as in `fit`.

    Returns:
      What was learnt; `given(observation)` is the posterior.

    Raises:
      ValueError: for a prior, a simulator or an option that cannot be used; if
        simulations are not finite, saying how many.

    Examples:
      >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
      >>> noisy = lambda theta: theta + 0.1 * np.random.randn(*theta.shape)
      >>> small = {"num_steps": 1, "hidden_units": (8,)}
      >>> found = posterior(noisy, prior, 200, recipe="maf", options=small, epochs=1)
      >>> found.given([0.5, 0.0]).sample(10, seed=1).shape
      TensorShape([10, 2])

    References:
      [1] Greenberg, Nonnenmacher, Macke. Automatic posterior transformation for
          likelihood-free inference. ICML 2019. arXiv:1905.07488
      [2] Papamakarios, Sterratt, Murray. Sequential neural likelihood. AISTATS 2019.
          arXiv:1805.07226
    """
    options = _OPTIONS if options is None else options
    _check(method, num_simulations, embedding, options, drop_invalid)
    pairs = simulate(
        simulator, prior, num_simulations, drop_invalid=drop_invalid, seed=seed
    )
    if len(pairs.x) < _LEAST:
        raise ValueError(
            f"{len(pairs.x)} of {num_simulations} simulations are valid, and at least "
            f"{_LEAST} are needed. Mend the simulator, or give more simulations."
        )
    build = functools.partial(flows.build, recipe, **options, dtype=pairs.x.dtype.name)
    if method == "posterior":
        model = _of_parameters(build, prior, pairs, embedding)
        order = (pairs.x, pairs.theta)
    else:
        model = _of_observations(build, pairs)
        order = (pairs.theta, pairs.x)
    schedule = (epochs, batch_size, learning_rate, seed, verbose)
    history = _fit(model, *order, *schedule)
    return Posterior(model, prior, method, pairs, history)


def _of_observations(build, pairs):
    """Returns a model of p(x | theta)."""
    event, context = pairs.x.shape[1:], pairs.theta.shape[1:]
    model = build(event_shape=event, context_shape=context)
    if not model.is_exact:
        raise ValueError(
            f"{model.name} has a bound in place of a likelihood, from drawn noise, "
            "which chains cannot use. Take an autoregressive model of integers, or "
            "add the noise in the simulator."
        )
    return model


def _check(method, num_simulations, embedding, options, drop_invalid):
    is_count = isinstance(num_simulations, numbers.Integral)
    is_enough = is_count and num_simulations >= _LEAST
    if method not in ("posterior", "likelihood") or not is_enough:
        raise ValueError(
            'tasks.posterior needs method="posterior" or "likelihood" and at least '
            f"{_LEAST} simulations, got {method!r} and {num_simulations!r}."
        )
    if embedding is not None and method == "likelihood":
        raise ValueError(
            "An embedding is of what a model is conditioned on, and the likelihood is "
            'conditioned on parameters. Drop embedding=, or take method="posterior".'
        )
    if drop_invalid and method == "likelihood":
        raise ValueError(
            "The likelihood of valid simulations lacks the probability of being valid, "
            "which depends on parameters. Drop drop_invalid=, or take "
            'method="posterior".'
        )
    own = sorted({"event_shape", "context_shape", "dtype"} & set(options))
    if own:
        raise ValueError(
            f"tasks.posterior got options {own}, which follow from the prior and the "
            "simulations. Leave them out."
        )


def _of_parameters(build, prior, pairs, embedding):
    """The flow of p(theta | x) on the prior's support."""
    to_prior = to_support(prior)
    free = to_prior.inverse_event_shape(prior.event_shape).as_list()
    seen = pairs.x.shape[1:]
    network = None if embedding is None else embedding()
    if network is not None:
        seen = embedding_shape(network, tf.TensorSpec(seen, pairs.x.dtype))
    flow = build(event_shape=free, context_shape=seen)
    if not isinstance(flow, Flow):
        raise ValueError(
            f"tasks.posterior needs a flow of real events, and {flow.name} is a "
            f"{type(flow).__name__}. Take neural_spline, maf or real_nvp, without "
            "num_values."
        )
    if not isinstance(to_prior, tfb.Identity):
        chain = Chain([to_prior, flow.bijector], prior.event_shape.as_list())
        flow = Flow(chain, flow.distribution, flow.name)
    return flow if network is None else Embedded(flow, network, pairs.x.shape[1:])


def _fit(model, context, event, epochs, batch_size, learning_rate, seed, verbose):
    held_out = max(1, len(event) // 10)
    trained = FlowModel(model, seed=seed)
    trained.compile(keras.optimizers.Adam(learning_rate))
    stop = keras.callbacks.EarlyStopping(
        "val_nll", mode="min", patience=_PATIENCE, restore_best_weights=True
    )
    lower = keras.callbacks.ReduceLROnPlateau(
        "val_nll", mode="min", factor=0.3, patience=_PATIENCE // 2, min_delta=0.0
    )
    history = trained.fit(
        context[held_out:],
        event[held_out:],
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(context[:held_out], event[:held_out]),
        callbacks=[lower, stop],
        verbose=verbose,
    )
    return history.history
