"""Encoded images, as TFDS and data sets in Parquet hold them."""

import numpy as np
import tensorflow as tf


def decoded(content: bytes, column: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the pixels of a PNG, JPEG, BMP or GIF of one frame.

    Args:
      content: the encoded image.
      column: where it was found.
      shape: the model's; its last size says how many channels are wanted.

    Returns:
      uint8 `[height, width, channels]`.

    Raises:
      ValueError: if it is no image.
    """
    channels = shape[-1] if len(shape) == 3 and shape[-1] in (1, 3, 4) else 0
    try:
        pixels = tf.io.decode_image(content, channels, expand_animations=False)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(
            f"{len(content)} bytes in column {column!r} are no image"
        ) from error
    return pixels.numpy()
