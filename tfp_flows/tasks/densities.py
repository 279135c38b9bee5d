"""Log-densities of many events, compiled once, under noise that does not change."""

import numpy as np
import tensorflow as tf

from tfp_flows.tasks.codes import Conditioned

# Of noise for each event, where a model's log_prob is a bound from drawn noise.
_DRAWS = 8
_CHUNK = 250  # events at a time, which bounds the memory


class Densities:
    """log p(x) and, for a flow, log p(z) of the code, as one traced function.

    Args:
      asked: the model and its context.
      seed: int32 `[2]` of the noise: the same at every call, so that a bound does not
        flicker.
    """

    def __init__(self, asked: Conditioned, seed: tf.Tensor):
        dtype = asked.model.real_dtype
        self._compiled = tf.function(
            lambda x: asked.log_densities(x, seed, _DRAWS),
            input_signature=[tf.TensorSpec([None, *asked.model.event_shape], dtype)],
            autograph=False,
        )

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the log-densities `[N, 1 or 2]`, also in a graph.

        Args:
          x: `[N, *event_shape]` in the model's real dtype.
        """
        return self._compiled(x)

    def of_many(self, x: tf.Tensor) -> np.ndarray:
        """Returns the same outside of graphs, a chunk of events at a time.

        Args:
          x: `[N, *event_shape]` in the model's real dtype.
        """
        starts = range(0, max(len(x), 1), _CHUNK)
        return np.concatenate([self._compiled(x[i : i + _CHUNK]) for i in starts])
