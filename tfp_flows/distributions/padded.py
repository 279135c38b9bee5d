"""Integer images of any size for flows that need another: zeros around them."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.flow import Flow, gathered
from tfp_flows.distributions.given import Given

tfd = tfp.distributions


class Padded(tfd.Distribution):
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
      dequantized: distribution over the larger images, `(height, width, channels)`.
      event_shape: of x; no side larger, and as many channels. Where the border has an
        odd number of rows or columns, the one more is below or to the right.
      name: of the distribution.

    Raises:
      ValueError: if the distribution is not a `Dequantized` one, or `event_shape` does
        not fit into its events.

    Example:
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
        name: str = "padded",
    ):
        parameters = dict(locals())
        if not isinstance(dequantized, Dequantized):
            raise ValueError(
                f"{name} needs a Dequantized distribution, got "
                f"{type(dequantized).__name__}. Around continuous images zeros have no "
                "probability, and their density no bound: dequantize integers, or "
                "resize the images."
            )
        shape = tuple(int(n) for n in event_shape)
        larger = tuple(dequantized.event_shape.as_list())
        _check_fits(shape, larger, name)
        self._dequantized = dequantized
        self._shape = tf.TensorShape(shape)
        missing = [wide - n for wide, n in zip(larger, shape, strict=True)]
        self._before = tuple(n // 2 for n in missing)
        self._after = tuple(n - n // 2 for n in missing)
        self.recipe = None
        super().__init__(
            dtype=tf.int32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @property
    def dequantized(self) -> Dequantized:
        """The distribution over the larger images."""
        return self._dequantized

    @property
    def flow(self) -> Flow:
        """The continuous flow over the larger images."""
        return self._dequantized.flow

    @property
    def noise(self) -> Flow | None:
        """The flow of the dequantization noise; None if it is uniform."""
        return self._dequantized.noise

    @property
    def num_values(self) -> int:
        """Number of integer values."""
        return self._dequantized.num_values

    @property
    def is_exact(self) -> bool:
        """False: `log_prob` is a bound from one draw of noise, and takes a seed."""
        return False

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        """Shape of one context, or None for an unconditional flow."""
        return self._dequantized.context_shape

    @property
    def keras_layers(self) -> tuple[keras.Layer, ...]:
        """The Keras layers that own all weights, each once."""
        return self._dequantized.keras_layers

    @property
    def raw_variables(self) -> tuple[tf.Variable, ...]:
        """All weights, trained or not, as `tf.Variable`s, in a fixed order."""
        return self._dequantized.raw_variables

    @property
    def is_adapted(self) -> bool:
        """Whether data-dependent initialisation is done, or not needed."""
        return self._dequantized.is_adapted

    def pad(self, x: Any) -> tf.Tensor:
        """Puts zeros around images: `[*batch, *event_shape]` -> the larger ones.

        Raises:
          ValueError: for images of another shape.
        """
        x = tf.convert_to_tensor(x)
        if not x.shape[-len(self._shape) :].is_compatible_with(self._shape):
            raise ValueError(
                f"{self.name} wants images of shape "
                f"[..., {', '.join(map(str, self._shape))}], got {x.shape}."
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

    def adapt(self, data: Any, context: Any = None, seed: Any = 0) -> None:
        """Adapts to padded images; see `Dequantized.adapt`.

        Args:
          data: integers `[N, *event_shape]`, or a finite `tf.data.Dataset` of batches
            of x, or of (context, x).
          context: `[N, *context_shape]`, when `data` is an array.
          seed: of the dequantization noise.
        """
        x, context = gathered(data, context, self.context_shape)
        self._dequantized.adapt(self.pad(x), context, seed)

    def encode(self, x: Any, context: Any = None) -> tf.Tensor:
        """Returns z of the padded image, `[*batch, *latent_shape]`."""
        return self._dequantized.encode(self.pad(x), context)

    def decode(self, z: Any, context: Any = None) -> tf.Tensor:
        """Returns the middles of the images that z belongs to."""
        return self.crop(self._dequantized.decode(z, context))

    def given(self, context: Any) -> tfd.Distribution:
        """Returns p(x | context) as a plain distribution; see `Flow.given`."""
        return Given(self, context)

    def trace(self, x: Any, context: Any = None) -> list[tuple]:
        """Follows padded images through the flow; see `Flow.trace`."""
        return self._dequantized.trace(self.pad(x), context)

    def bits_per_dim(self, x: Any, context: Any = None, seed: Any = None) -> tf.Tensor:
        """Returns -log_prob / (D log 2), `[*batch]`, D counting the pixels of x."""
        log_prob = self.log_prob(x, context=context, seed=seed)
        return -log_prob / (self._shape.num_elements() * math.log(2.0))

    def log_prob(self, value: Any, name: str = "log_prob", **kwargs) -> tf.Tensor:
        """Returns the bound on log P(x), `[*batch]`, in nats.

        Args:
          value: integers of any type, or floats that hold them, `[*batch, *event]`.
          name: of the operations.
          **kwargs: `context=` and `seed=`, see `Dequantized.log_prob`.
        """
        # TFP would cast a NumPy array of floats to this dtype and so cut fractions off.
        return super().log_prob(tf.convert_to_tensor(value), name, **kwargs)

    def prob(self, value: Any, name: str = "prob", **kwargs) -> tf.Tensor:
        """Returns exp(log_prob), see there."""
        return tf.exp(self.log_prob(value, name, **kwargs))

    def _log_prob(self, x, **kwargs):
        return self._dequantized.log_prob(self.pad(x), **kwargs)

    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return self.crop(self._dequantized.sample(sample_shape, seed=seed, **kwargs))

    def _event_shape(self):
        return self._shape

    def _event_shape_tensor(self):
        return tf.constant(self._shape.as_list(), tf.int32)

    def _batch_shape(self):
        return tf.TensorShape([])

    def _batch_shape_tensor(self, **_):
        return tf.constant([], tf.int32)


def _check_fits(shape, larger, name):
    fits = len(shape) == len(larger) == 3 and shape[2] == larger[2]
    if not fits or min(shape) < 1 or np.any(np.array(shape) > larger):
        raise ValueError(
            f"{name} needs an event_shape (height, width, channels) that lies inside "
            f"of its distribution's events {larger}, got {shape}."
        )
