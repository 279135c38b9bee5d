"""Models with an order complete events whose known units come first in it: exactly.

An autoregressive model is a chain of conditional distributions in its own order.
Feeding the known units and drawing the others gives p(rest | beginning) itself: no
chain of samples to wait for, no guide. A flow all of whose steps keep one order is the
same in latent space: the known units are those of a beginning of z, and its rest is
noise that is independent of them.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.bases import StandardLogistic, StandardNormal
from tfp_flows.distributions.circles import WithCircles
from tfp_flows.distributions.completion.question import Question
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.student_t import StudentT
from tfp_flows.distributions.unit_model import UnitModel


def by_units(question: Question, seed: Any, temperature: Any) -> tf.Tensor:
    """Draws unit after unit of an `Autoregressive` or `AnyOrder` model.

    Args:
      question: with a mask that the model can take.
      seed: as for `sample`.
      temperature: as for `sample`.

    Returns:
      `[n * N, *event_shape]`.
    """
    model, asked = question.model, question.tiled()
    return model.from_uniform(
        model.uniforms(question.n * question.num_rows, seed),
        asked.context,
        temperature,
        known=(asked.x, asked.known),
    )


def by_latents(question: Question, seed: Any, temperature: Any) -> tf.Tensor:
    """Draws the rest of z of a flow that keeps an order, and decodes it.

    Args:
      question: whose known units are a beginning of the flow's order.
      seed: as for `sample`.
      temperature: as for `sample`.

    Returns:
      `[n * N, *event_shape]`.
    """
    flow, asked = question.model, question.tiled()
    count = tf.reshape(question.n * question.num_rows, [1])
    given = {} if asked.context is None else {"context": asked.context}
    shape = [] if given else count  # a context brings its rows along
    drawn = flow.sample(shape, seed=seed, temperature=temperature, **given)
    # Where nothing is known stands a typical event: its z is not used, only finite.
    filled = tf.where(asked.known, asked.x, drawn)
    z = flow.encode(filled, asked.context)
    latent = tf.where(asked.known, z, flow.encode(drawn, asked.context))
    return tf.where(asked.known, asked.x, flow.decode(latent, asked.context))


def order_of(flow: Flow) -> np.ndarray | None:
    """Returns the order that all of a flow keeps, `[positions, block_size]`, or None.

    None as well if the units of its base depend on each other.
    """
    independent = (StandardNormal, StandardLogistic, StudentT)
    base = flow.distribution
    others = base.others if isinstance(base, WithCircles) else base
    if others is not None and not isinstance(others, independent):
        return None
    return getattr(flow.bijector, "order", None)


def is_beginning(known: np.ndarray, order: np.ndarray) -> bool:
    """Returns whether the known units of all masks are whole first blocks of an order.

    Args:
      known: bool `[N, *event_shape]`.
      order: `[positions, block_size]`.
    """
    blocks = known.reshape(len(known), -1)[:, order]
    in_part = np.any(blocks, axis=2) & ~np.all(blocks, axis=2)
    return not (come_late(known, order).any() or in_part.any())


def come_late(known: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Returns which masks know units behind unknown ones, bool `[N]`.

    Units of one block are not behind each other.

    Args:
      known: bool `[N, *event_shape]`.
      order: `[positions, block_size]`.
    """
    blocks = known.reshape(len(known), -1)[:, order]
    whole, some = np.all(blocks, axis=2), np.any(blocks, axis=2)
    return (some[:, 1:] & ~whole[:, :-1]).any(axis=1)


def check_whole(model: UnitModel, known: np.ndarray, order: np.ndarray) -> None:
    """Refuses masks that know a part of what the model draws at once.

    Raises:
      ValueError: if there is such a part.
    """
    size = model.element.block_size
    blocks = known.reshape(len(known), -1)[:, order]
    if size and (np.any(blocks, axis=2) != np.all(blocks, axis=2)).any():
        raise ValueError(
            f"{model.name} draws the {size} channels of a pixel together, and some "
            "pixel of the mask is known in part. Mark whole pixels."
        )


def advice(mask: np.ndarray) -> str:
    """Says which order has the known positions first.

    Args:
      mask: bool `[*event_shape]`.
    """
    other = "train flows.any_order, which completes every mask."
    if mask.ndim < 2 or (mask.any(axis=-1) != mask.all(axis=-1)).any():
        return f"Mark a beginning, or {other}"
    known = mask.all(axis=-1)
    names = {"rows": known.ravel(), "reversed": known.ravel()[::-1]}
    if known.ndim == 2:
        names["columns"] = known.T.ravel()
    for name, places in names.items():
        if not (places[1:] & ~places[:-1]).any():
            name = name if known.ndim == 2 or name != "rows" else "natural"
            return f'Build the model with order="{name}", or {other}'
    order = np.argsort(~known.ravel(), kind="stable")
    listed = ", ".join(map(str, order[:8])) + (", ..." if order.size > 8 else "")
    return (
        f"Build the model with the known positions first, order=[{listed}] "
        f"(np.argsort(~known.ravel(), kind='stable')), or {other}"
    )
