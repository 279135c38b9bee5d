"""Flow++'s couplings, mixtures of logistics, for vectors and for images."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfp_flows.distributions import Model
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._couplings import coupling_flow
from tfp_flows.flows._frame import VECTORS, Frame
from tfp_flows.flows._recipe import recipe
from tfp_flows.scalar_maps import MixtureLogistic


@recipe(
    unusable.of_other_events,
    unusable.with_own_network,
    unusable.without_integers,
    unusable.of_real_numbers,
)
def flow_pp(
    event_shape: Sequence[int],
    num_steps: int = 8,
    num_components: int = 8,
    hidden_units: Sequence[int] = (256, 256),
    *,
    support: Any = "real",
    base: str = "normal",
    num_values: int | None = None,
    pad_to: Sequence[int] | None = None,
    dequantization: str = "uniform",
    context_shape: Sequence[int] | None = None,
    scale_bound: float = 2.0,
    memory: str = "activations",
    num_levels: int | None = None,
    filters: int = 64,
    num_blocks: int = 2,
    activation: str = "relu",
    residual: bool = False,
    dropout: float = 0.0,
    act_norm: bool = True,
    alpha: float = 0.05,
    network: Callable[[], keras.Layer] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds a flow of mixture-of-logistics couplings, those of Flow++ [1].

    As `real_nvp`, with the CDF of a mixture and an affine map in place of the affine
    map alone: a coupling can pull several modes of a unit into one. Sampling inverts
    it by about ten steps of Newton's method, each as long as one `log_prob` without
    its networks. Flow++'s attention networks are not part of this; pass them as
    `network`. Its learned noise is `dequantization="variational"`.

    Args:
      event_shape: `(D,)`, `(T, C)`, `(H, W, C)` or `(D, H, W, C)`.
      num_components: logistics of each mixture.
      scale_bound: of the affine maps, see `Affine`.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given, or `Padded` with `pad_to`.

    Raises:
      ValueError: for a bad shape or number.

    Examples:
      >>> flow = flow_pp((4,), num_steps=2, num_components=4, hidden_units=(8,))
      >>> flow.log_prob(flow.sample(5, seed=1)).shape
      TensorShape([5])

    References:
      [1] Ho, Chen, Srinivas, Duan, Abbeel. Flow++: Improving flow-based generative
          models with variational dequantization and architecture design. ICML 2019.
          arXiv:1902.00275
    """
    frame = Frame.of("flow_pp", locals(), keeps_circles=VECTORS)
    return coupling_flow(
        frame,
        MixtureLogistic(num_components, scale_bound),
        num_steps,
        num_levels=num_levels,
        act_norm=act_norm,
        memory=memory,
        network=network,
        # Means and weights move beside the log-scales, which share their change.
        steps_each=1.5,
    )
