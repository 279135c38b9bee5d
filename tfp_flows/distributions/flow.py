"""A flow: a base distribution and the bijector that turns it into the data's."""

import functools
import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import noise
from tfp_flows.distributions.bases import (
    Base,
    StandardNormal,
    centre,
    independent_parts,
    seed_for,
)
from tfp_flows.distributions.model import Model

tfd = tfp.distributions

# What tfd.TransformedDistribution(...) returns when its parts are not composite
# tensors. Subclassing the public name would make every flow one, and tf.Module would
# then look for variables in tensors instead of in the bijector.
_TransformedDistribution: Any = tfd.TransformedDistribution.__bases__[0]


class Flow(_TransformedDistribution, Model):
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
      bijector: maps z to x; our `Chain`, or any TFP bijector.
      distribution: base over z; a standard normal of the bijector's latent shape if
        None.
      name: of the distribution; the bijector's if None. Joint distributions take None
        for a name that they may choose.
      parameters: a subclass's constructor's arguments, for `copy`.

    Raises:
      ValueError: if no base is given and the bijector has no latent shape.

    Examples:
      >>> from tfp_flows.bijectors import ActNorm
      >>> flow = Flow(ActNorm((2,)))
      >>> flow.log_prob(flow.sample(3, seed=1)).shape
      TensorShape([3])
    """

    def __init__(
        self,
        bijector: tfp.bijectors.Bijector,
        distribution: tfd.Distribution | None = None,
        name: str | None = None,
        parameters: dict | None = None,
    ):
        parameters = dict(locals()) if parameters is None else parameters
        if distribution is None:
            if not hasattr(bijector, "latent_shape"):
                raise ValueError(
                    f"Flow needs a base distribution for bijector {bijector.name!r}, "
                    "which does not say its latent shape. Pass distribution=."
                )
            distribution = StandardNormal(bijector.latent_shape, bijector.dtype)
        _TransformedDistribution.__init__(
            self,
            distribution,
            bijector,
            kwargs_split_fn=lambda kwargs: ({}, kwargs),
            parameters=parameters,
            name=name or bijector.name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        # The parent's: base and bijector give the batch shape, the rest has none.
        return super()._parameter_properties(dtype, num_classes)

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        """Shape of one context, or None for an unconditional flow."""
        return getattr(self.bijector, "context_shape", None)

    @property
    def real_dtype(self) -> tf.DType:
        """Of the arithmetic, the contexts and the log-probabilities."""
        return tf.nest.flatten(self.dtype)[0]

    @property
    def flow(self) -> "Flow":
        """The flow itself."""
        return self

    @property
    def is_adapted(self) -> bool:
        """Whether data-dependent initialisation is done, or not needed."""
        return all(
            getattr(part, "is_adapted", True)
            for part in (self.bijector, self.distribution)
        )

    @property
    def support(self) -> Any:
        """That of the bijector."""
        return getattr(self.bijector, "support", None)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The bijector and the base."""
        return self.bijector, self.distribution

    def _default_event_space_bijector(self):
        return self.support or super()._default_event_space_bijector()

    def _adapt(self, x, context, seed):
        kwargs = {} if context is None else {"context": context}
        if hasattr(self.bijector, "adapt"):
            self.bijector.adapt(x, **kwargs)
        if isinstance(self.distribution, Model):
            self.distribution._adapt(self.encode(x, context), None, seed)

    def encode(self, x: Any, context: Any = None) -> tf.Tensor:
        """Returns z = bijector.inverse(x; context), `[*batch, *latent_shape]`.

        NaN for an event outside of the support, where `log_prob` is -inf.

        Args:
          x: events `[*batch, *event_shape]`.
          context: `[*batch, *context_shape]` of a conditional flow; broadcasts.
        """
        return self.encode_and_log_det(x, context)[0]

    def decode(self, z: Any, context: Any = None) -> tf.Tensor:
        """Returns x = bijector.forward(z; context), `[*batch, *event_shape]`.

        Args:
          z: codes `[*batch, *latent_shape]`.
          context: `[*batch, *context_shape]` of a conditional flow; broadcasts.
        """
        return self.decode_and_log_det(z, context)[0]

    def encode_and_log_det(self, x: Any, context: Any = None) -> tuple:
        """Returns z and log|det dz/dx| in nats, `[*batch]`.

        NaN and -inf for an event outside of the support. Arguments: see `encode`.
        """
        x = _fresh(x, self.bijector.forward_dtype(self.distribution.dtype))
        kwargs = {} if context is None else {"context": context}
        z, log_det = self._inverse(x, **kwargs)
        log_det = _over_batch(log_det, z, self.distribution.event_shape)
        return _where(_is_impossible(log_det), math.nan, z), log_det

    def decode_and_log_det(self, z: Any, context: Any = None) -> tuple:
        """Returns x and log|det dx/dz| in nats, `[*batch]`; arguments as `decode`."""
        z = _fresh(z, self.distribution.dtype)
        kwargs = {} if context is None else {"context": context}
        x = self.bijector.forward(z, **kwargs)
        ndims = tf.nest.map_structure(lambda s: s.rank, self.distribution.event_shape)
        log_det = self.bijector.forward_log_det_jacobian(z, ndims, **kwargs)
        return x, _over_batch(log_det, x, self.event_shape)

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

    def _inverse(self, x, **kwargs):
        z = self.bijector.inverse(x, **kwargs)
        log_det = self.bijector.inverse_log_det_jacobian(x, self._ndims(), **kwargs)
        if hasattr(self.bijector, "inverse_and_log_det"):
            return z, log_det  # ours say themselves where they have no value
        # TFP's give NaN, as the logarithm of -1, or infinities that cancel to NaN.
        z_ndims = tf.nest.map_structure(lambda s: s.rank, self.distribution.event_shape)
        lost = ~tf.math.is_finite(log_det) | _any_unit(_is_infinite_or_nan, z, z_ndims)
        lost &= ~_any_unit(tf.math.is_nan, x, self._ndims())
        nothing = tf.constant(-math.inf, log_det.dtype)
        return _where(lost, 0.0, z), tf.where(lost, nothing, log_det)

    def _log_prob(self, x, **kwargs):
        z, log_det = self._inverse(x, **kwargs)
        log_prob = self.distribution.log_prob(z) + log_det
        # What cannot be gives no gradient: its z is a stand-in.
        nothing = tf.constant(-math.inf, log_prob.dtype)
        impossible = _is_impossible(log_prob) | self._is_infinite(x)
        return tf.where(impossible, nothing, log_prob)

    def _is_infinite(self, x):
        """Which events hold an infinity, which is no real number; bool `[*batch]`."""

        def any_of(part, ndims):
            return tf.reduce_any(tf.math.is_inf(part), list(range(-ndims, 0)))

        found = tf.nest.map_structure(any_of, x, self._ndims())
        return functools.reduce(tf.logical_or, tf.nest.flatten(found))

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
        seed = noise.salted(seed, "flow")
        parts = independent_parts(self.distribution)
        if parts is None:
            return _drawn(self.distribution, shape, seed, temperature)
        return [
            _drawn(part, shape, noise.salted(seed, f"part {i}"), temperature)
            for i, part in enumerate(parts)
        ]


