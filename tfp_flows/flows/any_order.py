"""Any-order models: exact completions of integer vectors and images, every mask."""

from collections.abc import Callable, Sequence

import keras

from tfp_flows.distributions import AnyOrder, Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._pixel_models import element_of
from tfp_flows.flows._recipe import recipe
from tfp_flows.networks import MLP, AnyOrderNetwork, ConvResNet


@recipe(
    unusable.with_own_network, unusable.of_other_elements, unusable.of_vectors_or_grids
)
def any_order(
    event_shape: Sequence[int],
    *,
    num_values: int | None = None,
    element: str = "categorical",
    num_components: int = 10,
    hidden_units: Sequence[int] = (512, 512, 512),
    residual: bool = True,
    filters: int = 64,
    num_blocks: int = 6,
    activation: str = "relu",
    dropout: float = 0.0,
    context_shape: Sequence[int] | None = None,
    network: Callable[..., keras.Layer] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds a model that draws its units in any order, by one network [1, 2].

    It is trained on random orders: the network sees some units of each event and which
    these are, and gives the distribution of each of the others. So every completion is
    an exact draw, whatever is known, where `pixel_cnn` has one order. The price: one
    network learns all orders, its likelihood is a little behind that of a model with
    one, and a sample takes a call of the network for each unit.

    `log_prob` is a bound from a drawn order, `in_order(...)` has exact ones; see
    `AnyOrder`.

    Args:
      event_shape: `(D,)`, `(T, C)` or `(H, W, C)`.
      num_values: number of integer values, 256 for 8 bits.
      element: "categorical", "mixture" or "bernoulli" (two values).
      num_components: logistics of the mixture.
      hidden_units: widths of the network, vectors only.
      residual: skip connections in the network of vectors.
      filters: channels of the network, events with positions only.
      num_blocks: residual blocks of the network, events with positions only; it sees
        `3 + 2 * num_blocks` positions along each axis.
      activation: of the network.
      dropout: rate in the network, in training mode only.
      context_shape: `(K,)` for a conditional model, or one that the network takes.
      network: builder of a Keras layer from `[B, ..., C']` (and the context, if it
        declares one) to features `[B, F]` or, at each position, `[B, ..., F]`.

    Returns:
      `AnyOrder`.

    Raises:
      ValueError: for a bad shape, number or element.

    Examples:
      >>> import numpy as np
      >>> from tfp_flows.distributions import complete
      >>> model = any_order((4, 4, 1), num_values=2, filters=8, num_blocks=1)
      >>> some = np.random.default_rng(0).random((4, 4, 1)) < 0.3
      >>> complete(model, np.ones([5, 4, 4, 1]), some, n=3, seed=1).shape
      TensorShape([3, 5, 4, 4, 1])

    References:
      [1] Uria, Murray, Larochelle. A deep and tractable density estimator. ICML 2014.
          arXiv:1310.1757
      [2] Hoogeboom, Gritsenko, Bastings, Poole, van den Berg, Salimans.
          Autoregressive diffusion models. ICLR 2022. arXiv:2110.02037
    """
    frame = Frame.of("any_order", locals())
    shape = frame.shape
    channels = shape[-1] if len(shape) > 1 else 1
    unit = element_of(element, num_values, num_components, channels, frame.name)
    kind = ConvResNet if len(shape) > 1 else MLP
    body = (network or frame.builder(kind, name=frame.name))()
    sizes = (shape, unit.num_params, unit.num_features, unit.block_size or 1)
    whole = AnyOrderNetwork(body, *sizes, name=frame.name)
    return frame.exact(whole, unit, AnyOrder)
