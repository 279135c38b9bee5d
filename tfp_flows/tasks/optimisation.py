"""Optimisation over the plausible events of a model."""

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Model
from tfp_flows.tasks import evolution
from tfp_flows.tasks.ascent import Ascent
from tfp_flows.tasks.codes import Conditioned
from tfp_flows.tasks.problem import Problem

_POPULATION = 64  # at least, of an evolution


class Optimum(NamedTuple):
    """What `optimize` found, one row for each start, the best first.

    Rows are sorted by feasibility, then those that are feasible by their objective and
    the others by their violation.

    Attributes:
      x: events `[n, *event_shape]`.
      objective: `[n]`, in its own unit.
      violation: `[n]`, the largest constraint value above 0, in the constraint's own
        unit.
      log_prob: `[n]`, nats.
      quantile: `[n]`, the share of the reference (samples of the model) whose
        log-density is below the row's.
      feasible: bool `[n]`, whether all constraints hold and the row is plausible;
        False marks a start that failed.

    Examples:
      >>> from tfp_flows import flows
      >>> found = optimize(flows.gaussian((2,)), lambda x: x[:, 0], n=4, num_steps=20)
      >>> found.objective.shape, found.feasible.shape
      ((4,), (4,))
    """

    x: np.ndarray  # [n, *event_shape]
    objective: np.ndarray  # [n]
    violation: np.ndarray  # [n]
    log_prob: np.ndarray  # [n], nats
    quantile: np.ndarray  # [n]
    feasible: np.ndarray  # bool [n]


def optimize(
    model: Model,
    objective: Callable,
    constraints: Sequence[Callable] = (),
    plausible: float = 0.05,
    n: int = 16,
    *,
    context: Any = None,
    reference: Any = None,
    gradient: bool | None = None,
    num_steps: int = 600,
    rate: float = 0.1,
    num_samples: int = 1000,
    seed: int = 0,
) -> Optimum:
    """Finds events that maximise an objective among those that a model finds plausible.

    maximise objective(x)  such that  constraint_k(x) <= 0,  log p(x) >= bound

    The bound is a quantile of the log-densities of the model's own samples. A flow has
    a second one: log p(z) of the code. A density alone may be large far out in z, where
    the flow presses next to no volume together, and an optimiser finds such places.
    Functions take events `[N, *event_shape]` in the model's real dtype, also integers,
    and give `[N]`. The starts are the best of the model's samples.

    With a gradient, codes (z of a flow; x for continuous models without) climb by
    Adam under an augmented Lagrangian; integers of a dequantized flow get the gradient
    of the numbers they are rounded from. Without, a population evolves: codes by
    differential evolution, integers of a model without codes by recombination with
    its samples.

    Args:
      model: trained, over one tensor.
      objective: to maximise; TensorFlow, or anything that takes a NumPy array.
      constraints: satisfied at values <= 0.
      plausible: the quantile, in [0, 1).
      n: number of starts, and of rows of the result.
      context: the one context `[*context_shape]` of a conditional model.
      reference: events, such as training data, whose log-densities take the place of
        those of samples.
      gradient: False for black boxes, which are given NumPy arrays; None takes the
        gradient if all functions are TensorFlow's and have one.
      num_steps: steps of Adam, or generations.
      rate: of Adam, in standard deviations of the code.
      num_samples: of the model, for the bound, the starts, and the units in which
        objective and constraints are weighed against each other.
      seed: of samples and noise.

    Returns:
      An `Optimum` of `n` rows.

    Raises:
      ValueError: if an argument is out of its range, a context is missing, a function
        gives another shape than `[N]` or a number that is not finite, there is no
        gradient though one is asked for, or no start ends feasible.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.gaussian((2,))
      >>> found = optimize(
      ...     flow, lambda x: x[:, 0], [lambda x: x[:, 1] - 0.5], plausible=0.2, n=4
      ... )
      >>> found.x.shape, bool(found.feasible.all()), bool((found.quantile > 0.19).all())
      ((4, 2), True, True)
    """
    _check_options(plausible, n, num_steps, rate, num_samples)
    asked = Conditioned.of(model, context)
    if not isinstance(constraints, Sequence):
        constraints = (constraints,)
    _check_functions(objective, constraints)
    problem = Problem(
        asked,
        objective,
        constraints,
        plausible,
        reference,
        max(num_samples, n, _POPULATION),
        seed,
    )
    problem.in_numpy = not _by_gradient(problem, gradient)
    problem.measure()
    if not problem.in_numpy:
        starts = _best(problem, problem.samples, n)
        candidates = [starts, *Ascent(problem, starts, num_steps, rate).run()]
        return _sorted(problem, _best_of_each(problem, candidates))
    starts = _best(problem, problem.samples, max(n, _POPULATION))
    run = evolution.evolve if asked.has_code else evolution.recombine
    return _sorted(problem, _best(problem, run(problem, starts, num_steps), n))


