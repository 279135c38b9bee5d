"""What masked convolutions and pixel recurrences share: one walk over the image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.networks.autoregressive_network import AutoregressiveNetwork
from tfp_flows.networks.pixels.ends import PixelHead, PixelInput
from tfp_flows.networks.pixels.layer import PixelLayer, Place


class PixelNetwork(AutoregressiveNetwork):
    """An autoregressive network over images, in raster order.

    above, h <- input(x)              mask A
    above, h <- block(above, h)       for each block; mask B
    params   <- head(h)

    `above` holds what depends on earlier rows alone and may therefore look to the
    right as well; h depends on the pixels before in its own row, too.

    Sampling: before each row every block does, for all columns at once, what the rows
    above decide; the rest goes on pixel by pixel. With `channels="ordered"` that rest
    is computed once for each channel and not once for each pixel.

    Implementing one: `_make_blocks` returns layers with `call(above, h, context)`,
    `initial_state(batch, width)`, `start_row(state, above, context)` and
    `step(state, h, place)`, and `build(h_shape, context_shape)`.

    Shapes: x `[B, H, W, C * num_features]`, context `[B, K]` -> params `[B, H, W, C,
    num_params]`.

    Args:
      event_shape: `(H, W, C)`.
      num_params: parameters of each unit.
      num_features: numbers that the network is shown of each unit.
      filters: channels between the blocks.
      num_blocks: how many.
      first_kernel_size: side of the first kernel, odd.
      channels: "ordered": a position is one channel of one pixel, and channel c of a
        pixel depends on its channels before c (R, then G, then B); "joint": a position
        is one pixel with all its channels.
      **kwargs: of `keras.layers.Layer`.

    Raises:
      ValueError: if the event is no image, a number is too small, or a word unknown.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_params: int,
        num_features: int = 1,
        *,
        filters: int,
        num_blocks: int,
        first_kernel_size: int = 7,
        channels: str = "ordered",
        **kwargs,
    ):
        if channels not in ("ordered", "joint"):
            raise ValueError(
                f'channels must be "ordered" or "joint", got {channels!r}.'
            )
        if len(event_shape) != 3:
            raise ValueError(
                f"{type(self).__name__} needs images (H, W, C), got events of shape "
                f"{tuple(event_shape)}. Write grey images as (H, W, 1)."
            )
        block_size = event_shape[-1] if channels == "joint" else 1
        order = np.arange(np.prod(event_shape)).reshape(-1, max(1, block_size))
        super().__init__(event_shape, num_params, num_features, order, **kwargs)
        self.channels = channels
        self.first_kernel_size = first_kernel_size
        self.groups = 1 if channels == "joint" else self.event_shape[-1]
        check_odd(first_kernel_size, "first_kernel_size", self.name)
        if filters < self.groups or num_blocks < 1:
            raise ValueError(
                f"{self.name} needs num_blocks >= 1 and at least {self.groups} filters "
                f"or units (one a channel), got {num_blocks} and {filters}."
            )
        given = {"groups": self.groups, "dtype": self.dtype_policy}
        self._input = PixelInput(filters, first_kernel_size, name="input", **given)
        # One name for all of them: TensorFlow keeps some 30 KiB for every new one.
        self._blocks = self._make_blocks(num_blocks, name="block", **given)
        self._head = PixelHead(
            self.event_shape[-1], self.num_params, name="head", **given
        )

    def _make_blocks(self, num_blocks: int, **kwargs) -> list[PixelLayer]:
        """Returns the layers between input and head."""
        raise NotImplementedError(f"{type(self).__name__} has no blocks.")

    def build(
        self, x_shape: tuple[Any, ...], context_shape: tuple[Any, ...] | None = None
    ):
        """Makes the weights."""
        if context_shape is not None and len(context_shape) != 2:
            raise ValueError(
                f"{self.name} takes vectors (K,) as contexts, got a context of shape "
                f"{tuple(context_shape[1:])}. Flatten it, or summarise it by a network."
            )
        self._input.build(x_shape)
        h_shape = (*x_shape[:-1], self._input.filters)
        for block in self._blocks:
            block.build(h_shape, context_shape)
        self._head.build(h_shape)

    def call(
        self,
        x: tf.Tensor,
        context: tf.Tensor | None = None,
        training: bool | None = None,
    ):
        """Returns params `[B, H, W, C, num_params]`."""
        above, h = self._input(x)
        for block in self._blocks:
            above, h = block(above, h, context, training=training)
        return self._head(h)

    def initial_state(self, batch: Any, context: tf.Tensor | None = None):
        """Returns black images and empty memories."""
        width = self.event_shape[1]
        state = {
            "input": self._input.initial_state(batch, width),
            "blocks": [b.initial_state(batch, width) for b in self._blocks],
        }
        if context is None:
            return state
        return state | {"context": tf.cast(context, self.compute_dtype)}

    def step(self, state: Any, x_previous: tf.Tensor, i: Any):
        """Returns params `[B, block_size, num_params]` of position i, and the state."""
        i, width = tf.convert_to_tensor(i, tf.int32), self.event_shape[1]
        state = state | {"input": self._input.write(state["input"], x_previous, i)}
        starts = tf.equal(i % (width * self.groups), 0)
        # A loop of one turn at most: XLA copies all that passes a conditional.
        _, state = tf.while_loop(
            lambda starts, _: starts,
            lambda _, state: (tf.constant(False), self._start_row(state)),
            (starts, state),
            maximum_iterations=1,
        )
        column, group = (i // self.groups) % width, i % self.groups
        done = tf.equal(group, self.groups - 1)
        place = Place(column, tf.equal(tf.range(width), column) & done, done)
        h, blocks = self._input.step(state["input"], column), []
        for block, memory in zip(self._blocks, state["blocks"], strict=True):
            h, memory = block.step(memory, h, place)
            blocks.append(memory)
        params = self._head(h)
        if self.groups > 1:
            params = tf.gather(params, group[None], axis=1)
        return params, state | {"blocks": blocks}

    def _start_row(self, state):
        """Does for a whole row what the rows above decide."""
        first, above = self._input.start_row(state["input"])
        blocks = []
        for block, memory in zip(self._blocks, state["blocks"], strict=True):
            memory, above = block.start_row(memory, above, state.get("context"))
            blocks.append(memory)
        return state | {"input": first, "blocks": blocks}

    def get_config(self):
        """Returns the arguments that all pixel networks share."""
        return super().get_config() | {
            "channels": self.channels,
            "first_kernel_size": self.first_kernel_size,
        }


def check_odd(size: int, argument: str, owner: str) -> None:
    """Refuses the sides of kernels that have no centre or no past.

    Raises:
      ValueError: for an even size, or less than 3.
    """
    if size < 3 or size % 2 == 0:
        raise ValueError(
            f"{owner} needs an odd {argument} of at least 3, so that the kernel has a "
            f"centre and a past, got {size}."
        )
