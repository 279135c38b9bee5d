"""Integers as rounded-down real numbers: uniform and variational dequantization."""

import math
from typing import Any

import tensorflow as tf

from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.noise import salted, uniform
from tfp_flows.distributions.wrapper import Wrapper


class Dequantized(Wrapper):
    """A distribution over the integers 0 .. num_values - 1 from a continuous flow.

    p(x) = integral of flow.p over the cell [x, x + 1)
    uniform [1]:      log p(x) >= E log flow.p(x + u),  u uniform in [0, 1)
    variational [2]:  log p(x) >= E [log flow.p(x + u) - log q(u | x)],  u from `noise`

    `log_prob` returns the bound in nats for one draw of u (an unbiased estimate of the
    expectation); average calls with different seeds for a tighter estimate. Values
    outside of the range, or between integers, have log_prob -inf. The flow works in
    the unit of the pixels, so `bits_per_dim` needs no correction.

    A noise flow learns q(u | x), the noise that makes the bound tight; its gradient
    comes through u. Its context is the image scaled to [-1, 1] (the middles of the
    cells, see `noise_context`); the context of a conditional flow is not passed to it,
    which loosens the bound at most. Noise outside of [0, 1] makes the bound -inf, so
    let the noise flow end in `bijectors.UnitInterval`.

    Shapes: x int or float `[*batch, *event_shape]` -> log_prob `[*batch]`.

    Args:
      flow: continuous flow over [0, num_values].
      num_values: number of integer values, 256 for 8 bits.
      noise: conditional flow over [0, 1) whose events and contexts have the shape of
        the flow's events; uniform noise if None.
      name: of the distribution; the flow's if None.

    Raises:
      ValueError: if `num_values` < 2 or the noise flow does not fit.

    Examples:
      >>> from tfp_flows.bijectors import PixelLogit
      >>> pixels = Dequantized(Flow(PixelLogit((4,), 17)), num_values=17)
      >>> pixels.sample(2, seed=1).dtype
      tf.int32

    References:
      [1] Theis, van den Oord, Bethge. A note on the evaluation of generative models.
          ICLR 2016. arXiv:1511.01844
      [2] Ho, Chen, Srinivas, Duan, Abbeel. Flow++: Improving flow-based generative
          models with variational dequantization and architecture design. ICML 2019.
          arXiv:1902.00275
    """

    def __init__(
        self,
        flow: Flow,
        num_values: int,
        noise: Flow | None = None,
        name: str | None = None,
    ):
        parameters = dict(locals())
        if num_values < 2:
            raise ValueError(f"Dequantized needs num_values >= 2, got {num_values}.")
        if noise is not None:
            _check_noise(noise, flow)
        self._flow = flow
        self._noise = noise
        self._num_values = int(num_values)
        super().__init__(flow, parameters, name or flow.name, dtype=tf.int32)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def noise(self) -> Flow | None:
        """The flow q(u | x) of the dequantization noise; None if it is uniform."""
        return self._noise

    @property
    def num_values(self) -> int:
        """Number of integer values."""
        return self._num_values

    @property
    def is_exact(self) -> bool:
        """False: `log_prob` is a bound from one draw of noise, and takes a seed."""
        return False

    @property
    def is_adapted(self) -> bool:
        """Whether data-dependent initialisation is done, or not needed."""
        return self._flow.is_adapted and (self._noise is None or self._noise.is_adapted)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The flow, and that of the noise."""
        return self._flow, self._noise

    def _adapt(self, x, context, seed):
        if self._noise is not None:
            # To uniform noise first, so that training begins near it.
            u = self._uniform(x, salted(seed, "dequantized"))
            self._noise.adapt(u, self.noise_context(x))
        self._flow.adapt(self.dequantize(x, seed), context)

    def dequantize(self, x: Any, seed: Any = None) -> tf.Tensor:
        """Adds noise in [0, 1): uniform, or drawn from the noise flow.

        Args:
          x: integers `[*batch, *event_shape]`.
          seed: Python integer, or a `[2]` integer tensor for noise that is a function
            of the seed (and, from a noise flow, of x) alone; `[3]` with the place of
            the first event in a larger batch, whose noise it then has; fresh noise each
            time if None.

        Returns:
          `[*batch, *event_shape]` of the flow's dtype.
        """
        return tf.cast(x, self._flow.dtype) + self.sample_noise(x, seed)[0]

    def sample_noise(self, x: Any, seed: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws the noise for given integers.

        Args:
          x: integers `[*batch, *event_shape]`.
          seed: as in `dequantize`.

        Returns:
          u in (0, 1), `[*batch, *event_shape]`, and log q(u | x) in nats, `[*batch]`,
          or the scalar 0 for uniform noise.
        """
        x, seed = tf.convert_to_tensor(x), salted(seed, "dequantized")
        if self._noise is None:
            return self._uniform(x, seed), tf.zeros([], self._flow.dtype)
        batch = tf.shape(x)[: x.shape.rank - self.event_shape.rank]
        return self.noise_from_base(x, self._noise.distribution.sample(batch, seed))

    def noise_from_base(self, x: Any, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Maps base noise through the noise flow: one call of each of its networks.

        Args:
          x: integers `[*batch, *event_shape]`.
          z: drawn from `noise.distribution`, `[*batch, *latent_shape]`.

        Returns:
          u and log q(u | x), as `sample_noise`.

        Raises:
          ValueError: if the noise is uniform.
        """
        if self._noise is None:
            raise ValueError(
                f"{self.name} has uniform noise, which has no base. Use sample_noise, "
                "or build it with noise=."
            )
        u, log_det = self._noise.decode_and_log_det(z, self.noise_context(x))
        return u, self._noise.distribution.log_prob(z) - log_det

    def noise_context(self, x: Any) -> tf.Tensor:
        """Returns what the noise flow sees of integers: 2 (x + 1/2) / num_values - 1.

        Args:
          x: integers `[*batch, *event_shape]`.
        """
        return (tf.cast(x, self._flow.dtype) + 0.5) * (2.0 / self._num_values) - 1.0

    def _uniform(self, x, seed):
        event = self.event_shape
        rows = tf.reduce_prod(tf.shape(x)[: x.shape.rank - event.rank])
        u = uniform([rows, *event], seed, self._flow.dtype)
        return tf.reshape(u, tf.shape(x))

    def encode(self, x: Any, context: Any = None) -> tf.Tensor:
        """Returns z of the middle of each cell, `[*batch, *latent_shape]`."""
        return self._flow.encode(tf.cast(x, self._flow.dtype) + 0.5, context)

    def decode(self, z: Any, context: Any = None) -> tf.Tensor:
        """Returns the integers whose cells z lies in, `[*batch, *event_shape]`."""
        return self._quantize(self._flow.decode(z, context))

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Follows the middles of the cells through the flow; see `Flow.trace`."""
        return self._flow.trace(tf.cast(x, self._flow.dtype) + 0.5, context)

    def _quantize(self, x):
        # A sample beyond the range belongs to the last value, and NaN to none: it
        # becomes 0 in the cast, as every integer cast does.
        return tf.cast(tf.clip_by_value(tf.floor(x), 0, self._num_values - 1), tf.int32)

    def _log_prob(self, x, context=None, seed=None):
        x = tf.cast(x, self._flow.dtype)
        u, log_q = self.sample_noise(x, seed)
        kwargs = {} if context is None else {"context": context}
        log_prob = self._flow.log_prob(x + u, **kwargs) - log_q
        supported = (x >= 0) & (x <= self._num_values - 1) & (x == tf.floor(x))
        if self._noise is not None:
            # Beyond the cell lies another value's mass. 1 itself may be a rounded u.
            supported &= (u >= 0) & (u <= 1)
        rank = self.event_shape.rank
        supported = tf.reduce_all(supported, axis=list(range(-rank, 0)))
        return tf.where(supported, log_prob, -math.inf)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self._quantize(self._flow.sample(sample_shape, seed=seed, **kwargs))


def _check_noise(noise, flow):
    event = tuple(flow.event_shape.as_list())
    if not isinstance(noise, Flow):
        raise ValueError(
            f"Dequantized needs a Flow as noise, got {type(noise).__name__}. Build one "
            f"with context_shape={event} that ends in UnitInterval, or pass None for "
            "uniform noise."
        )
    got = tuple(noise.event_shape.as_list())
    if got != event or noise.context_shape != event or noise.dtype != flow.dtype:
        raise ValueError(
            f"Dequantized needs a noise flow with events and contexts of shape {event} "
            f"in {flow.dtype.name}, as its flow's events are, got events of shape "
            f"{got} in {noise.dtype.name} with context_shape {noise.context_shape}. "
            f"Build it with event_shape and context_shape {event}."
        )
