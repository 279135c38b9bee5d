"""What replicas have to do together for a checkpoint that is theirs."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf


class ReplicaSums:
    """Reads and sets the sums of each replica, so that means go on to the last bit.

    Read the usual way they would be added up, and set the usual way be divided evenly.
    Both methods are for all workers together.

    Args:
      model: whose metrics they are.
    """

    def __init__(self, model: keras.Model):
        self._strategy = model.distribute_strategy
        self._variables = [v.value for m in model.metrics for v in m.variables]
        self.shape = self._strategy.num_replicas_in_sync, len(self._variables)
        self._read_all = tf.function(self._read)
        self._write_all = tf.function(self._write)

    def read(self) -> np.ndarray:
        """Returns the sums, float64 `[replicas, sums]`."""
        return self._read_all().numpy()

    def write(self, values: np.ndarray) -> None:
        """Sets the sums to those of `read`."""
        self._write_all(tf.constant(values, tf.float64))

    def _read(self):
        def of_replica():
            sums = tf.stack([tf.cast(v, tf.float64) for v in self._variables])
            context = tf.distribute.get_replica_context()
            rows = tf.range(self.shape[0])[:, None]
            is_mine = rows == context.replica_id_in_sync_group
            mine = tf.where(is_mine, sums, tf.zeros(self.shape, tf.float64))
            if self.shape[0] == 1:
                return mine
            return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

        everywhere = self._strategy.run(of_replica)
        return self._strategy.experimental_local_results(everywhere)[0]

    def _write(self, values):
        def of_replica():
            context = tf.distribute.get_replica_context()
            mine = tf.unstack(values[context.replica_id_in_sync_group])
            for variable, value in zip(self._variables, mine, strict=True):
                variable.assign(tf.cast(value, variable.dtype))

        self._strategy.run(of_replica)


def any_of(strategy: tf.distribute.Strategy, flags: Sequence[bool]) -> list[bool]:
    """Returns for each flag whether a worker raised it; for all workers together."""

    @tf.function
    def total(mine):
        def of_replica():
            context = tf.distribute.get_replica_context()
            here = tf.identity(mine)  # an argument has no device
            return context.all_reduce(tf.distribute.ReduceOp.SUM, here)

        return strategy.experimental_local_results(strategy.run(of_replica))[0]

    return (total(tf.cast(flags, tf.float32)).numpy() > 0).tolist()
