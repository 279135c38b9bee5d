"""Completion: exact draws of the rest of an event given its beginning."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import rows
from tfp_flows.distributions.autoregressive import Autoregressive

tfd = tfp.distributions


def complete(
    distribution: tfd.Distribution,
    x: Any,
    mask: Any,
    n: int = 1,
    *,
    seed: Any = None,
    temperature: float = 1.0,
    context: Any = None,
) -> tf.Tensor:
    """Draws the unknown part of events given the known part, exactly.

    An autoregressive model is a chain of conditional distributions in its own order.
    If the known units come first in that order, feeding them and drawing the others
    gives p(rest | beginning) itself: no chain of samples to wait for, no guide. One
    loop over the positions, as for `sample`.

    Args:
      distribution: `Autoregressive`.
      x: events `[*batch, *event_shape]`; their unknown units may hold anything.
      mask: bool, broadcasts to `[*event_shape]`; True marks known units.
      n: draws for each event.
      seed: Python integer or `[2]` integer tensor, as for `sample`.
      temperature: as for `sample`; 1 for exact draws.
      context: `[*batch', *context_shape]` for a conditional model.

    Returns:
      `[n, *broadcast(batch, batch'), *event_shape]`; known units are those of x.

    Raises:
      ValueError: if the known units do not come first in the network's order, or the
        distribution has no such order.

    Example:
      >>> from tfp_flows import flows
      >>> model = flows.pixel_cnn((4, 4, 1), 1, 8, num_values=2)
      >>> upper = np.arange(4).reshape(4, 1, 1) < 2
      >>> complete(model, tf.ones([5, 4, 4, 1], tf.int32), upper, n=3, seed=1).shape
      TensorShape([3, 5, 4, 4, 1])
    """
    if not isinstance(distribution, Autoregressive):
        raise ValueError(
            f"complete needs an Autoregressive distribution, got "
            f"{type(distribution).__name__} {distribution.name!r}. Other flows give no "
            "exact draws of a part of an event given the rest: build "
            "flows.pixel_cnn, pixel_rnn, wavenet or recurrent with num_values."
        )
    mask = _checked(distribution, mask)
    event = distribution.event_shape.as_list()
    x = tf.cast(tf.convert_to_tensor(x), distribution.dtype)
    flat, context, batch = rows.paired(
        x,
        event,
        None if context is None else tf.convert_to_tensor(context),
        distribution.context_shape,
        distribution.name,
    )
    tiled = lambda v: tf.tile(v, [n] + [1] * (v.shape.rank - 1))  # noqa: E731
    drawn = distribution.from_uniform(
        distribution.uniforms(n * tf.shape(flat)[0], seed),
        None if context is None else tiled(context),
        temperature,
        known=(tiled(flat), mask),
    )
    return tf.reshape(drawn, tf.concat([[n], tf.cast(batch, tf.int32), event], axis=0))


def _checked(distribution, mask):
    """Returns the mask of an event, whose known units come first in the order."""
    network = distribution.network
    mask = np.broadcast_to(np.asarray(mask, bool), network.event_shape)
    blocks = mask.ravel()[network.order]  # [positions, block_size]
    whole, some = blocks.all(axis=1), blocks.any(axis=1)
    if (some[1:] & ~whole[:-1]).any():
        first = int(np.argmin(whole))
        unit = np.unravel_index(network.order[first][~blocks[first]][0], mask.shape)
        raise ValueError(
            f"{distribution.name} draws its units in a fixed order, so the known ones "
            f"must come first in it: unit {tuple(map(int, unit))} is unknown, but a "
            "later one is known. Mark a beginning (of images the upper rows), or train "
            "a model with another order."
        )
    if distribution.element.block_size and (some != whole).any():
        raise ValueError(
            f"{distribution.name} draws the {network.block_size} channels of a pixel "
            "together, and some pixel of the mask is known in part. Mark whole pixels."
        )
    return mask
