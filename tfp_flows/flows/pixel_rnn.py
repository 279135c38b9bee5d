"""PixelRNN: integer images by recurrent layers that see the whole image so far."""

from collections.abc import Callable, Sequence

from tfp_flows.distributions import Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._orders import Order
from tfp_flows.flows._pixel_models import pixel_model
from tfp_flows.flows._recipe import recipe
from tfp_flows.networks import AutoregressiveNetwork, DiagonalBiLSTM, RowLSTM

_LAYERS = {"row": RowLSTM, "diagonal": DiagonalBiLSTM}


@recipe(unusable.with_own_pixel_network, unusable.of_other_elements)
def pixel_rnn(
    event_shape: Sequence[int],
    num_layers: int = 3,
    units: int = 32,
    *,
    layer: str = "row",
    num_values: int | None = None,
    element: str = "categorical",
    num_components: int = 10,
    first_kernel_size: int = 7,
    order: Order = "rows",
    dropout: float = 0.0,
    context_shape: Sequence[int] | None = None,
    network: Callable[..., AutoregressiveNetwork] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds a PixelRNN over integer images [1].

    As `pixel_cnn`, with LSTMs instead of convolutions: "row" runs from the top row to
    the bottom, with a triangle above each pixel in view; "diagonal" runs along both
    diagonals and has all pixels before in view.

    Args:
      event_shape: `(H, W, C)`.
      num_layers: recurrent layers of the network.
      units: of each LSTM.
      layer: "row" or "diagonal".
      num_values: number of integer values, 256 for 8 bits.
      element: "categorical", "mixture" or "bernoulli" (two values).
      num_components: logistics of the mixture.
      first_kernel_size: side of the first kernel, odd.
      order: of the pixels: "rows"; "columns", which completes a picture whose left part
        is known; "reversed" from the last pixel to the first, for a known lower part;
        or the row-major numbers of the pixels, each once, the first one first. The
        network sees the picture transposed, flipped or permuted: exact for any order,
        but what were neighbours in a permuted picture no longer are.
      dropout: rate in the network, in training mode only.
      context_shape: `(K,)` for a conditional model.
      network: builder of an `AutoregressiveNetwork` from event_shape, num_params,
        num_features and `channels=`, instead of the layers.

    Returns:
      `Autoregressive`.

    Raises:
      ValueError: for a bad shape, number, layer or element.

    Examples:
      >>> model = pixel_rnn((3, 3, 1), 1, 4, num_values=4)
      >>> model.log_prob(model.sample(2, seed=1)).shape
      TensorShape([2])

    References:
      [1] van den Oord, Kalchbrenner, Kavukcuoglu. Pixel recurrent neural networks.
          ICML 2016. arXiv:1601.06759
    """
    if layer not in _LAYERS:
        raise ValueError(f"pixel_rnn has no layer {layer!r}. Choose row or diagonal.")
    frame = Frame.of("pixel_rnn", locals())
    builder = network or frame.builder(
        _LAYERS[layer],
        units=units,
        num_layers=num_layers,
        first_kernel_size=first_kernel_size,
        name=frame.name,
    )
    return pixel_model(frame, builder, element, num_components, order)
