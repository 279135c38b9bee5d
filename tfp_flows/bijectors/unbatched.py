"""What TFP asks of a bijector, answered for those without batch dimensions."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.shapes import swapped_shape, swapped_tensor


class Unbatched(tfp.bijectors.Bijector):
    """A bijector of one function: its parameters have no batch dimensions.

    Batches are those of events alone, so the event shapes of x and y are swapped and
    what lies before them stays. A subclass sets `_event_shape`, that of y, and
    `_latent_shape`, that of x.
    """

    _event_shape: tuple[int, ...]
    _latent_shape: tuple[int, ...]

    def _forward_event_shape(self, input_shape):
        return swapped_shape(
            input_shape, self._latent_shape, self._event_shape, self.name
        )

    def _inverse_event_shape(self, output_shape):
        return swapped_shape(
            output_shape, self._event_shape, self._latent_shape, self.name
        )

    def _forward_event_shape_tensor(self, input_shape):
        return swapped_tensor(input_shape, self._latent_shape, self._event_shape)

    def _inverse_event_shape_tensor(self, output_shape):
        return swapped_tensor(output_shape, self._event_shape, self._latent_shape)

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}  # no argument has a batch shape

    def __getitem__(self, slices):
        """Returns the bijector itself: it has no batch dimensions to slice."""
        return self

    def _batch_shape(self, x_event_ndims):
        return tf.TensorShape([])

    def _batch_shape_tensor(self, x_event_ndims):
        return tf.constant([], tf.int32)

    def _get_parameterization(self):
        # TFP takes bijectors with equal arguments for the same function and lets them
        # share a cache. Ours also differ by weights, so each is only equal to itself.
        return id(self)
