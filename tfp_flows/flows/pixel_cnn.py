"""PixelCNN: integer images by masked convolutions, exact."""

from collections.abc import Callable, Sequence

from tfp_flows.distributions import Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._orders import Order
from tfp_flows.flows._pixel_models import pixel_model
from tfp_flows.flows._recipe import recipe
from tfp_flows.networks import AutoregressiveNetwork, MaskedConv


@recipe(unusable.with_own_pixel_network, unusable.of_other_elements)
def pixel_cnn(
    event_shape: Sequence[int],
    num_blocks: int = 5,
    filters: int = 64,
    *,
    num_values: int | None = None,
    element: str = "categorical",
    num_components: int = 10,
    kernel_size: int = 3,
    first_kernel_size: int = 7,
    order: Order = "rows",
    gated: bool = True,
    dropout: float = 0.0,
    context_shape: Sequence[int] | None = None,
    network: Callable[..., AutoregressiveNetwork] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds a PixelCNN over integer images [1, 2].

    The probability of each channel of each pixel given the pixels above and to the
    left, and the channels before it: an exact log_prob in one network call, and
    samples pixel by pixel, in the arithmetic of about one call. With
    `element="mixture"` the unit is PixelCNN++'s [3]: discretised logistics, the
    channels of a pixel together.

    Args:
      event_shape: `(H, W, C)`.
      num_blocks: residual blocks of the network.
      filters: channels of its hidden layers.
      num_values: number of integer values, 256 for 8 bits.
      element: "categorical", "mixture" or "bernoulli" (two values).
      num_components: logistics of the mixture.
      kernel_size: side of the blocks' kernels, odd.
      first_kernel_size: side of the first kernel, odd.
      order: of the pixels: "rows"; "columns", which completes a picture whose left part
        is known; "reversed" from the last pixel to the first, for a known lower part;
        or the row-major numbers of the pixels, each once, the first one first. The
        network sees the picture transposed, flipped or permuted: exact for any order,
        but what were neighbours in a permuted picture no longer are.
      gated: gated blocks without a blind spot [2], or plain ones [1].
      dropout: rate in the network, in training mode only.
      context_shape: `(K,)` for a conditional model.
      network: builder of an `AutoregressiveNetwork` from event_shape, num_params,
        num_features and `channels=`, instead of `MaskedConv`.

    Returns:
      `Autoregressive`.

    Raises:
      ValueError: for a bad shape, number or element.

    Examples:
      >>> model = pixel_cnn((4, 4, 1), 1, 8, num_values=2, element="bernoulli")
      >>> x = model.sample(3, seed=1)
      >>> x.dtype, model.log_prob(x).shape
      (tf.int32, TensorShape([3]))

    References:
      [1] van den Oord, Kalchbrenner, Kavukcuoglu. Pixel recurrent neural networks.
          ICML 2016. arXiv:1601.06759
      [2] van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu.
          Conditional image generation with PixelCNN decoders. NeurIPS 2016.
          arXiv:1606.05328
      [3] Salimans, Karpathy, Chen, Kingma. PixelCNN++. ICLR 2017. arXiv:1701.05517
    """
    frame = Frame.of("pixel_cnn", locals())
    builder = network or frame.builder(
        MaskedConv,
        kernel_size=kernel_size,
        first_kernel_size=first_kernel_size,
        gated=gated,
        name=frame.name,
    )
    return pixel_model(frame, builder, element, num_components, order)