def _drawn(base, shape, seed, temperature):
    """Draws from a base at a temperature, a number or one for each event."""
    z = base.sample(shape, seed=seed_for(base, seed))
    if isinstance(temperature, (int, float)) and temperature == 1:
        return z
    temperature = tf.cast(temperature, z.dtype)
    ones = [1] * base.event_shape.rank
    temperature = tf.reshape(
        temperature, tf.concat([tf.shape(temperature), ones], axis=0)
    )
    if isinstance(base, Base):
        return base.tempered(z, temperature)
    mean = centre(base)
    return mean + temperature * (z - mean)


def _fresh(value, dtype):
    """A tensor the cache has never seen, so that the answer is computed now."""

    def fresh(part, dtype):
        return tf.identity(tf.cast(tf.convert_to_tensor(part), dtype))

    if not tf.nest.is_nested(dtype):
        return fresh(value, dtype)  # lists of numbers too
    return tf.nest.map_structure(fresh, value, dtype)


def _is_impossible(log_density):
    return tf.math.is_inf(log_density) & (log_density < 0)


def _is_infinite_or_nan(x):
    return ~tf.math.is_finite(x)


def _any_unit(test, value, ndims):
    """Whether any unit of an event passes a test, `[*batch]`."""
    found = [
        tf.reduce_any(test(part), axis=list(range(-n, 0)))
        for part, n in zip(tf.nest.flatten(value), tf.nest.flatten(ndims), strict=True)
    ]
    return functools.reduce(tf.logical_or, found)


def _where(rows, number, value):
    """Puts a number in place of whole events; `rows` is `[*batch]`."""

    def masked(part):
        ones = tf.ones([part.shape.rank - rows.shape.rank], tf.int32)
        mask = tf.reshape(rows, tf.concat([tf.shape(rows), ones], axis=0))
        return tf.where(mask, tf.constant(number, part.dtype), part)

    return tf.nest.map_structure(masked, value)


def _over_batch(log_det, value, event_shape):
    """Gives a log-det that is the same for all events the batch's shape."""
    value = tf.nest.flatten(value)[0]
    rank = value.shape.rank - tf.nest.flatten(event_shape)[0].rank
    return tf.broadcast_to(log_det, tf.shape(value)[:rank])
