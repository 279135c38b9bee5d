"""Flow++'s couplings, mixtures of logistics, for vectors and for images."""

import functools
from collections.abc import Callable, Sequence

import keras

from tfp_flows.bijectors import MixtureLogisticCoupling
from tfp_flows.distributions import Model
from tfp_flows.flows import unusable
from tfp_flows.flows.couplings import coupling_flow
from tfp_flows.flows.recipe import recipe


@recipe(unusable.of_other_events, unusable.with_own_network, unusable.without_integers)
def flow_pp(
    event_shape: Sequence[int],
    num_steps: int = 8,
    num_components: int = 8,
    hidden_units: Sequence[int] = (256, 256),
    *,
    num_values: int | None = None,
    pad_to: Sequence[int] | None = None,
    dequantization: str = "uniform",
    context_shape: Sequence[int] | None = None,
    num_levels: int | None = None,
    filters: int = 64,
    num_blocks: int = 2,
    activation: str = "relu",
    residual: bool = False,
    dropout: float = 0.0,
    act_norm: bool = True,
    scale_bound: float = 2.0,
    alpha: float = 0.05,
    memory: str = "activations",
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
      event_shape: `(D,)` or `(H, W, C)`.
      num_steps: couplings of a vector flow, or of each level of an image flow.
      num_components: logistics of each mixture.
      hidden_units: widths of each coupling's network, vectors only.
      num_values: number of integer values for discrete data; None for continuous.
      pad_to: `(height, width)` that images are padded to with zeros, so that more
        levels fit; the likelihood stays a bound, see `Padded`. For discrete data.
      dequantization: "uniform", or "variational" for noise that a small flow learns,
        see `noise_flow`; for discrete data.
      context_shape: `(C,)` for a conditional flow.
      num_levels: of an image flow; up to two, as many as the sides allow, if None.
      filters: channels of each coupling's network, images only.
      num_blocks: residual blocks of each coupling's network, images only.
      activation: of the networks.
      residual: skip connections in the MLPs.
      dropout: rate in the networks, in training mode only.
      act_norm: adds an act norm after every coupling.
      scale_bound: of the affine maps, see `Affine`.
      alpha: margin of the pixels' logit, see `PixelLogit`.
      memory: of the backward pass, "activations" or "constant", see `chain_of`.
      network: builder of a Keras layer for each step, instead of the default.
      dtype: of the events and weights.
      network_dtype: Keras dtype policy of the networks, see `parts.network_policy`.
      name: of the model; the recipe's if None.

    Returns:
      `Flow`, or `Dequantized` if `num_values` is given, or `Padded` with `pad_to`.

    Raises:
      ValueError: for a bad shape or number.

    Example:
      >>> flow = flow_pp((4,), num_steps=2, num_components=4, hidden_units=(8,))
      >>> flow.log_prob(flow.sample(5, seed=1)).shape
      TensorShape([5])

    References:
      [1] Ho, Chen, Srinivas, Duan, Abbeel. Flow++: Improving flow-based generative
          models with variational dequantization and architecture design. ICML 2019.
          arXiv:1902.00275
    """
    return coupling_flow(
        "flow_pp",
        event_shape,
        num_steps,
        functools.partial(
            MixtureLogisticCoupling,
            num_components=num_components,
            scale_bound=scale_bound,
        ),
        context_shape=context_shape,
        num_values=num_values,
        pad_to=pad_to,
        dequantization=dequantization,
        num_levels=num_levels,
        act_norm=act_norm,
        alpha=alpha,
        memory=memory,
        network=network,
        dtype=dtype,
        hidden_units=hidden_units,
        filters=filters,
        num_blocks=num_blocks,
        activation=activation,
        residual=residual,
        dropout=dropout,
        network_dtype=network_dtype,
    )
