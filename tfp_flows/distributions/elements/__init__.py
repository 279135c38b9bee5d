"""Elements: what the parameters of one unit of an autoregressive model mean."""

from tfp_flows.distributions.elements.bernoulli import Bernoulli
from tfp_flows.distributions.elements.categorical import Categorical
from tfp_flows.distributions.elements.discretized_logistics import (
    DiscretizedLogisticMixture,
)
from tfp_flows.distributions.elements.element import Element
from tfp_flows.distributions.elements.mixed_columns import MixedColumns
from tfp_flows.distributions.elements.normal_mixture import NormalMixture

__all__ = [
    "Bernoulli",
    "Categorical",
    "DiscretizedLogisticMixture",
    "Element",
    "MixedColumns",
    "NormalMixture",
]
