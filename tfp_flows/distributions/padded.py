"""Integer images of any size for flows that need another: zeros around them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.wrapper import Wrapper


class Padded(Wrapper):
    """The middle of larger images: a distribution over the images without borders.

    P(x) = sum over borders of P'(x with that border) >= P'(x with a border of zeros)

    Here P' is the distribution over the larger images, and P that of their middles,
    which `sample` draws. `log_prob` returns the bound that P' gives for zeros around
    x: still a lower bound on log P(x), which training tightens, since all padded
    images have the same border. `bits_per_dim` counts the pixels of x alone.

    For integers only. The zeros of continuous images would be points without
    probability, on which a density can grow without end.

    Latent variables, traces and image-shaped contexts belong to the larger images.

    Shapes: x int or float `[*batch, *event_shape]` -> log_prob `[*batch]`.

    Args:
      dequantized: distribution over the larger images, `(height, width, channels)`,
        or other events with positions.
      event_shape: of x; no side larger, and as many channels. Where the border has an
        odd number of rows or columns, the one more is below or to the right.
      name: of the distribution; the larger images' if None.

    Raises:
      ValueError: if the distribution is not a `Dequantized` one, or `event_shape` does
        not fit into its events.

    Examples:
      >>> from tfp_flows.bijectors import PixelLogit
      >>> larger = Dequantized(Flow(PixelLogit((4, 4, 1), 17)), num_values=17)
      >>> images = Padded(larger, (3, 3, 1))
      >>> images.sample(2, seed=1).shape
      TensorShape([2, 3, 3, 1])
      >>> print(images.pad(tf.ones([3, 3, 1], tf.int32)).numpy()[..., 0])
      [[1 1 1 0]
       [1 1 1 0]
       [1 1 1 0]
       [0 0 0 0]]
    """

    def __init__(
        self,
        dequantized: Dequantized,
        event_shape: Sequence[int],
        name: str | None = None,
    ):
        parameters = dict(locals())
        if not isinstance(dequantized, Dequantized):
            raise ValueError(
                f"Padded needs a Dequantized distribution, got "
                f"{type(dequantized).__name__}. Around continuous images zeros have no "
                "probability, and their density no bound: dequantize integers, or "
                "resize the images."
            )
        shape = tuple(int(n) for n in event_shape)
        larger = tuple(dequantized.event_shape.as_list())
        _check_fits(shape, larger)
        self._dequantized = dequantized
        self._shape = tf.TensorShape(shape)
        missing = [wide - n for wide, n in zip(larger, shape, strict=True)]
        self._before = tuple(n // 2 for n in missing)
        self._after = tuple(n - n // 2 for n in missing)
        super().__init__(dequantized, parameters, name or dequantized.name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    @property
    def dequantized(self) -> Dequantized:
        """The distribution over the larger images."""
        return self._dequantized

    @property
    def noise(self) -> Flow | None:
        """The flow of the dequantization noise; None if it is uniform."""
        return self._dequantized.noise

    def pad(self, x: Any) -> tf.Tensor:
        """Puts zeros around images: `[*batch, *event_shape]` -> the larger ones.

        Raises:
          ValueError: for images of another shape.
        """
        x = tf.convert_to_tensor(x)
        if not x.shape[-len(self._shape) :].is_compatible_with(self._shape):
            raise ValueError(
                f"{self.name} wants images of shape "
                f"[..., {', '.join(map(str, self._shape))}], got {x.shape}. "
                "Reshape them, or build it with their event_shape."
            )
        border = [(0, 0)] * (x.shape.rank - len(self._shape))
        return tf.pad(x, [*border, *zip(self._before, self._after, strict=True)])

    def crop(self, x: Any) -> tf.Tensor:
        """Returns the middle of the larger images, `[*batch, *event_shape]`."""
        x = tf.convert_to_tensor(x)
        middle = [
            slice(start, start + n)
            for start, n in zip(self._before, self._shape, strict=True)
        ]
        return x[(..., *middle)]

    def _adapt(self, x, context, seed):
        self._dequantized.adapt(self.pad(x), context, seed)

    def encode(self, x: Any, context: Any = None) -> tf.Tensor:
        """Returns z of the padded image, `[*batch, *latent_shape]`."""
        return self._dequantized.encode(self.pad(x), context)

    def decode(self, z: Any, context: Any = None) -> tf.Tensor:
        """Returns the middles of the images that z belongs to."""
        return self.crop(self._dequantized.decode(z, context))

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Follows padded images through the flow; see `Flow.trace`."""
        return self._dequantized.trace(self.pad(x), context)

    def _log_prob(self, x, **kwargs):
        return self._dequantized.log_prob(self.pad(x), **kwargs)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self.crop(self._dequantized.sample(sample_shape, seed=seed, **kwargs))

    def _event_shape(self):
        return self._shape

    def _event_shape_tensor(self):
        return tf.constant(self._shape.as_list(), tf.int32)


def _check_fits(shape, larger):
    fits = len(shape) == len(larger) > 1 and shape[-1] == larger[-1]
    if not fits or min(shape) < 1 or np.any(np.array(shape) > larger):
        raise ValueError(
            f"Padded needs an event_shape such as (height, width, channels) that lies "
            f"inside of its distribution's events {larger}, got {shape}."
        )
