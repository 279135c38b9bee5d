"""Latent tools: ways between events, attributes, means of classes, typical examples."""

import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import Model, StandardNormal, rows
from tfp_flows.tasks.codes import Conditioned


def interpolate(
    model: Model,
    a: Any,
    b: Any,
    steps: int = 10,
    *,
    context: Any = None,
    context_b: Any = None,
) -> tf.Tensor:
    """Returns the events on the way from a to b in the latent space.

    Under a standard normal the way is a great circle [1], which keeps the typical
    length of z; a straight line would lead through unlikely short ones. Under other
    bases it is the straight line, and of angles the shorter arc. Contexts go on a
    straight line, too.

    Args:
      model: with a flow.
      a: events `[*batch, *event_shape]`.
      b: events of the same shape.
      steps: number of events on the way, both ends included.
      context: `[*batch, *context_shape]` of a, for a conditional model.
      context_b: of b; that of a if None.

    Returns:
      `[steps, *batch, *event_shape]`.

    Raises:
      ValueError: if the model has no latent space, or steps < 2.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.real_nvp((2,), 2, (8,))
      >>> interpolate(flow, [0.0, 1.0], [2.0, 0.0], steps=5).shape
      TensorShape([5, 2])

    References:
      [1] White. Sampling generative networks. 2016. arXiv:1609.04468
    """
    if steps < 2:
        raise ValueError(f"A way has two ends, got steps={steps}. Ask for 2 or more.")
    context_b = context if context_b is None else context_b
    start, end = _codes(model, a, context), _codes(model, b, context_b)
    end = _nearest_turn(model, end, start)
    path = _line
    if isinstance(model.distribution, StandardNormal):
        path = functools.partial(_circle, ndims=model.distribution.event_shape.rank)
    events = []
    for i in range(steps):
        t = i / (steps - 1)
        given = None if context is None else _line(context, context_b, t)
        events.append(_events(model, path(start, end, t), given))
    return tf.stack(events)


def attribute_vector(
    model: Model, with_: Any, without: Any, *, context: Any = None
) -> tf.Tensor:
    """Returns the direction in z from events without an attribute to those with it [1].

    Args:
      model: with a flow.
      with_: events `[N, *event_shape]` that have the attribute.
      without: events `[M, *event_shape]` that do not.
      context: the one context `[*context_shape]` of a conditional model.

    Returns:
      Difference of the mean codes, `[*latent_shape]`, of angles that of their mean
      directions; add it to a code to add the attribute.

    Raises:
      ValueError: if the model has no latent space.

    Examples:
      >>> from tfp_flows import flows
      >>> flow = flows.gaussian((2,))
      >>> right = attribute_vector(flow, [[2.0, 0.0], [2.0, 1.0]], [[0.0, 0.5]])
      >>> print(flow.decode(flow.encode([0.0, 0.0]) + right).numpy().round(3))
      [2. 0.]

    References:
      [1] Kingma, Dhariwal. Glow: Generative flow with invertible 1x1 convolutions.
          NeurIPS 2018. arXiv:1807.03039
    """
    here, there = (_mean(model, x, context) for x in (without, with_))
    return _nearest_turn(model, there, here) - here


def mean_of_class(model: Model, x: Any, *, context: Any = None) -> tf.Tensor:
    """Returns the event of the mean code: what the events of a class have in common.

    Args:
      model: with a flow.
      x: events of the class, `[N, *event_shape]`.
      context: the one context `[*context_shape]` of a conditional model.

    Returns:
      `[*event_shape]`. The mean in x would be blurred, and often impossible.

    Raises:
      ValueError: if the model has no latent space.

    Examples:
      >>> from tfp_flows import flows
      >>> print(mean_of_class(flows.gaussian((2,)), [[0.0, 2.0], [2.0, 4.0]]).numpy())
      [1. 3.]
    """
    mean = _mean(model, x, context)[tf.newaxis]
    return _events(model, mean, context)[0]


