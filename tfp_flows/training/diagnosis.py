"""Why a step was not finite: the rows at fault, and the bijector where it began."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.training import batches, sampling, steps, weighting
from tfp_flows.training.guard import Reason

_SHOWN = 10  # rows in a message; all of them are in the error's `rows`


class Finding(NamedTuple):
    """What was found out.

    Attributes:
      sentence: says it.
      cure: what to do about it.
      bijector: name of the first bijector whose output is not finite, or None.
      rows: places of the examples in one pass over the data, counted from 0.
    """

    sentence: str
    cure: str
    bijector: str | None = None
    rows: tuple[int, ...] = ()


_STEP_CURE = (
    "Usual cures: a smaller learning rate, clipnorm= of the optimizer, data that are "
    'scaled and inside the flow\'s range; FlowModel(on_nonfinite="skip") leaves such '
    "steps out."
)


def explain(
    model: keras.Model,
    passes: Callable[[], Iterator[Any]] | None,
    kind: str,
    limit: int | None,
    reason: Reason,
) -> Finding:
    """Reads the data again with the current weights and looks for what is at fault.

    Args:
      model: a `FlowModel`.
      passes: starts a pass over the data, as from `batches.iterate`, or None.
      kind: "training" or "validation", for the sentence.
      limit: how many batches to look at, None for all.
      reason: what was not finite.
    """
    if passes is None:
        return Finding(
            "The data cannot be read again to look for the rows." + _broken(model),
            _STEP_CURE,
        )
    found = _without_log_prob(model.flow, passes, kind, limit)
    if found is None and reason in (Reason.GRADIENT, Reason.UPDATE):
        found = _largest_gradient(model, passes, kind, limit)
    if found is None:
        found = Finding(
            f"No example of the {kind} data has a non-finite log_prob with the current "
            "weights in inference mode, so another worker's data or noise of the step, "
            "such as dropout, took part in it.",
            _STEP_CURE,
        )
    return found._replace(sentence=found.sentence + _broken(model))


def _without_log_prob(flow, passes, kind, limit):
    """Finds the examples whose log_prob or weight is not finite."""
    log_prob = tf.function(flow.log_prob, reduce_retracing=True)
    rows, first = [], None
    for start, index, (x, _, weights), given in _numbered(flow, passes, limit):
        values = weighting.weighted(log_prob(x, **given), weights)
        bad = np.flatnonzero(~np.isfinite(values))
        rows += [start + int(i) for i in bad]
        if first is None and bad.size:
            where = f"example {bad[0]} of batch {index}"
            weight = 1.0 if weights is None else float(weights[bad[0]])
            first = (_row(x, bad[0]), _row(given, bad[0]), weight, where)
    if first is None:
        return None
    x, given, weight, where = first
    listed = ", ".join(map(str, rows[:_SHOWN]))
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    among = (
        f"Of the {kind} data, in the order of one pass and counted from 0, row "
        f"{listed}{more} has no finite "
    )
    if not batches.is_steady(passes):
        among = (
            f"Of one pass over the {kind} data {len(rows)} rows ({sampling.NO_NUMBERS})"
            " have no finite "
        )
        where, rows = sampling.shown(x), []
    if not np.isfinite(weight):
        flaw = f"weight that is not negative. The first of them is {where}."
        cure = "Drop the rows, or mend their weights."
        return Finding(among + flaw, cure, None, tuple(rows))
    name, blame = _blame(flow, x, given)
    flaw, cure = _flaw(flow, x, given)
    sentence = f"{among}log_prob. The first of them, {where}: {flaw} {blame}"
    return Finding(sentence, cure, name, tuple(rows))


def _largest_gradient(model, passes, kind, limit):
    """Finds the batch with the largest gradient, and in it the rows that make it."""
    norm = tf.function(lambda *of: _gradient_norm(model.flow, *of))
    largest, batch = -1.0, None
    for start, index, examples, given in _numbered(model.flow, passes, limit):
        shares = _shares(examples)
        size = float(norm(examples.x, given, shares))
        size = size if np.isfinite(size) else np.inf
        if size > largest:
            largest, batch = size, (start, index, examples.x, given, shares)
    start, index, *parts = batch
    x, given, shares = parts
    sizes = np.array([float(norm(*_row(parts, i))) for i in range(len(shares))])
    sizes[~np.isfinite(sizes)] = np.inf
    rows = np.flatnonzero(sizes >= sizes.max() / 2)
    flaw, _ = _flaw(model.flow, _row(x, rows[0]), _row(given, rows[0]))
    rate = float(tf.convert_to_tensor(model.optimizer.learning_rate))
    listed = ", ".join(str(start + i) for i in rows[:_SHOWN])
    which = (
        f"row {listed}, in the order of one pass and counted from 0. The first of "
        f"them, example {rows[0]} of batch {index}"
    )
    numbers = tuple(start + int(i) for i in rows)
    if not batches.is_steady(passes):
        values = sampling.shown(_row(x, rows[0]))
        which, numbers = f"{values} ({sampling.NO_NUMBERS})", ()
    return Finding(
        f"The largest gradient of the {kind} data, of norm {sizes.max():.3g} at the "
        f"learning rate {rate:.3g}, is that of {which}: {flaw}",
        _STEP_CURE,
        rows=numbers,
    )


def _shares(examples):
    """What each example's loss counts in that of its batch, `[B]`."""
    weights = examples.weights
    weights = tf.ones(examples.count) if weights is None else weights
    return tf.math.divide_no_nan(weights, tf.reduce_sum(weights))


