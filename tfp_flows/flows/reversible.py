"""Reversible blocks over data and an auxiliary variable."""

from collections.abc import Callable, Sequence

import keras
import tensorflow_probability as tfp

from tfp_flows.bijectors import OnFirst, ReversibleBlock, chain_of
from tfp_flows.distributions import Augmented, Flow, Model, StandardNormal
from tfp_flows.flows import _unusable as unusable
from tfp_flows.flows._frame import Frame
from tfp_flows.flows._recipe import recipe
from tfp_flows.networks import MLP

tfd = tfp.distributions


@recipe(unusable.with_own_network)
def reversible(
    event_shape: Sequence[int],
    num_steps: int = 4,
    hidden_units: Sequence[int] = (256, 256),
    *,
    activation: str = "relu",
    dropout: float = 0.0,
    memory: str = "activations",
    network: Callable[[], keras.Layer] | None = None,
    dtype: str = "float32",
    network_dtype: str | None = None,
    name: str | None = None,
) -> Model:
    """Builds a flow of reversible blocks [1] over pairs (x, u) as a model of x.

    `result.joint` is the flow over lists [x, u]; `log_prob` of the result is the lower
    bound with u drawn from a standard normal, `importance_log_prob` a tighter one.

    Args:
      num_steps: number of blocks.
      hidden_units: widths of each block's two networks.
      network: builder of a Keras layer for each half of a block.

    Returns:
      `Augmented`.

    Raises:
      ValueError: for a bad shape.

    Examples:
      >>> reversible((3,), 2, (8,)).sample(5, seed=1).shape
      TensorShape([5, 3])

    References:
      [1] Gomez, Ren, Urtasun, Grosse. The reversible residual network. NeurIPS 2017.
          arXiv:1707.04585
    """
    frame = Frame.of("reversible", locals())
    shape, network = frame.shape, network or frame.builder(MLP)
    blocks = [
        ReversibleBlock(shape, network(), network(), dtype=dtype, name=f"block_{i}")
        for i in range(num_steps)
    ]
    pair = tfd.JointDistributionSequential(
        [StandardNormal(shape, dtype), StandardNormal(shape, dtype)]
    )
    [standardize] = frame.data_map()
    data = OnFirst(standardize, name="standardize")
    joint = Flow(chain_of([data, *blocks], memory, name=frame.name), pair)
    return Augmented(joint, StandardNormal(shape, dtype))
