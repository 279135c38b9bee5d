"""A trainable mixture of full-covariance Gaussians, fitted by EM."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions.bases import Base
from tfp_flows.networks.parameters import Parameters

_MAX_ITERATIONS = 200
_TOLERANCE = 1e-4  # nats an event: EM stops when it gains less


class GaussianMixture(Base):
    """sum_k softmax(logits)_k N(z; mean_k, L_k L_k^T), L_k lower triangular.

    `adapt` fits it by expectation-maximisation [1]; its weights are Keras variables,
    so that gradient training works as well.

    Shapes: z `[*batch, *event_shape]` -> log_prob `[*batch]`; with D units an event and
    K components: logits `[K]`, mean `[K, D]`, L `[K, D, D]`.

    Args:
      event_shape: shape of one event.
      num_components: K.
      covariance_floor: added to the variances by `adapt`, in the data's unit squared,
        so that no component collapses on a point.
      seed: of the first means, which are events drawn from the data.
      dtype: of the events.
      name: of the distribution.

    Raises:
      ValueError: if `num_components` is not positive.

    Example:
      >>> GaussianMixture((2,), 3).log_prob(tf.zeros([5, 2])).shape
      TensorShape([5])

    References:
      [1] Dempster, Laird, Rubin. Maximum likelihood from incomplete data via the EM
          algorithm. JRSS B 39, 1977.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_components: int,
        covariance_floor: float = 1e-6,
        seed: int = 0,
        dtype: Any = tf.float32,
        name: str = "gaussian_mixture",
    ):
        parameters = dict(locals())
        if num_components < 1:
            raise ValueError(f"{name} needs num_components >= 1, got {num_components}.")
        size = math.prod(event_shape)
        super().__init__(event_shape, size + 1, dtype, parameters, name)
        self._size, self._floor, self._seed = size, covariance_floor, seed
        self._below = np.stack(np.tril_indices(size, -1), axis=-1)
        rng = np.random.default_rng(seed)
        zeros = np.zeros([num_components, size])
        self._layer = Parameters(
            {
                "logits": np.zeros([num_components]),
                # Apart from each other: equal components would get equal gradients.
                "mean": rng.standard_normal([num_components, size]),
                "log_diagonal": zeros,
                "below": np.zeros([num_components, len(self._below)]),
            },
            {"adapted": np.array(False)},
            dtype=self.dtype.name,
            name=f"{name}_weights",
        )
        self._weights = [v.value for v in self._layer.variables]

    @property
    def keras_layers(self) -> tuple:
        """The Keras layer that owns the weights."""
        return (self._layer,)

    @property
    def is_adapted(self) -> bool:
        """Whether the mixture was fitted to data."""
        return bool(self._layer["adapted"].numpy())

    def adapt(self, z: tf.Tensor) -> None:
        """Fits the mixture by expectation-maximisation.

        Args:
          z: `[N, *event_shape]`, at least one event a component.

        Raises:
          ValueError: if there are fewer events than components.
        """
        rows = np.reshape(tf.cast(z, tf.float64), [-1, self._size])
        num_components = self._layer["logits"].shape[0]
        if len(rows) < num_components:
            raise ValueError(
                f"{self.name} needs at least {num_components} events to fit as many "
                f"components, got {len(rows)}."
            )
        weight, mean, factor = _expectation_maximisation(
            rows, num_components, self._floor, np.random.default_rng(self._seed)
        )
        self._layer.assign(
            logits=np.log(weight),
            mean=mean,
            log_diagonal=np.log(np.diagonal(factor, axis1=1, axis2=2)),
            below=factor[:, self._below[:, 0], self._below[:, 1]],
            adapted=True,
        )

    def _factor(self):
        below = tf.transpose(tf.convert_to_tensor(self._layer["below"]))
        shape = [self._size, self._size, below.shape[1]]
        lower = tf.transpose(tf.scatter_nd(self._below, below, shape), [2, 0, 1])
        return tf.linalg.set_diag(lower, tf.exp(self._layer["log_diagonal"]))

    def _log_prob(self, z):
        batch = tf.shape(z)[: z.shape.rank - self._shape.rank]
        rows = tf.reshape(z, [-1, self._size])
        centred = rows[None] - self._layer["mean"][:, None]  # [K, N, D]
        white = tf.linalg.triangular_solve(
            self._factor(), tf.transpose(centred, [0, 2, 1])
        )
        log_normalizer = 0.5 * self._size * math.log(2 * math.pi) + tf.reduce_sum(
            self._layer["log_diagonal"], axis=-1, keepdims=True
        )
        log_component = -0.5 * tf.reduce_sum(white**2, axis=1) - log_normalizer
        log_weight = tf.nn.log_softmax(self._layer["logits"])[:, None]
        return tf.reshape(tf.reduce_logsumexp(log_weight + log_component, 0), batch)

    def _sample_n(self, n, seed=None):
        seed = tfp.random.sanitize_seed(seed, salt="gaussian_mixture")
        u = tf.random.stateless_uniform(
            [n, self.num_uniforms],
            seed,
            minval=self.dtype.as_numpy_dtype(2.0**-24),  # never 0: ndtri is finite
            dtype=self.dtype,
            alg="philox",
        )
        return self.from_uniform(u)

    def from_uniform(self, u: tf.Tensor) -> tf.Tensor:
        """Maps the first number to a component, the others to an event of it.

        Args:
          u: `[*batch, D + 1]` in (0, 1).

        Returns:
          `[*batch, *event_shape]`.
        """
        rows = tf.reshape(u, [-1, self.num_uniforms])
        upper = tf.cumsum(tf.nn.softmax(self._layer["logits"]))[:-1]
        component = tf.reduce_sum(tf.cast(rows[:, :1] > upper, tf.int32), axis=-1)
        noise = tf.math.ndtri(rows[:, 1:])
        # Every component's event for every row, then the chosen one: a gather of
        # factors would hold N matrices instead of K.
        events = tf.einsum("kde,ne->nkd", self._factor(), noise) + self._layer["mean"]
        chosen = tf.gather(events, component, axis=1, batch_dims=1)
        return tf.reshape(chosen, tf.concat([tf.shape(u)[:-1], self._shape], axis=0))

    def _mean(self):
        weight = tf.nn.softmax(self._layer["logits"])
        mean = tf.reduce_sum(weight[:, None] * self._layer["mean"], axis=0)
        return tf.reshape(mean, self._shape)


