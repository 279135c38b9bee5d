"""A uniform sample of the training data, for data-dependent initialisation."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Model
from tfp_flows.training import batches

NO_NUMBERS = "each pass has another order, so rows have no numbers"


class Sample(NamedTuple):
    """Examples drawn without replacement.

    Attributes:
      x: `[N, *event_shape]`.
      context: `[N, *context_shape]`, a mapping of such, or None.
      rows: int `[N]`, their places in the pass they were drawn from.
    """

    x: tf.Tensor
    context: Any
    rows: np.ndarray


def uniform(flow: Model, data: Iterator[Any], num_examples: int, seed: int) -> Sample:
    """Draws from one pass over data, each set of examples being as likely as another.

    A reservoir [1]: the first `num_examples` fill it, and row t after them takes a
    random one's place with probability num_examples / (t + 1). It holds no more than
    that however long the data are.

    Args:
      flow: as for `batches.split`.
      data: one pass, batch by batch.
      num_examples: how many; fewer if there are not as many.
      seed: of the choice.

    Returns:
      The sample.

    Raises:
      ValueError: if there is not one example.

    References:
      [1] Vitter. Random sampling with a reservoir. ACM TOMS 11(1), 1985. Algorithm R.
    """
    rng = np.random.default_rng(seed)
    parts: list[np.ndarray] = []  # x, and what the context has
    rows = np.full(num_examples, -1)
    count = 0
    for batch in data:
        examples = batches.split(flow, batch)
        values = [v.numpy() for v in tf.nest.flatten(examples[:2]) if v is not None]
        parts = parts or [
            np.empty((num_examples, *v.shape[1:]), v.dtype) for v in values
        ]
        taken = count + np.arange(len(values[0]))
        places = np.where(taken < num_examples, taken, rng.integers(0, taken + 1))
        for i in np.flatnonzero(places < num_examples):
            rows[places[i]] = taken[i]
            for part, value in zip(parts, values, strict=True):
                part[places[i]] = value[i]
        count += len(taken)
    if not count:
        raise ValueError(
            "The training data are empty. Check the files or arrays they are read "
            "from, and that drop_remainder=True does not drop the only batch."
        )
    order = np.argsort(rows)[-min(count, num_examples) :]
    x, *context = (tf.convert_to_tensor(part[order]) for part in parts)
    if not context:
        return Sample(x, None, rows[order])
    packed = tf.nest.pack_sequence_as(examples.context, context)
    return Sample(x, packed, rows[order])


def usable(
    flow: Model,
    sample: Sample,
    drop: bool,
    is_steady: Callable[[], bool] = lambda: True,
) -> Sample:
    """Returns the sample if all of it is finite and in the support of the model.

    Args:
      flow: the model.
      sample: as from `uniform`.
      drop: whether to leave other examples out.
      is_steady: whether another pass has the same order, so that rows have numbers.

    Raises:
      ValueError: if an example is neither and is not to be dropped, or all are not.
    """
    good = np.ones(len(sample.rows), bool)
    for value in tf.nest.flatten((sample.x, sample.context)):
        if value is not None and value.dtype.is_floating:
            axes = list(range(1, value.shape.rank))
            fine = tf.math.is_finite(value)
            if flow.takes_missing:
                fine |= tf.math.is_nan(value)
            good &= tf.reduce_all(fine, axes).numpy()
    if not good.all() and not (drop and good.any()):
        bad = sample.rows[~good]
        more = f" and {bad.size - 10} more" if bad.size > 10 else ""
        which = (
            f"row {', '.join(map(str, bad[:10]))}{more} of the training data, counted "
            "from 0 in the order of one pass"
            if is_steady()
            else f"{shown(sample.x[int(np.argmin(good))])} first ({NO_NUMBERS})"
        )
        raise ValueError(
            f"{bad.size} of the {good.size} examples drawn for adapting the flow hold "
            f"NaN or infinite values: {which}. {flow.cure_of_missing}"
        )
    if flow.support is not None:
        inside = ~flow.support.beyond(sample.x)
        if not inside.all() and not (drop and (good & inside).any()):
            named: tuple[Any, str] = (sample.rows, "training data")
            if not is_steady():
                named = (None, f"examples drawn for adapting the flow ({NO_NUMBERS})")
            flow.support.check(sample.x, *named)
        good &= inside
    return sample if good.all() else _chosen(sample, good)


def shown(example: Any) -> str:
    """Returns the first values of an example, for messages about one without a number.

    Args:
      example: `[*event_shape]`.
    """
    values = np.ravel(example)
    more = ", ..." if values.size > 8 else ""
    listed = ", ".join(f"{v:.6g}" for v in values[:8])
    return f"[{listed}{more}]"


def _chosen(sample, good):
    x, context = tf.nest.map_structure(
        lambda value: None if value is None else tf.boolean_mask(value, good),
        (sample.x, sample.context),
    )
    return Sample(x, context, sample.rows[good])