def _check_options(plausible, n, num_steps, rate, num_samples):
    if not isinstance(plausible, numbers.Real) or not 0 <= plausible < 1:
        raise ValueError(
            f"plausible must be a quantile in [0, 1), got {plausible!r}. With 0.05 the "
            "5 % least likely of the model's samples would not be plausible."
        )
    counts = {"n": n, "num_steps": num_steps, "num_samples": num_samples}
    for name, count in counts.items():
        if not isinstance(count, numbers.Integral) or count < 1:
            raise ValueError(
                f"optimize needs {name} of at least 1, got {count!r}. Give an integer."
            )
    if not isinstance(rate, numbers.Real) or not 0 < rate < math.inf:
        raise ValueError(
            f"optimize needs a rate above 0, got {rate!r}. Leave it out for 0.1."
        )


def _check_functions(objective, constraints):
    wrong = [f for f in (objective, *constraints) if not callable(f)]
    if wrong:
        raise ValueError(
            "optimize needs functions of events [N, *event_shape], one number for each "
            f"event, got {wrong[0]!r}. Give a function, such as lambda x: x[:, 0]."
        )


def _by_gradient(problem, wanted):
    """Whether to climb; refuses a gradient that is asked for and not there."""
    if wanted is False:
        return False
    fault = None
    if not problem.asked.has_code:
        fault = f"{problem.asked.model.name} has integers without a code"
    for function, title in zip(problem.functions, problem.titles, strict=True):
        fault = fault or _without_gradient(function, title, problem.samples)
    if fault and wanted:
        raise ValueError(
            f"optimize got gradient=True, but {fault}. Write the functions in "
            "TensorFlow without casts to integers, or pass gradient=False."
        )
    return fault is None


def _without_gradient(function, title, x):
    """Says why a function has no gradient, or returns None."""
    found = []

    def traced(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.convert_to_tensor(function(x))
        found.append(tape.gradient(value, x))

    spec = tf.TensorSpec([None, *x.shape[1:]], x.dtype)
    try:
        tf.function(traced, autograph=False).get_concrete_function(spec)
    except Exception as error:  # whatever a black box says to a symbolic tensor
        reason = str(error).split("\n")[0]
        return f"{title} is no TensorFlow function ({reason})"
    return f"{title} has none" if found[0] is None else None


def _order(judged):
    """Places of the best first: least violation, then largest objective."""
    objective = np.nan_to_num(judged.objective.numpy(), nan=-np.inf)
    return np.lexsort((-objective, np.nan_to_num(judged.violation, nan=np.inf)))


def _best(problem, events, count):
    return tf.gather(events, _order(problem.judge(events))[:count])


def _best_of_each(problem, candidates):
    """The better of each start's candidates, judged as the events that they are."""
    events = tf.concat(candidates, axis=0)
    place = np.argsort(_order(problem.judge(events))).reshape(len(candidates), -1)
    starts = np.arange(place.shape[1])
    return tf.gather(events, place.argmin(axis=0) * len(starts) + starts)


def _sorted(problem, events):
    judged = problem.judge(events)
    order = _order(judged)
    events, excess = tf.gather(events, order), judged.excess.numpy()[order]
    objective, values = problem.values(events)
    log_prob = problem.densities.of_many(events)[:, 0]
    feasible = (excess <= 0).all(axis=1)
    if not feasible.any():
        raise ValueError(_infeasible(problem, excess[0], values[0]))
    below = np.searchsorted(problem.reference, log_prob)
    return Optimum(
        events.numpy().astype(problem.asked.model.dtype.as_numpy_dtype),
        objective,
        np.maximum(values, 0.0).max(axis=1, initial=0.0),
        log_prob,
        below / len(problem.reference),
        feasible,
    )


def _infeasible(problem, excess, values):
    """Names what the nearest start, which is the first, violates most."""
    worst = int(np.argmax(excess))
    if worst < len(values):
        title, amount = problem.titles[1 + worst], f"{values[worst]:.3g}"
    else:
        part = ("event", "code")[worst - len(values)]
        title = f"the bound on the density of the {part}"
        amount = f"{excess[worst] * problem.scales[1 + worst]:.3g} nats"
    return (
        f"No start ends feasible: the nearest violates {title} by {amount}. Loosen it, "
        "lower plausible, or give more starts or steps."
    )
