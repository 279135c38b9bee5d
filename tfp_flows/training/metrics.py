"""The numbers a flow is judged by, as exact means over examples."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf


class BitsPerDim(keras.metrics.Mean):
    """Mean negative log-likelihood per dimension: nll / (D ln 2), in bits.

    Args:
      num_dims: D, the number of dimensions of one event.
      name: of the metric, as in the logs.
      dtype: of the running sums.

    Raises:
      ValueError: if `num_dims` is not positive.

    Examples:
      >>> metric = BitsPerDim(num_dims=2)
      >>> metric.update_state([2 * math.log(2.0)])  # nats per event
      >>> round(float(metric.result()), 6)
      1.0
    """

    def __init__(
        self, num_dims: int, name: str = "bits_per_dim", dtype: str | None = None
    ):
        super().__init__(name=name, dtype=dtype)
        if num_dims < 1:
            raise ValueError(
                f"BitsPerDim needs a positive number of dimensions, got {num_dims}. "
                "Pass the number of elements of one event."
            )
        self.num_dims = num_dims

    def result(self):
        """Returns the mean so far, in bits per dimension."""
        return super().result() / (self.num_dims * math.log(2.0))

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"num_dims": self.num_dims}


class DensityMetrics:
    """Running means of `loss`, `nll` and `bits_per_dim` over examples.

    A batch counts with its number of examples, or the sum of their weights, so that the
    means do not depend on how they were cut into batches or shared among replicas.

    Args:
      event_shape: shape of one event, its size is D in bits per dimension.
    """

    def __init__(self, event_shape: Sequence[int]):
        num_dims = math.prod(int(n) for n in event_shape)
        # float64: a float32 sum over a long epoch would lose the digits of its mean.
        self.loss = keras.metrics.Mean(name="loss", dtype="float64")
        self.nll = keras.metrics.Mean(name="nll", dtype="float64")
        self.bits_per_dim = BitsPerDim(num_dims, dtype="float64")

    def as_list(self) -> list[keras.metrics.Metric]:
        """Returns the metrics in the order of Keras' logs, loss first."""
        return [self.loss, self.nll, self.bits_per_dim]

    def update(
        self,
        nll_sum: tf.Tensor,
        penalty: tf.Tensor,
        weight: tf.Tensor,
        counts: tf.Tensor | bool = True,
    ) -> dict[str, tf.Tensor]:
        """Adds one batch and returns the means so far.

        Args:
          nll_sum: scalar, (weighted) sum of the batch's negative log-likelihoods, nats.
          penalty: scalar, what the layers add to the loss of each example.
          weight: scalar, of the batch; zero on an idle replica.
          counts: scalar, False for a batch that is to leave the means as they are.

        Returns:
          name -> scalar mean over all examples this replica has seen.
        """
        count = tf.where(counts, tf.cast(weight, tf.float64), 0.0)
        nll = tf.math.divide_no_nan(tf.cast(nll_sum, tf.float64), count)
        # Chosen, not multiplied by zero: zero times NaN is NaN.
        loss = tf.where(
            count == 0, tf.zeros_like(nll), nll + tf.cast(penalty, nll.dtype)
        )
        self.loss.update_state(loss, sample_weight=count)
        self.nll.update_state(nll, sample_weight=count)
        self.bits_per_dim.update_state(nll, sample_weight=count)
        return {metric.name: metric.result() for metric in self.as_list()}
