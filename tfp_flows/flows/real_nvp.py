"""RealNVP: affine couplings, for vectors and for images."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tfp_flows.distributions import Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._couplings import coupling_flow
from tfp_flows.flows._frame import VECTORS, Frame
from tfp_flows.flows._recipe import recipe
from tfp_flows.scalar_maps import ScalarMap, scalar_map_of


@recipe(
    unusable.of_other_events,
    unusable.of_other_couplings,
    unusable.with_own_network,
    unusable.without_integers,
    unusable.of_real_numbers,
)
def real_nvp(
    event_shape: Sequence[int],
    num_steps: int = 8,
    hidden_units: Sequence[int] = (256, 256),
    *,
    support: Any = "real",
    base: str = "normal",
    num_values: int | None = None,
    pad_to: Sequence[int] | None = None,
    dequantization: str = "uniform",
    context_shape: Sequence[int] | None = None,
    coupling: str | ScalarMap = "affine",
    coupling_options: Mapping[str, Any] | None = None,
    scale_bound: float = 2.0,
    num_levels: int | None = None,
    filters: int = 64,
    num_blocks: int = 2,
    activation: str = "relu",
    residual: bool = False,
    dropout: float = 0.0,
    act_norm: bool = True,
    alpha: float = 0.05,
    memory: str = "activations",
    network: Callable[[], keras.Layer] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds RealNVP for vectors or images [1].

    Vectors `(D,)`: `num_steps` affine couplings on the two halves in turn, each with
    an MLP, each followed by an act norm. Signals, images and volumes: at each level
    half of `num_steps` couplings with checkerboard masks, a squeeze, the other half
    with channel masks, each with a convolutional residual network, then half of the
    variables are factored out; see `Multiscale` for the place of the latent variables.

    Args:
      event_shape: `(D,)`, `(T, C)`, `(H, W, C)` or `(D, H, W, C)`.
      coupling: "affine" as in [1], "additive", "mixture" or "spline", or a
        `ScalarMap`, such as `scalar_maps.Affine(scale="sigmoid")`.
      coupling_options: arguments of the coupling that is named.
      scale_bound: of affine couplings, see `AffineCoupling`.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given, or `Padded` with `pad_to`.

    Raises:
      ValueError: for a bad shape or number.

    Examples:
      >>> flow = real_nvp((4,), num_steps=2, hidden_units=(8,))
      >>> flow.log_prob(flow.sample(5, seed=1)).shape
      TensorShape([5])

    References:
      [1] Dinh, Sohl-Dickstein, Bengio. Density estimation using Real NVP. ICLR 2017.
          arXiv:1605.08803
    """
    frame = Frame.of("real_nvp", locals(), keeps_circles=VECTORS)
    if coupling == "affine" and scale_bound != 2.0:  # which maps with a bound have
        coupling_options = {"scale_bound": scale_bound, **(coupling_options or {})}
    return coupling_flow(
        frame,
        scalar_map_of(coupling, coupling_options, frame.name),
        num_steps,
        num_levels=num_levels,
        act_norm=act_norm,
        memory=memory,
        network=network,
    )
