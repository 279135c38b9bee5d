"""A flow: a base distribution and the bijector that turns it into the data's."""

import math
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions.bases import StandardNormal, stateless_seed
from tfp_flows.distributions.given import Given

tfd = tfp.distributions

# What tfd.TransformedDistribution(...) returns when its parts are not composite
# tensors. Subclassing the public name would make every flow one, and tf.Module would
# then look for variables in tensors instead of in the bijector.
_TransformedDistribution: Any = tfd.TransformedDistribution.__bases__[0]


class Flow(_TransformedDistribution):
    """A transformed distribution that encodes, decodes, adapts and takes a context.

    log p(x | c) = log p(z) + log|det dz/dx|,  z = bijector.inverse(x; c), in nats;
    -inf outside of the support

    Shapes: x `[*batch, *event_shape]`, context `[*batch', *context_shape]` ->
    log_prob `[*broadcast(batch, batch')]`. One network call of each network for a
    `log_prob`, and for a `sample` with the `log_prob` of what it drew.

    `sample` draws the same whenever it is called with the same seed, a Python integer
    or a `[2]` integer tensor. As long as you hold a sample, TFP answers
    `log_prob(sample)` from its cache, also after the weights have changed; ask with
    `tf.identity(sample)` to have it computed anew. `encode` and `decode` always do.

    Args:
      bijector: maps z to x; our `Chain`, or any TFP bijector. (Alone, TFP's give NaN
        outside of their range; as part of a `Chain` -inf.)
      distribution: base over z; a standard normal of the bijector's latent shape if
        None.
      recipe: how to build the same flow again, set by the functions in `flows`.
      name: of the distribution.

    Raises:
      ValueError: if no base is given and the bijector has no latent shape.

    Example:
      >>> from tfp_flows.bijectors import ActNorm
      >>> flow = Flow(ActNorm((2,)))
      >>> flow.log_prob(flow.sample(3, seed=1)).shape
      TensorShape([3])
    """

    def __init__(
        self,
        bijector: tfp.bijectors.Bijector,
        distribution: tfd.Distribution | None = None,
        recipe: Any = None,
        name: str = "flow",
    ):
        parameters = dict(locals())
        if distribution is None:
            if not hasattr(bijector, "latent_shape"):
                raise ValueError(
                    f"Flow needs a base distribution for bijector {bijector.name!r}, "
                    "which does not say its latent shape. Pass distribution=."
                )
            distribution = StandardNormal(bijector.latent_shape, bijector.dtype)
        self.recipe = recipe
        super().__init__(
            distribution,
            bijector,
            kwargs_split_fn=lambda kwargs: ({}, kwargs),
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        # The parent's: base and bijector give the batch shape, the rest has none.
        return super()._parameter_properties(dtype, num_classes)

    @property
    def num_values(self) -> None:
        """None: the events are continuous."""
        return None

    @property
    def is_exact(self) -> bool:
        """True: `log_prob` is no bound and takes no noise."""
        return True

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        """Shape of one context, or None for an unconditional flow."""
        return getattr(self.bijector, "context_shape", None)

    @property
    def keras_layers(self) -> tuple[keras.Layer, ...]:
        """The Keras layers that own all weights, each once."""
        return keras_layers(self)

    @property
    def raw_variables(self) -> tuple[tf.Variable, ...]:
        """All weights, trained or not, as `tf.Variable`s, in a fixed order."""
        return raw_variables(self)

    @property
    def is_adapted(self) -> bool:
        """Whether data-dependent initialisation is done, or not needed."""
        return all(
            getattr(part, "is_adapted", True)
            for part in (self.bijector, self.distribution)
        )

    def adapt(self, data: Any, context: Any = None) -> None:
        """Sets the data-dependent weights: act norms, fitted moments, mixtures.

        Call it once, before training and outside of a replica's step; the fact is
        saved with the weights. Every step is adapted to the data as the steps before
        it, already adapted, pass it on.

        Args:
          data: events `[N, *event_shape]`, or a finite `tf.data.Dataset` of batches
            of x, or of (context, x) for a conditional flow. All of it is used at once:
            `dataset.take(k)` bounds the memory.
          context: `[N, *context_shape]`, when `data` is an array.

        Raises:
          ValueError: if there are too few events, or not all are finite.

        Warns:
          UserWarning: if a unit has the same value in all events. It keeps the scale 1,
            and no density of it means anything.

        Example:
          >>> from tfp_flows.bijectors import ActNorm
          >>> flow = Flow(ActNorm((2,)))
          >>> flow.adapt(tf.random.normal([100, 2]))
          >>> flow.is_adapted
          True
        """
        x, context = gathered(data, context, self.context_shape)
        x = tf.convert_to_tensor(tf.cast(x, self.dtype))
        _tell_constant_units(x, self.name)
        # Parts inside of parts are not asked through TFP, which would convert it.
        context = None if context is None else tf.cast(context, self.dtype)
        kwargs = {} if context is None else {"context": context}
        if hasattr(self.bijector, "adapt"):
            self.bijector.adapt(x, **kwargs)
        if hasattr(self.distribution, "adapt"):
            self.distribution.adapt(self.encode(x, context))

    def encode(self, x: Any, context: Any = None) -> tf.Tensor:
        """Returns z = bijector.inverse(x; context), `[*batch, *latent_shape]`.

        NaN for an event outside of the support, where `log_prob` is -inf.
        """
        return self.encode_and_log_det(x, context)[0]

    def decode(self, z: Any, context: Any = None) -> tf.Tensor:
        """Returns x = bijector.forward(z; context), `[*batch, *event_shape]`."""
        return self.decode_and_log_det(z, context)[0]

    def encode_and_log_det(self, x: Any, context: Any = None) -> tuple:
        """Returns z and log|det dz/dx| in nats, `[*batch]`.

        NaN and -inf for an event outside of the support.
        """
        x = _fresh(x, self.bijector.forward_dtype(self.distribution.dtype))
        kwargs = {} if context is None else {"context": context}
        z = self.bijector.inverse(x, **kwargs)
        log_det = self.bijector.inverse_log_det_jacobian(x, self._ndims(), **kwargs)
        log_det = _over_batch(log_det, z, self.distribution.event_shape)
        return _nan_where(_is_impossible(log_det), z), log_det

    def decode_and_log_det(self, z: Any, context: Any = None) -> tuple:
        """Returns x and log|det dx/dz| in nats, `[*batch]`."""
        z = _fresh(z, self.distribution.dtype)
        kwargs = {} if context is None else {"context": context}
        x = self.bijector.forward(z, **kwargs)
        ndims = tf.nest.map_structure(lambda s: s.rank, self.distribution.event_shape)
        log_det = self.bijector.forward_log_det_jacobian(z, ndims, **kwargs)
        return x, _over_batch(log_det, x, self.event_shape)

    def given(self, context: Any) -> tfd.Distribution:
        """Returns p(x | context) as a plain distribution, batched as the context is.

        Args:
          context: `[*batch, *context_shape]`.

        Raises:
          ValueError: if the flow is not conditional.
        """
        return Given(self, context)

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Follows events from the data to the latent side.

        Args:
          x: `[*batch, *event_shape]`.
          context: `[*batch, *context_shape]` for a conditional flow.

        Returns:
          (name of the bijector, value it gives, its log-det) for each step, then
          ("base", z, log p(z)).
        """
        x = _fresh(x, self.dtype)
        if hasattr(self.bijector, "steps"):
            steps = list(self.bijector.steps(x, context))
        else:
            z, log_det = self.encode_and_log_det(x, context)
            steps = [(self.bijector.name, z, log_det)]
        z = steps[-1][1]
        return [*steps, ("base", z, self.distribution.log_prob(z))]

    def _ndims(self):
        return tf.nest.map_structure(lambda shape: shape.rank, self.event_shape)

    def _log_prob(self, x, **kwargs):
        z = self.bijector.inverse(x, **kwargs)
        log_det = self.bijector.inverse_log_det_jacobian(x, self._ndims(), **kwargs)
        log_prob = self.distribution.log_prob(z) + log_det
        # What cannot be gives no gradient: its z is a stand-in.
        nothing = tf.constant(-math.inf, log_prob.dtype)
        return tf.where(_is_impossible(log_prob), nothing, log_prob)

    def _call_sample_n(self, sample_shape, seed, temperature=1.0, context=None):
        z = self._sample_base(sample_shape, seed, temperature, context)
        kwargs = {} if context is None else {"context": context}
        # The last operation, so that the cache knows the sample.
        return self.bijector.forward(z, **kwargs)

    def _sample_and_log_prob(self, sample_shape, seed, temperature=1.0, context=None):
        z = self._sample_base(sample_shape, seed, temperature, context)
        kwargs = {} if context is None else {"context": context}
        x = self.bijector.forward(z, **kwargs)
        ndims = tf.nest.map_structure(lambda s: s.rank, self.distribution.event_shape)
        log_det = self.bijector.forward_log_det_jacobian(z, ndims, **kwargs)
        return x, self.distribution.log_prob(z) - log_det

    def _sample_base(self, sample_shape, seed, temperature, context):
        shape = tf.reshape(tf.convert_to_tensor(sample_shape, tf.int32), [-1])
        if context is not None and self.context_shape is not None:
            context_batch = tf.shape(context)[: -len(self.context_shape) or None]
            shape = tf.concat([shape, context_batch], axis=0)
        static = tf.get_static_value(shape)
        shape = shape if static is None else static
        z = self.distribution.sample(shape, seed=stateless_seed(seed))
        if isinstance(temperature, (int, float)) and temperature == 1:
            return z
        temperature = tf.cast(temperature, z.dtype)
        ones = [1] * self.distribution.event_shape.rank
        temperature = tf.reshape(
            temperature, tf.concat([tf.shape(temperature), ones], axis=0)
        )
        mean = _centre(self.distribution)
        return mean + temperature * (z - mean)


def keras_layers(distribution: tf.Module) -> tuple[keras.Layer, ...]:
    """Returns the Keras layers of all parts of a distribution, each once."""
    parts = [m for m in distribution.submodules if not isinstance(m, Flow)]
    layers = [layer for part in parts for layer in getattr(part, "keras_layers", ())]
    return tuple({id(layer): layer for layer in layers}.values())


def raw_variables(distribution: tf.Module) -> tuple[tf.Variable, ...]:
    """Returns the raw variables of all parts of a distribution, each once."""
    values = [v.value for layer in keras_layers(distribution) for v in layer.variables]
    return tuple({id(value): value for value in values}.values())


def gathered(data: Any, context: Any, context_shape: tuple | None) -> tuple:
    """Returns (x, context) as whole tensors from arrays or a data set of batches."""
    if not isinstance(data, tf.data.Dataset):
        return tf.convert_to_tensor(data), context
    batches = list(data)
    if not batches:
        raise ValueError("The data set to adapt to is empty. Give at least one batch.")
    if context_shape is None:
        first = [b[0] if isinstance(b, (tuple, list)) else b for b in batches]
        return tf.concat(first, axis=0), None
    contexts, events = zip(*batches, strict=True)
    return tf.concat(events, axis=0), tf.concat(contexts, axis=0)


def _tell_constant_units(x, name):
    """Warns of units that do not vary: training would narrow them without end."""
    same = tf.reduce_all(tf.equal(x, x[:1]), axis=0)
    places = tf.where(same).numpy().tolist() if len(x) > 1 else []
    if places:
        warnings.warn(
            f"{name!r} adapts to {len(x)} events in which {len(places)} units never "
            f"vary: {str(places[:5])[1:-1]}{' ...' if places[5:] else ''}. Drop them: "
            "they have no density, and training would narrow the model's without end.",
            stacklevel=3,
        )


def _centre(base):
    """The mean, about which temperatures scale; refused where there is none."""
    try:
        mean = base.mean()
        known = _known(base, mean)
    except (NotImplementedError, ValueError):  # TFP refuses NaN if told to
        known = math.nan
    if known is not None and not np.isfinite(known).all():
        raise ValueError(
            f"A temperature scales the noise about the mean of the base distribution, "
            f"and {base.name!r} has no finite one. Sample with temperature=1, or give "
            "the flow a base with a mean, such as a normal or a logistic."
        )
    return mean


def _known(base, mean):
    """The mean as an array, also inside of a graph, or None if it follows from it."""
    value = tf.get_static_value(mean)
    if value is not None:
        return value
    try:
        with tf.init_scope():
            return tf.get_static_value(base.mean())
    except (TypeError, ValueError):  # made of tensors of the graph
        return None


def _fresh(value, dtype):
    """A tensor the cache has never seen, so that the answer is computed now."""
    return tf.nest.map_structure(
        lambda v, d: tf.identity(tf.cast(tf.convert_to_tensor(v), d)), value, dtype
    )


def _is_impossible(log_density):
    return tf.math.is_inf(log_density) & (log_density < 0)


def _nan_where(rows, value):
    """Puts NaN in place of whole events; `rows` is `[*batch]`."""

    def masked(part):
        ones = tf.ones([part.shape.rank - rows.shape.rank], tf.int32)
        mask = tf.reshape(rows, tf.concat([tf.shape(rows), ones], axis=0))
        return tf.where(mask, tf.constant(math.nan, part.dtype), part)

    return tf.nest.map_structure(masked, value)


def _over_batch(log_det, value, event_shape):
    """Gives a log-det that is the same for all events the batch's shape."""
    value = tf.nest.flatten(value)[0]
    rank = value.shape.rank - tf.nest.flatten(event_shape)[0].rank
    return tf.broadcast_to(log_det, tf.shape(value)[:rank])