def _expectation_maximisation(rows, num_components, floor, rng):
    """Returns weights `[K]`, means `[K, D]` and Cholesky factors `[K, D, D]`."""
    responsibility = _nearest(rows, rows[rng.choice(len(rows), num_components, False)])
    before = -np.inf
    for _ in range(_MAX_ITERATIONS):
        weight, mean, factor = _maximise(rows, responsibility, floor)
        log_joint = _log_joint(rows, weight, mean, factor)
        log_prob = np.logaddexp.reduce(log_joint, axis=1)
        responsibility = np.exp(log_joint - log_prob[:, None])
        if log_prob.mean() - before < _TOLERANCE:
            break
        before = log_prob.mean()
    return weight, mean, factor


def _nearest(rows, centres, rounds=10):
    """A few rounds of k-means: responsibilities that EM can begin with."""
    for _ in range(rounds):
        # |row - centre|^2 up to |row|^2, without an array of N x K x D.
        distance = (centres**2).sum(axis=1) - 2.0 * rows @ centres.T
        member = np.eye(len(centres))[distance.argmin(axis=1)]
        count = member.sum(axis=0)[:, None]
        centres = np.where(count > 0, member.T @ rows / np.maximum(count, 1), centres)
    return member


def _maximise(rows, responsibility, floor):
    count = responsibility.sum(axis=0) + 1e-12
    mean = responsibility.T @ rows / count[:, None]
    factors = []
    for k in range(len(count)):
        centred = rows - mean[k]
        covariance = (responsibility[:, k, None] * centred).T @ centred / count[k]
        factors.append(np.linalg.cholesky(covariance + floor * np.eye(rows.shape[1])))
    return count / count.sum(), mean, np.stack(factors)


def _log_joint(rows, weight, mean, factor):
    """log(weight_k N(row; mean_k, factor_k factor_k^T)), `[N, K]`."""
    columns = []
    for k in range(len(weight)):
        white = np.linalg.solve(factor[k], (rows - mean[k]).T)
        log_det = np.log(np.diag(factor[k])).sum()
        constant = 0.5 * rows.shape[1] * math.log(2 * math.pi) + log_det
        columns.append(np.log(weight[k]) - 0.5 * (white**2).sum(axis=0) - constant)
    return np.stack(columns, axis=1)