def most_typical(
    model: Model,
    x: Any,
    n: int = 1,
    *,
    context: Any = None,
    num_samples: int = 1000,
    seed: int = 0,
) -> tf.Tensor:
    """Returns the events whose log p(x) is nearest to what the model's samples have.

    The typical set of [1].
    Their mean log-density is minus the entropy, and most samples are near it. The most
    likely event is not typical: it is smoother than nearly all others.

    Args:
      model: any.
      x: events `[N, *event_shape]`.
      n: how many to return.
      context: the one context `[*context_shape]` of a conditional model.
      num_samples: of the model, for the mean.
      seed: of samples and noise.

    Returns:
      `[n, *event_shape]`, the most typical first.

    Raises:
      ValueError: if n is not within 1 and N, or events have another shape.

    Examples:
      >>> from tfp_flows import flows
      >>> x = [[0.0, 0.0], [1.4, 0.0], [9.0, 9.0]]
      >>> print(most_typical(flows.gaussian((2,)), x).numpy())
      [[1.4 0. ]]

    References:
      [1] Nalisnick, Matsukawa, Teh, Lakshminarayanan. Detecting out-of-distribution
          inputs to deep generative models using typicality. 2019. arXiv:1906.02994
    """
    events = Conditioned.of(model, context).checked(x, "events")
    x = tf.convert_to_tensor(x)
    if not 1 <= n <= len(x):
        raise ValueError(
            f"most_typical needs 1 <= n <= {len(x)}, the number of events, got {n}."
        )
    given: dict[str, Any] = {} if context is None else {"context": context}
    noise: dict[str, Any] = {} if model.is_exact else {"seed": seed}
    samples = model.sample(num_samples, seed=seed, **given)
    typical = tf.reduce_mean(model.log_prob(tf.identity(samples), **given, **noise))
    distance = tf.abs(model.log_prob(events, **given, **noise) - typical)
    distance = tf.where(tf.math.is_nan(distance), math.inf, distance)  # the last
    return tf.gather(x, tf.argsort(distance)[:n])


def _codes(model, x, context):
    if not isinstance(model, Model):
        raise ValueError(
            "This task needs a model of this library, got "
            f"{type(model).__name__}. Build one with tfp_flows.flows."
        )
    if model.flow is None:
        raise ValueError(
            f"{model.name} has no latent space: an event has no code to move. Use a "
            "flow, such as flows.real_nvp or flows.glow."
        )
    rows.check_context(context, model.context_shape, model.name)
    given = () if context is None else (context,)
    z = model.encode(x, *given)
    if hasattr(z, "numpy") and not np.isfinite(z).all():
        raise ValueError(
            f"Some events have no code under {model.name}: they hold NaN or infinite "
            "values, or lie beyond its support. Drop or mend them."
        )
    return z


def _mean(model, x, context):
    """Mean code of events; of angles their mean direction."""
    z = _codes(model, x, context)
    if z.shape.rank == 0 or z.shape[0] == 0:
        raise ValueError("A mean needs events [N, *event_shape], got none. Give some.")
    mean = tf.reduce_mean(z, axis=0)
    is_angle = getattr(model.distribution, "is_angle", None)
    if is_angle is None:
        return mean
    sine, cosine = tf.reduce_mean(tf.sin(z), axis=0), tf.reduce_mean(tf.cos(z), axis=0)
    return tf.where(is_angle, tf.atan2(sine, cosine), mean)


def _nearest_turn(model, z, there):
    """The code z, its angles plus the turns that bring them nearest to another code."""
    is_angle = getattr(model.distribution, "is_angle", None)
    if is_angle is None:
        return z
    turns = tf.round((there - z) / (2 * math.pi))
    return tf.where(is_angle, z + 2 * math.pi * turns, z)


def _events(model, z, context):
    given = () if context is None else (context,)
    return model.decode(z, *given)


def _line(start, end, t):
    start, end = tf.convert_to_tensor(start), tf.convert_to_tensor(end)
    return (1.0 - t) * start + t * end


def _circle(start, end, t, ndims):
    """Spherical interpolation over the last `ndims` axes."""
    axes = list(range(-ndims, 0))

    def dot(a, b):
        return tf.reduce_sum(a * b, axis=axes, keepdims=True)

    cosine = dot(start, end) / tf.sqrt(dot(start, start) * dot(end, end))
    # Where both point the same way the circle is the line, but sin(angle) is 0.
    angle = tf.acos(tf.clip_by_value(cosine, -0.9999, 0.9999))
    first, second = tf.sin((1.0 - t) * angle), tf.sin(t * angle)
    return (first * start + second * end) / tf.sin(angle)
