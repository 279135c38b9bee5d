"""Data with an auxiliary variable: a bound on log p(x) from a flow over (x, u)."""

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions import noise
from tfp_flows.distributions.bases import seed_for
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.model import Model
from tfp_flows.distributions.wrapper import Wrapper

tfd = tfp.distributions


class Augmented(Wrapper):
    """Drops the auxiliary part u of a flow over pairs (x, u) [1].

    log p(x) >= E_q [log p(x, u) - log q(u | x)]                          bound
    log p(x) >= E_q [log mean_k p(x, u_k) / q(u_k | x)]   importance-weighted, tighter

    Shapes: x `[*batch, *event_shape]` -> log_prob `[*batch]`.

    Args:
      joint: flow over lists [x, u].
      auxiliary: q; a distribution over u, or a conditional flow whose context is x.
      name: of the distribution; the joint flow's if None.

    Raises:
      ValueError: if `joint` is not over pairs.

    Examples:
      >>> from tfp_flows import flows
      >>> model = flows.reversible((3,), num_steps=2, hidden_units=(8,))
      >>> model.log_prob(tf.zeros([5, 3]), seed=1).shape
      TensorShape([5])

    References:
      [1] Huang, Dinh, Courville. Augmented normalizing flows. 2020. arXiv:2002.07101
    """

    def __init__(
        self,
        joint: Flow,
        auxiliary: tfd.Distribution,
        name: str | None = None,
    ):
        parameters = dict(locals())
        if not isinstance(joint.dtype, (list, tuple)) or len(joint.dtype) != 2:
            raise ValueError(
                f"Augmented needs a flow over pairs [x, u], got {joint.name!r} "
                f"with dtype {joint.dtype}. Build it from ReversibleBlocks."
            )
        self._auxiliary = auxiliary
        super().__init__(
            joint,
            parameters,
            name or joint.name,
            dtype=joint.dtype[0],
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def joint(self) -> Flow:
        """The flow over pairs [x, u]."""
        return self._inner

    @property
    def flow(self) -> None:
        """None: what an event is mapped to depends on the noise u."""
        return None

    @property
    def is_exact(self) -> bool:
        """False: `log_prob` is a bound from one draw of u, and takes a seed."""
        return False

    @property
    def is_adapted(self) -> bool:
        """Whether data-dependent initialisation is done, or not needed."""
        return self.joint.is_adapted and getattr(self._auxiliary, "is_adapted", True)

    @property
    def auxiliary(self) -> tfd.Distribution:
        """The distribution q that u is drawn from for given x."""
        return self._auxiliary

    def importance_log_prob(
        self, x: Any, num_samples: int = 64, seed: Any = None
    ) -> tf.Tensor:
        """Returns the importance-weighted estimate of log p(x), `[*batch]`, in nats.

        On average a lower bound, which grows to log p(x) with `num_samples` [1].

        Args:
          x: `[*batch, *event_shape]`.
          num_samples: draws of u for each event.
          seed: Python integer or `[2]` integer tensor.

        References:
          [1] Burda, Grosse, Salakhutdinov. Importance weighted autoencoders. ICLR
              2016. arXiv:1509.00519
        """
        x = tf.cast(x, self.dtype)
        copies = tf.broadcast_to(x, tf.concat([[num_samples], tf.shape(x)], axis=0))
        log_weight = self.log_prob(copies, seed=seed)
        return tf.reduce_logsumexp(log_weight, axis=0) - math.log(num_samples)

    def trace(self, x: Any, context: Any = None, seed: Any = 0) -> list[tuple]:
        """Follows pairs [x, u] through the joint flow, see `Model.trace`.

        Args:
          x: `[*batch, *event_shape]`.
          context: `[*batch, *context_shape]` for a conditional model.
          seed: of u.
        """
        x = tf.cast(x, self.dtype)
        u, log_q = self._draw(x, seed)
        steps = self.joint.trace([x, u], context)
        return [("auxiliary", [x, u], -log_q), *steps]

    def auxiliary_from_base(self, x: tf.Tensor, z: tf.Tensor) -> tuple:
        """Returns u and log q(u | x) of base noise.

        Args:
          x: `[*batch, *event_shape]`.
          z: drawn from `auxiliary_base`, `[*batch, *latent_shape]`.
        """
        q = self._auxiliary
        if not isinstance(q, Flow):
            return z, q.log_prob(z)
        u, log_det = q.decode_and_log_det(z, self._seen(x))
        return u, q.distribution.log_prob(z) - log_det

    @property
    def auxiliary_base(self) -> tfd.Distribution:
        """What the noise behind u is drawn from."""
        return getattr(self._auxiliary, "distribution", self._auxiliary)

    @property
    def parts(self) -> tuple[Any, ...]:
        """The flow over pairs, and the distribution of the auxiliary variable."""
        return self.joint, self._auxiliary

    def _adapt(self, x, context, seed):
        if isinstance(self._auxiliary, Model) and not self._auxiliary.is_adapted:
            normal = tf.random.stateless_normal(
                tf.shape(x), noise.salted(seed, "adapt")[:2], dtype=x.dtype
            )
            self._auxiliary.adapt(normal, self._seen(x))
        self.joint._adapt([x, self._draw(x, seed)[0]], context, seed)

    def _seen(self, x):
        return None if getattr(self._auxiliary, "context_shape", None) is None else x

    def _draw(self, x, seed):
        """Draws u for each x, with log q(u | x)."""
        seed = seed_for(self._auxiliary, noise.salted(seed, "augmented"))
        context = self._seen(x)
        if context is not None:
            return self._auxiliary.experimental_sample_and_log_prob(
                [], seed=seed, context=context
            )
        batch = tf.shape(x)[: x.shape.rank - self.event_shape.rank]
        return self._auxiliary.experimental_sample_and_log_prob(batch, seed=seed)

    def _log_prob(self, x, context=None, seed=None):
        u, log_q = self._draw(x, seed)
        kwargs = {} if context is None else {"context": context}
        return self.joint.log_prob([x, u], **kwargs) - log_q

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self.joint.sample(sample_shape, seed=seed, **kwargs)[0]

    def _event_shape(self):
        return tf.TensorShape(self.joint.event_shape[0])

    def _event_shape_tensor(self):
        return tf.constant(self._event_shape().as_list(), tf.int32)
