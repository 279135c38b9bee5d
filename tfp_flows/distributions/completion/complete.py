"""`complete`: which way of completion is right for which model."""

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import numeric
from tfp_flows.distributions.any_order import AnyOrder
from tfp_flows.distributions.autoregressive import Autoregressive
from tfp_flows.distributions.completion import beginnings, chains, gaussians, particles
from tfp_flows.distributions.completion.question import Question
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.model import Model
from tfp_flows.distributions.padded import Padded
from tfp_flows.distributions.tabular import Tabular


def complete(
    distribution: Model,
    x: Any,
    mask: Any,
    n: int = 1,
    *,
    seed: Any = None,
    temperature: Any = 1.0,
    context: Any = None,
    num_particles: int = 1000,
) -> tf.Tensor:
    """Draws the unknown part of events given the known part.

    How depends on the model:

    - `flows.gaussian`, `flows.gaussian_mixture`, and other affine flows of these, with
      a support of intervals too: exact, in closed form, any mask;
    - `flows.any_order` and `flows.tabular`: exact, any mask, in a loop over the unknown
      units;
    - `Autoregressive` models: exact, if the known units come first in their order
      (`order=` of their recipes), in one loop over the positions, as for `sample`; for
      other masks by particles, see `complete_by_particles`, whose effective sample size
      is checked here;
    - flows all of whose steps keep one order, such as `flows.wavenet` over real
      sequences: exact for such masks, through the latent space;
    - other flows, also of integers: by Markov chains, see `complete_by_chains`, whose
      measures of convergence are checked here.

    A mask that knows nothing gives samples, one that knows all gives x itself.

    Args:
      distribution: of one of these kinds.
      x: events `[*batch, *event_shape]`; their unknown units may hold anything.
      mask: bool, True marks known units: `[*event_shape]` or what broadcasts to it, or
        `[*batch, *event_shape]` for a mask of each event.
      n: draws for each event.
      seed: Python integer or `[2]` integer tensor, as for `sample`.
      temperature: as for `sample`; 1 for exact draws, and for chains and particles.
      context: `[*batch', *context_shape]` for a conditional model.
      num_particles: of each event, where particles do the work.

    Returns:
      `[n, *broadcast(batch, batch'), *event_shape]`; known units are those of x.

    Raises:
      ValueError: if the model has none of these ways, or an argument does not fit.

    Warns:
      UserWarning: if chains have not converged, or few particles fit what is known; the
        draws are not to be trusted then.

    Examples:
      >>> import numpy as np
      >>> from tfp_flows import flows
      >>> model = flows.pixel_cnn((4, 4, 1), 1, 8, num_values=2, order="columns")
      >>> left = np.arange(4).reshape(1, 4, 1) < 2
      >>> complete(model, tf.ones([5, 4, 4, 1], tf.int32), left, n=3, seed=1).shape
      TensorShape([3, 5, 4, 4, 1])
    """
    numeric.check_temperature(temperature)
    question = Question.of(distribution, x, mask, n, context)
    if question.x.shape[0] == 0:  # no events have no completions
        return question.answer(question.x)
    return question.answer(_rows(question, seed, temperature, num_particles))


def _rows(question, seed, temperature, num_particles):
    """Returns all draws as rows, `[n * N, *event_shape]`."""
    model = question.model
    if isinstance(model, Tabular):
        model.check_known(tf.where(question.known, question.x, np.nan))
    if isinstance(model, AnyOrder):
        beginnings.check_whole(model, question.known, model.network.positions)
        return beginnings.by_units(question, seed, temperature)
    if isinstance(model, Autoregressive):
        if not beginnings.come_late(question.known, model.network.order).any():
            beginnings.check_whole(model, question.known, model.network.order)
            return beginnings.by_units(question, seed, temperature)
        _check_is_1(temperature, model, "particles")
        return _by_particles(question, seed, num_particles)
    found = gaussians.gaussians_of(model)
    if found is not None:
        return gaussians.complete(question, found, seed, temperature)
    if isinstance(model, Flow):
        order = beginnings.order_of(model)
        if order is not None and beginnings.is_beginning(question.known, order):
            return beginnings.by_latents(question, seed, temperature)
    if isinstance(model, Padded):
        raise ValueError(
            f"{model.name} is padded, and its border has no known values. Complete "
            f"model.pad(x) with {model.name}.dequantized, a mask that is True in the "
            "border, and crop the result."
        )
    _check_is_1(temperature, model, "Markov chains")
    return chains.checked(question, seed)


def _by_particles(question, seed, num_particles):
    found = particles.completions(question, seed, num_particles)
    problem = found.problem() if tf.executing_eagerly() else None
    if problem is not None:
        warnings.warn(problem, stacklevel=4)
    return tf.reshape(found.x, [-1, *question.model.event_shape])


def _check_is_1(temperature, model, way):
    if not isinstance(temperature, (int, float)) or temperature != 1:
        raise ValueError(
            f"{model.name} is completed by {way}, which draw at temperature 1 only, "
            f"got {temperature!r}. Drop temperature=."
        )
