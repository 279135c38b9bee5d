"""Layers over images in raster order: all pixels at once, or one by one."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.networks.dropout import Dropout


class Place(NamedTuple):
    """Where a step stands in its row.

    Attributes:
      column: of the pixel, int32 scalar.
      here: bool `[W]`, True at this column when the step is the pixel's last, nowhere
        before that: what is kept of a pixel is kept when all its channels are known.
      done: whether the step is the pixel's last, bool scalar.
    """

    column: tf.Tensor
    here: tf.Tensor
    done: tf.Tensor


class PixelLayer(keras.layers.Layer):
    """A layer whose pixels depend on the pixels above, to the left, and itself.

    Its numbers come in two ways:

    `call`: the whole image
    `initial_state`; `start_row` before each row, which does all that hangs on the
    rows above alone, for the whole row at once; `step` for each pixel of it

    Channels stand in groups, in order; group g may be hidden from the groups before it
    by `masked`. One group means that a pixel is one position.

    Args:
      groups: number of channel groups.
      **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, groups: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups

    def add(self, name: str, *shape: int, initializer: str = "glorot_uniform"):
        """Adds a trained weight."""
        return self.add_weight(shape=shape, initializer=initializer, name=name)

    def add_bias(self, name: str, units: int):
        """Adds a bias that begins at zero."""
        return self.add(name, units, initializer="zeros")

    def zeros(self, batch: Any, *shape: int) -> tf.Tensor:
        """Returns zeros `[batch, *shape]` to begin with."""
        return tf.zeros(tf.stack([batch, *shape]), self.compute_dtype)

    def read(self, weight: Any) -> tf.Tensor:
        """Returns a weight in the compute dtype, inside of Keras' calls and outside."""
        return tf.cast(tf.convert_to_tensor(weight), self.compute_dtype)

    def masked(self, weight: Any, parts: int = 1, strict: bool = False) -> tf.Tensor:
        """Returns a kernel that hides later channel groups of the pixel itself.

        Args:
          weight: `[..., n_in, n_out]`; its last tap lies on the pixel itself.
          parts: the outputs are so many blocks, such as gates, each with all groups.
          strict: hides the group itself as well (mask A; otherwise mask B).

        Returns:
          The masked kernel, in the compute dtype.
        """
        kernel = self.read(weight)
        if self.groups == 1 and not strict:
            return kernel
        n_in, n_out = kernel.shape[-2:]
        mask = np.ones(kernel.shape)
        own = mask.reshape(-1, n_in, n_out)[-1]  # a view on the last tap
        own[:] = group_mask(self.groups, n_in, n_out, parts, strict)
        return kernel * tf.constant(mask, kernel.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {"groups": self.groups}


class PixelBlock(PixelLayer):
    """A residual layer between input and head, with a context and dropout.

    Args:
      groups: channel groups of a pixel.
      dropout: rate on the features before the last map, in training mode.
      **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, groups: int = 1, dropout: float = 0.0, **kwargs):
        super().__init__(groups, **kwargs)
        self.dropout = dropout
        self._drop = Dropout(dropout, dtype=self.dtype_policy)

    def add_shift(self, name: str, units: int, context_shape: tuple | None):
        """Adds a bias, and a kernel for the context where there is one."""
        bias = self.add_bias(f"{name}_bias", units)
        if context_shape is None:
            return bias, None
        return bias, self.add(f"{name}_context", context_shape[-1], units)

    def shifted(self, y: tf.Tensor, shift: tuple, context: tf.Tensor | None):
        """Adds bias and context to `[B, R, W, units]`."""
        bias, kernel = shift
        y = tf.nn.bias_add(y, self.read(bias))
        if kernel is None:
            return y
        context = tf.cast(context, y.dtype)
        return y + tf.matmul(context, self.read(kernel))[:, None, None, :]

    def dropped(self, h: tf.Tensor, training: bool | None) -> tf.Tensor:
        """Drops features in training mode."""
        return self._drop(h, training=training) if self.dropout else h

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {"dropout": self.dropout}


def group_mask(
    groups: int, n_in: int, n_out: int, parts: int = 1, strict: bool = False
) -> np.ndarray:
    """Says which channels may see which, as bool `[n_in, n_out]`.

    Channels belong to groups in order, in equal numbers as far as they divide.

    Examples:
      >>> group_mask(2, 2, 4, strict=True).astype(int)
      array([[0, 0, 1, 1],
             [0, 0, 0, 0]])
    """
    source = np.arange(n_in) * groups // n_in
    width = n_out // parts
    target = np.tile(np.arange(width) * groups // width, parts)
    compare = np.less if strict else np.less_equal
    return compare(source[:, None], target)


def look_up(x: tf.Tensor, kernel: tf.Tensor, padding: int = 0) -> tf.Tensor:
    """Convolves rows with those above them.

    Args:
      x: `[B, R, W, n_in]`.
      kernel: `[n, k, n_in, n_out]`; its last row lies on the row itself.
      padding: rows of zeros put on top.

    Returns:
      `[B, R + padding - n + 1, W, n_out]`.
    """
    side = kernel.shape[1] // 2
    # Padded by hand: oneDNN's backward pass is a quarter faster than with "EXPLICIT".
    x = tf.pad(x, [[0, 0], [padding, 0], [side, side], [0, 0]])
    return tf.nn.conv2d(x, kernel, 1, "VALID")


def look_left(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolves pixels with those to their left.

    Args:
      x: `[B, H, W, n_in]`.
      kernel: `[m + 1, n_in, n_out]`; its last tap lies on the pixel itself.

    Returns:
      `[B, H, W, n_out]`.
    """
    x = tf.pad(x, [[0, 0], [0, 0], [kernel.shape[0] - 1, 0], [0, 0]])
    return tf.nn.conv2d(x, kernel[None], 1, "VALID")


def look_back(window: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Gives `look_left` for one pixel.

    Args:
      window: the pixels to the left and the pixel itself, `[B, m + 1, n_in]`.
      kernel: `[m + 1, n_in, n_out]`.

    Returns:
      `[B, n_out]`.
    """
    taps, n_in, n_out = kernel.shape
    flat = tf.reshape(window, [-1, taps * n_in])
    return tf.matmul(flat, tf.reshape(kernel, [taps * n_in, n_out]))


def pointwise(
    x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None
) -> tf.Tensor:
    """Maps every pixel alone: `[..., n_in]` -> `[..., n_out]`."""
    # As a matrix product: faster than a 1x1 convolution.
    n_in, n_out = kernel.shape
    y = tf.matmul(tf.reshape(x, [-1, n_in]), kernel)
    if bias is not None:
        y = tf.nn.bias_add(y, bias)
    return tf.reshape(y, tf.concat([tf.shape(x)[:-1], [n_out]], axis=0))


def keep(row: tf.Tensor, pixel: tf.Tensor, place: Place) -> tf.Tensor:
    """Writes a pixel `[B, n]` into its row `[B, W, n]` when it is done."""
    return tf.where(place.here[None, :, None], pixel[:, None, :], row)


def shift_in(left: tf.Tensor, pixel: tf.Tensor, place: Place) -> tf.Tensor:
    """Moves a pixel `[B, n]` into the last pixels `[B, m, n]` when it is done."""
    moved = tf.concat([left[:, 1:], pixel[:, None]], axis=1)
    return tf.where(place.done, moved, left)
