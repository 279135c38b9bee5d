"""A trainable mixture of full-covariance Gaussians, fitted by EM."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import expectation_maximisation, incomplete
from tfp_flows.distributions.bases import Base
from tfp_flows.distributions.model import Model
from tfp_flows.networks.weights.parameters import Parameters


class GaussianMixture(Base, Model):
    """sum_k softmax(logits)_k N(z; mean_k, L_k L_k^T), L_k lower triangular.

    L_k = diag(unit) F_k diag(exp(log_diagonal_k)) (I + B_k)
    mean_k = center_k + diag(unit) F_k shift_k

    `adapt` fits it by expectation-maximisation, sets the fixed `unit` to the standard
    deviations of the data, and the fixed centers and triangular F_k to what was found.
    Trained weights so have no unit: a step of length r changes any component by about r
    of its own width, in every direction, whatever the scale of the data or the
    component; the entries of B_k's row i, which act together, are weights divided by
    sqrt(i).

    Shapes: z `[*batch, *event_shape]` -> log_prob `[*batch]`; with D units an event and
    K components: logits `[K]`, unit `[D]`, center, shift `[K, D]`, F and L `[K, D, D]`.

    Args:
      event_shape: shape of one event.
      num_components: K.
      covariance_floor: added to the variances by `adapt`, as a share of the variance of
        each unit of the data, so that no component collapses on a point.
      seed: of the beginnings of expectation-maximisation.
      dtype: of the events.
      name: of the distribution.

    Raises:
      ValueError: if `num_components` or `covariance_floor` is not positive.

    Examples:
      >>> GaussianMixture((2,), 3).log_prob(tf.zeros([5, 2])).shape
      TensorShape([5])

    References:
      Dempster, Laird, Rubin. Maximum likelihood from incomplete data via the EM
      algorithm. Journal of the Royal Statistical Society B 39, 1977.
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
        if num_components < 1 or not covariance_floor > 0:
            raise ValueError(
                f"{name} needs num_components >= 1 and covariance_floor > 0, got "
                f"{num_components} and {covariance_floor}."
            )
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
                "shift": rng.standard_normal([num_components, size]),
                "log_diagonal": zeros,
                "below": np.zeros([num_components, len(self._below)]),
            },
            {
                "center": zeros,
                "unit": np.ones([size]),
                "factor": np.tile(np.eye(size), [num_components, 1, 1]),
                "adapted": np.array(False),
            },
            dtype=self.dtype.name,
            name=f"{name}_weights",
        )
        self.own_layers = self._no_dependency((self._layer,))
        self._weights = [v.value for v in self._layer.variables]

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def is_adapted(self) -> bool:
        """Whether the mixture was fitted to data."""
        return bool(self._layer["adapted"].numpy())

    def _adapt(self, z, context, seed):
        """Fits the mixture by expectation-maximisation."""
        rows = np.reshape(tf.cast(z, tf.float64), [-1, self._size])
        num_components = self._layer["logits"].shape[0]
        count = int((~np.isnan(rows)).any(axis=1).sum())
        if count < num_components or np.isinf(rows).any():
            raise ValueError(
                f"{self.name} needs at least {num_components} events, all finite, to "
                f"fit as many components, got {count} that hold any value, "
                f"{int(np.isinf(rows).any(axis=1).sum())} of them an infinite one."
            )
        misses = np.isnan(rows).any()
        if misses:
            incomplete.check(rows, self.name)
        way = incomplete if misses else expectation_maximisation
        kind = self.dtype.as_numpy_dtype
        offset, unit = np.nanmean(rows, axis=0), _unit(rows, kind)
        weight, mean, factor = way.fit(
            (rows - offset) / unit,
            num_components,
            self._floor,
            unit,
            np.random.default_rng(self._seed),
        )
        # What rounding takes from the centers goes into the shifts.
        mean = offset + unit * mean
        center = mean.astype(kind)
        shift = np.linalg.solve(factor, ((mean - center) / unit)[..., None])[..., 0]
        self._assign(weight, center, unit, shift, factor)

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Returns ("base", x, log p(x)): there are no steps before it."""
        return [("base", tf.cast(x, self.dtype), self.log_prob(x))]

    def _assign(self, weight, center, unit, shift, factor):
        self._layer.assign(
            logits=np.log(weight),
            center=center,
            unit=unit,
            shift=shift,
            factor=factor,
            log_diagonal=np.zeros(shift.shape),
            below=np.zeros(self._layer["below"].shape),
            adapted=True,
        )

    def _mixing(self):
        """I + B, `[K, D, D]`."""
        below = tf.transpose(tf.convert_to_tensor(self._layer["below"]))
        shape = [self._size, self._size, below.shape[1]]
        lower = tf.transpose(tf.scatter_nd(self._below, below, shape), [2, 0, 1])
        row = tf.range(self._size, dtype=self.dtype)[:, None]
        return tf.linalg.set_diag(
            lower / tf.sqrt(tf.maximum(row, 1.0)), tf.ones_like(lower[..., 0])
        )

    def _log_det(self):
        """log|det L_k|, `[K]`."""
        unit, factor, log_diagonal = (
            tf.convert_to_tensor(self._layer[k])
            for k in ("unit", "factor", "log_diagonal")
        )
        # Two logarithms: the product may leave what the dtype holds.
        logs = tf.math.log(unit) + tf.math.log(tf.linalg.diag_part(factor))
        return tf.reduce_sum(logs + log_diagonal, axis=-1)

    def _log_prob(self, z):
        batch = tf.shape(z)[: z.shape.rank - self._shape.rank]
        rows = tf.reshape(z, [-1, self._size])
        centred = (rows[None] - self._layer["center"][:, None]) / self._layer["unit"]
        white = tf.linalg.triangular_solve(
            self._layer["factor"], tf.transpose(centred, [0, 2, 1])
        )
        white -= self._layer["shift"][..., None]  # [K, D, N]
        white *= tf.exp(-self._layer["log_diagonal"])[..., None]
        white = tf.linalg.triangular_solve(self._mixing(), white)
        log_normalizer = 0.5 * self._size * math.log(2 * math.pi)
        log_normalizer += self._log_det()[:, None]
        log_component = -0.5 * tf.reduce_sum(white**2, axis=1) - log_normalizer
        log_weight = tf.nn.log_softmax(self._layer["logits"])[:, None]
        return tf.reshape(tf.reduce_logsumexp(log_weight + log_component, 0), batch)

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
        events = self._events(noise[:, None])
        chosen = tf.gather(events, component, axis=1, batch_dims=1)
        return tf.reshape(chosen, tf.concat([tf.shape(u)[:-1], self._shape], axis=0))

    def _events(self, white):
        """Returns mean + L white for every component, `[N, K, D]`."""
        white += tf.zeros_like(self._layer["shift"])
        mixed = tf.einsum("kde,nke->nkd", self._mixing(), white)
        mixed = mixed * tf.exp(self._layer["log_diagonal"]) + self._layer["shift"]
        mixed = tf.einsum("kde,nke->nkd", self._layer["factor"], mixed)
        return self._layer["center"] + self._layer["unit"] * mixed

    def components(self, dtype: Any = None) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns log weights `[K]`, means `[K, D]` and L `[K, D, D]`, see above.

        Args:
          dtype: of the arithmetic; that of the events if None. A mean far from 0 is
            not rounded to that of the events in a wider one.
        """
        dtype = dtype or self.dtype
        unit, factor, center, shift, log_diagonal = (
            tf.cast(self._layer[name], dtype)
            for name in ("unit", "factor", "center", "shift", "log_diagonal")
        )
        means = center + unit * tf.linalg.matvec(factor, shift)
        factor = factor * tf.exp(log_diagonal)[:, None]
        factor = unit[:, None] * (factor @ tf.cast(self._mixing(), dtype))
        log_weight = tf.nn.log_softmax(tf.cast(self._layer["logits"], dtype))
        return log_weight, means, factor

    def _mean(self):
        weight = tf.nn.softmax(self._layer["logits"])
        means = self._events(tf.zeros([1, 1, self._size], self.dtype))[0]
        return tf.reshape(tf.reduce_sum(weight[:, None] * means, axis=0), self._shape)


def _unit(rows, kind):
    """Standard deviations `[D]`; where rows do not vary, the rounding of the dtype."""
    size = np.nanmax(np.abs(rows), axis=0)
    deviation = size * np.nanstd(rows / np.where(size > 0, size, 1.0), axis=0)
    unit = np.maximum(deviation, 0.25 * np.finfo(kind).eps * size)
    # A component may be a thousand times narrower and must not be flushed to 0.
    least = np.finfo(kind).tiny / np.finfo(kind).eps
    unit = np.where(unit > 0, np.maximum(unit, least), 1.0)
    return unit.astype(kind).astype(np.float64)
