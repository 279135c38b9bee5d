"""What autoregressive networks over time have in common."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_flows.networks.autoregressive_network import AutoregressiveNetwork


class SequenceNetwork(AutoregressiveNetwork):
    """An autoregressive network whose positions are the time steps of a sequence.

    All channels of one time step form one position: each of them sees all channels of
    all earlier steps, and no channel of its own step.

    A context is a vector `(K,)`, the same for all time steps, or a sequence `(T, K)`;
    the parameters of time step t then see row t of it. Rows of other steps reach them
    through the network's memory of the past alone.

    Args:
      event_shape: `[T, C]`, time steps and channels.
      num_params: parameters of each unit.
      num_features: numbers that the network is shown of each unit.
      **kwargs: of `keras.layers.Layer`, such as `dtype` and `name`.

    Raises:
      ValueError: if the events are no sequences.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_params: int,
        num_features: int = 1,
        **kwargs,
    ):
        if len(event_shape) != 2:
            raise ValueError(
                f"{type(self).__name__} needs events [time steps, channels], got "
                f"event_shape {tuple(event_shape)}. Give series of numbers one channel."
            )
        order = np.arange(event_shape[0] * event_shape[1]).reshape(event_shape)
        super().__init__(event_shape, num_params, num_features, order, **kwargs)
        self._context_is_sequence = False

    def _read_context_shape(self, context_shape):
        """Remembers which kind of context comes; call it from `build`."""
        if context_shape is None:
            return
        given = tuple(context_shape[1:])
        self._context_is_sequence = len(given) == 2
        steps = self.event_shape[0]
        if len(given) not in (1, 2) or self._context_is_sequence and given[0] != steps:
            raise ValueError(
                f"{self.name} takes vectors (K,) as contexts, or sequences ({steps}, "
                f"K) of one row for each time step, got a context of shape {given}. "
                "Build it with one of these context shapes."
            )

    def _along_time(self, context):
        """Context with an axis of time, of length 1 for a vector: `[B, T or 1, K]`."""
        context = tf.cast(context, self.compute_dtype)
        return context if self._context_is_sequence else context[:, None]

    def _time_first(self, context):
        """Context as `step` keeps it, `[T or 1, B, K]`; nothing for none."""
        if context is None:
            return ()
        return tf.transpose(self._along_time(context), [1, 0, 2])

    def _at(self, time_first, i):
        """Row of time step i of what `_time_first` returned, `[B, K]`."""
        return time_first[i if self._context_is_sequence else 0]

    def _shown(self, x_previous, i):
        """What a step sees of the one before it: zeros at the first."""
        x_previous = tf.cast(x_previous, self.compute_dtype)
        return tf.where(tf.equal(i, 0), tf.zeros_like(x_previous), x_previous)


def delayed(x: tf.Tensor, steps: int) -> tf.Tensor:
    """Moves a sequence `[B, T, ...]` to later times; zeros come in, the end is lost.

    Args:
      x: of a static number T of time steps.
      steps: by how many, not negative.

    Returns:
      A tensor of the shape of x.

    Examples:
      >>> delayed(tf.constant([[[1], [2], [3]]]), 2).numpy().ravel()
      array([0, 0, 1], dtype=int32)
    """
    if not steps:
        return x
    steps = min(steps, x.shape[1])
    padding = [[0, 0], [steps, 0]] + [[0, 0]] * (x.shape.rank - 2)
    return tf.pad(x[:, : x.shape[1] - steps], padding)
