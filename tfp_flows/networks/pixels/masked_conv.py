"""PixelCNN: masked convolutions over images."""

from collections.abc import Sequence

import keras

from tfp_flows.networks.pixels.blocks import GatedBlock, ResidualBlock
from tfp_flows.networks.pixels.network import PixelNetwork, check_odd


@keras.saving.register_keras_serializable("tfp_flows")
class MaskedConv(PixelNetwork):
    """The network of PixelCNN, gated [1] or plain [2].

    Pixels are taken in raster order. Gated, a deep enough network sees all pixels
    before its own: one layer more widens the view by `kernel_size // 2` rows above and
    columns to both sides, from `first_kernel_size // 2`. Plain, it has a blind spot.

    Cost of `step` over a whole image: the arithmetic of one `call`, in which the rows
    above are convolved row by row (`num_blocks` kernels of `k//2 + 1` x k) and the
    rest, a quarter of the work at k = 3, pixel by pixel; with C ordered channels that
    quarter C times, so half a `call` more for RGB.

    Shapes: x `[B, H, W, C * num_features]`, context `[B, K]` -> params `[B, H, W, C,
    num_params]`, zero at first.

    Args:
      event_shape: `(H, W, C)`.
      num_params: parameters of each unit.
      num_features: numbers that the network is shown of each unit.
      filters: channels of every hidden layer, C or more; C groups of them if ordered.
      num_blocks: residual blocks.
      kernel_size: side of the blocks' kernels, odd.
      gated: with gates, and a vertical and a horizontal stack; or plain, with rectified
        units and one stack.
      channels: "ordered" or "joint", see `PixelNetwork`.
      first_kernel_size: side of the first kernel, odd.
      dropout: rate inside of the residual branches, in training mode.
      **kwargs: of `keras.layers.Layer`.

    Raises:
      ValueError: if the event is no image, a number is too small or even, `channels`
        unknown, or a context no vector.

    Examples:
      >>> import keras
      >>> network = MaskedConv((4, 4, 3), num_params=2, filters=6, num_blocks=1)
      >>> network(keras.ops.zeros((5, 4, 4, 3))).shape
      TensorShape([5, 4, 4, 3, 2])
      >>> network.num_positions
      48

    References:
      [1] van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu.
          Conditional image generation with PixelCNN decoders. NeurIPS 2016.
          arXiv:1606.05328
      [2] van den Oord, Kalchbrenner, Kavukcuoglu. Pixel recurrent neural networks.
          ICML 2016. arXiv:1601.06759
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        num_params: int,
        num_features: int = 1,
        *,
        filters: int = 64,
        num_blocks: int = 5,
        kernel_size: int = 3,
        gated: bool = True,
        channels: str = "ordered",
        first_kernel_size: int = 7,
        dropout: float = 0.0,
        **kwargs,
    ):
        self.filters = filters
        self.num_blocks = num_blocks
        self.kernel_size = kernel_size
        self.gated = gated
        self.dropout = dropout
        super().__init__(
            event_shape,
            num_params,
            num_features,
            filters=filters,
            num_blocks=num_blocks,
            first_kernel_size=first_kernel_size,
            channels=channels,
            **kwargs,
        )

    def _make_blocks(self, num_blocks, **kwargs):
        check_odd(self.kernel_size, "kernel_size", self.name)
        block = GatedBlock if self.gated else ResidualBlock
        return [
            block(self.kernel_size, dropout=self.dropout, **kwargs)
            for _ in range(num_blocks)
        ]

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "num_blocks": self.num_blocks,
            "kernel_size": self.kernel_size,
            "gated": self.gated,
            "dropout": self.dropout,
        }