def _gradient_norm(flow, x, given, shares):
    """Norm of what examples add to the gradient of a batch, with their shares."""
    strategy = tf.distribute.get_strategy()
    with tf.GradientTape() as tape:
        loss = -tf.reduce_sum(weighting.weighted(flow.log_prob(x, **given), shares))
    weights = [strategy.experimental_local_results(v)[0] for v in flow.variables]
    found = tape.gradient(loss, [v for v in weights if v.trainable])
    return steps.norm([g if g is None else tf.convert_to_tensor(g) for g in found])


def _numbered(flow, passes, limit):
    """Yields the number of a batch's first row, its own, it, and context as kwargs."""
    start = 0
    for index, data in enumerate(itertools.islice(passes(), limit)):
        examples = batches.split(flow, data)
        context = examples.context
        yield start, index, examples, {} if context is None else {"context": context}
        start += int(examples.count)


def _row(values, i):
    return tf.nest.map_structure(lambda v: v[i : i + 1], values)


def _blame(flow, x, given):
    for name, value, log_det in flow.trace(x, **given):
        if not (_is_finite(value) and _is_finite(log_det)):
            return name, f"The first output that is not finite is of {name!r}."
    return None, "Each bijector's output is finite."


def _flaw(flow, x, given):
    """Says what the values of one example are like, and what to do about them."""
    for name, value in {"x": x, **given}.items():
        if not _is_finite(value, flow.takes_missing):
            cure = f"Drop or mend the rows where {name} is not finite."
            if name == "x" and np.isnan(np.asarray(value)).any():
                cure = flow.cure_of_missing
            return f"The data themselves are not finite there, in {name}.", cure
    support = flow.support
    if support is not None and support.beyond(x).any():
        flaw, cure = support.flaw(x[0])
        return f"It lies beyond the support of the model: {flaw}.", cure
    values = np.asarray(x, np.float64)
    if flow.num_values is not None:
        is_code = (values == np.round(values)) & (values >= 0)
        wrong = values[~(is_code & (values < flow.num_values))]
        if wrong.size:
            return (
                f"The model is on integers 0 .. {flow.num_values - 1}, and the row "
                f"holds {', '.join(f'{v:g}' for v in np.unique(wrong)[:5])}.",
                "Scale and round the data to these integers, or build the model with "
                "num_values= that covers them.",
            )
    there = values[~np.isnan(values)] if flow.takes_missing else values
    if not there.size:
        return "All values of x are missing.", _STEP_CURE
    spread = f"The values of x lie between {there.min():.6g} and {there.max():.6g}."
    return spread, _STEP_CURE


def _broken(model):
    broken = [
        v.path
        for v in model.weights
        if v.dtype.startswith("float") and not np.isfinite(v.numpy()).all()
    ]
    return f" The weights {broken} are not finite." if broken else ""


def _is_finite(value, may_miss=False):
    parts = [np.asarray(part) for part in tf.nest.flatten(value)]
    return all((np.isfinite(p) | (may_miss & np.isnan(p))).all() for p in parts)
