"""All diagnostics that fit a model, in one call."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows import progress
from tfp_flows.diagnostics.codes import latent_normality
from tfp_flows.diagnostics.decomposition import decompose
from tfp_flows.diagnostics.dimension import effective_dimension
from tfp_flows.diagnostics.events import Events, check_model, rows_of
from tfp_flows.diagnostics.finding import DoesNotFit, Finding
from tfp_flows.diagnostics.inverses import invertibility, precision
from tfp_flows.diagnostics.ranks import coverage
from tfp_flows.diagnostics.two_samples import c2st, marginals, memorisation
from tfp_flows.distributions import Model


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; `str` is a page.

    Args:
      found: name of the diagnostic -> finding.
      left_out: name -> why it was not asked.
      samples: of the model, `[M, *event_shape]`.
      num_events: held-out events that were used.
      seconds: name -> what it took; "samples" to draw them.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.gaussian((2,))
      >>> found = diagnose(flow, flow.sample(200, seed=1))
      >>> sorted(found.found)[:3], found.num_events
      (['c2st', 'coverage', 'decomposition'], 200)
    """

    found: dict[str, Finding]
    left_out: dict[str, str]
    samples: np.ndarray
    num_events: int
    seconds: dict[str, float]

    def doubts(self, rate: float = 0.01) -> list[str]:
        """Returns the names of what speaks against the model.

        Tests are corrected for their number (Holm): of right models a share `rate` at
        most has any doubt from them. What is no test doubts by its size.

        Args:
          rate: of right models that are doubted.
        """
        tests = {k: f.p_value for k, f in self.found.items() if f.p_value is not None}
        doubted = {k for k, f in self.found.items() if not f.is_sound}
        for rank, name in enumerate(sorted(tests, key=lambda k: tests[k])):
            if tests[name] > rate / (len(tests) - rank):
                break
            doubted.add(name)
        return [name for name in self.found if name in doubted]

    def __str__(self):
        doubts = self.doubts()
        lines = [
            f"{'DOUBT' if name in doubts else 'ok':5}  {name}: {finding}"
            for name, finding in self.found.items()
        ]
        lines += [f"none   {name}: {why}" for name, why in self.left_out.items()]
        head = f"{self.num_events} held-out events, {len(self.samples)} samples"
        return "\n".join([head, *lines])


def diagnose(
    model: Model,
    held_out: Any,
    train: Any = None,
    *,
    context: Any = None,
    num_events: int = 1000,
    seed: int = 0,
) -> Diagnosis:
    """Asks every diagnostic that fits a model; the others say why they do not.

    Args:
      model: trained.
      held_out: events that it was not trained on, `[N, *event_shape]`.
      train: events that it was trained on, for `memorisation`.
      context: `[N, *context_shape]` of the held-out events, for a conditional model.
      num_events: of the held-out events that are used, drawn without replacement, as
        many samples, and ten times as many training events at most. Time grows with
        it; so does the power to find what is wrong, until nothing passes.
      seed: of the choice, the samples and all noise.

    Raises:
      ValueError: if the events do not fit, there are too few, or not all are finite.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.gaussian((2,))
      >>> found = diagnose(flow, flow.sample(200, seed=1))
      >>> found.doubts(), sorted(found.left_out)
      ([], ['memorisation'])
    """
    check_model(model)
    x, context = _chosen(held_out, context, num_events, seed)
    Events.of(model, x, context)  # what is wrong is said once, before the work
    begun = time.perf_counter()
    samples = _drawn(model, len(x), context, seed)
    seconds = {"samples": time.perf_counter() - begun}
    found: dict[str, Finding] = {}
    left_out: dict[str, str] = {}
    questions = _questions(model, x, samples, context, seed, train)
    for name, ask in progress.steps(questions.items(), "diagnosing"):
        begun = time.perf_counter()
        try:
            found[name] = ask()
        except DoesNotFit as reason:
            left_out[name] = str(reason)
        seconds[name] = time.perf_counter() - begun
    return Diagnosis(found, left_out, samples, len(x), seconds)


def _questions(
    model, x, samples, context, seed, train
) -> dict[str, Callable[[], Finding]]:
    """Name -> what asks it."""
    asked = {"context": context, "seed": seed}
    unit = None if model.num_values is None else 1.0  # integers have one in common

    def copied():
        if train is None:
            raise DoesNotFit("no training events were given; pass train=.")
        known = rows_of(train, "training events")
        rng = np.random.default_rng((seed, 8))
        places = np.sort(rng.permutation(len(known))[: 10 * len(x)])
        copies = memorisation(samples, known[places], x, unit=unit)
        # Numbers of the events that were given, also where some of them were left out.
        return dataclasses.replace(copies, nearest=places[copies.nearest])

    return {
        "latent normality": lambda: latent_normality(model, x, **asked),
        "coverage": lambda: coverage(model, x, samples, **asked),
        "marginals": lambda: marginals(samples, x),
        "c2st": lambda: c2st(samples, x, **asked),
        "memorisation": copied,
        "invertibility": lambda: invertibility(model, x, **asked),
        "precision": lambda: precision(model, x, **asked),
        "decomposition": lambda: decompose(model, x, **asked),
        "effective dimension": lambda: effective_dimension(samples, x, unit=unit),
    }


def _drawn(model, count, context, seed):
    """Samples, one under each context; a part at a time, which bounds the memory."""
    parts = []
    for start in range(0, count, 500):
        size = min(500, count - start)
        shape, given = size, {}
        if context is not None:
            place = slice(start, start + size)
            shape, given = (), {"context": _taken(context, place)}
        parts.append(np.asarray(model.sample(shape, seed=(seed, start), **given)))
    samples = np.concatenate(parts)
    finite = np.isfinite(samples).reshape(count, -1).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{model.name} drew {np.sum(~finite)} of {count} samples that are not "
            "finite, so nothing about them can be diagnosed. Train it further, or "
            "bound its scales."
        )
    return samples


def _chosen(held_out, context, count, seed):
    if count < 20:
        raise ValueError(
            f"diagnose got num_events={count}. Ask for 20 or more: with few, every "
            "model passes."
        )
    x = rows_of(held_out, "held-out events")
    sizes = {len(part) for part in tf.nest.flatten(context) if part is not None}
    if sizes - {len(x)}:
        raise ValueError(
            f"diagnose got {min(sizes)} contexts for {len(x)} held-out events. Give "
            "one context for each."
        )
    places = np.random.default_rng((seed, 7)).permutation(len(x))[:count]
    return x[places], _taken(context, places)


def _taken(context, places):
    """Some of the contexts, which may have parts with names."""
    return tf.nest.map_structure(
        lambda part: None if part is None else np.asarray(part)[places], context
    )
