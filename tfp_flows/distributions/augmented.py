"""Data with an auxiliary variable: a bound on log p(x) from a flow over (x, u)."""

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions.bases import stateless_seed

tfd = tfp.distributions


class Augmented(tfd.Distribution):
    """Drops the auxiliary part u of a flow over pairs (x, u) [1].

    log p(x) >= E_q [log p(x, u) - log q(u | x)]                          bound
    log p(x) >= E_q [log mean_k p(x, u_k) / q(u_k | x)]   importance-weighted, tighter

    Shapes: x `[*batch, *event_shape]` -> log_prob `[*batch]`.

    Args:
      joint: distribution over lists [x, u].
      auxiliary: q; a distribution over u, or a conditional flow whose context is x.
      name: of the distribution.

    Raises:
      ValueError: if `joint` is not over pairs.

    Example:
      >>> from tfp_flows import flows
      >>> model = flows.reversible((3,), num_steps=2, hidden_units=(8,))
      >>> model.log_prob(tf.zeros([5, 3]), seed=1).shape
      TensorShape([5])

    References:
      [1] Huang, Dinh, Courville. Augmented normalizing flows. 2020. arXiv:2002.07101
    """

    def __init__(
        self,
        joint: tfd.Distribution,
        auxiliary: tfd.Distribution,
        name: str = "augmented",
    ):
        parameters = dict(locals())
        if not isinstance(joint.dtype, (list, tuple)) or len(joint.dtype) != 2:
            raise ValueError(
                f"{name} needs a distribution over pairs [x, u], got {joint.name!r} "
                f"with dtype {joint.dtype}. Build it from ReversibleBlocks."
            )
        self._joint = joint
        self._auxiliary = auxiliary
        self.recipe = None
        super().__init__(
            dtype=joint.dtype[0],
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @property
    def joint(self) -> tfd.Distribution:
        """The flow over pairs [x, u]."""
        return self._joint

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

    def _log_prob(self, x, seed=None):
        seed = stateless_seed(seed)
        rank = x.shape.rank - self.event_shape.rank
        if getattr(self._auxiliary, "context_shape", None) is None:
            u, log_q = self._auxiliary.experimental_sample_and_log_prob(
                tf.shape(x)[:rank], seed=seed
            )
        else:
            u, log_q = self._auxiliary.experimental_sample_and_log_prob(
                [], seed=seed, context=x
            )
        return self._joint.log_prob([x, u]) - log_q

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self._joint.sample(sample_shape, seed=seed, **kwargs)[0]

    def _event_shape(self):
        return tf.TensorShape(self._joint.event_shape[0])

    def _event_shape_tensor(self):
        return tf.constant(self._event_shape().as_list(), tf.int32)

    def _batch_shape(self):
        return tf.TensorShape([])

    def _batch_shape_tensor(self, **_):
        return tf.constant([], tf.int32)
