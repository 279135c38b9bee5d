"""Flows as distributions, their bases, and distributions over integers."""

from tfp_flows.distributions import elements, mu_law
from tfp_flows.distributions.augmented import Augmented
from tfp_flows.distributions.autoregressive import Autoregressive
from tfp_flows.distributions.bases import Base, StandardLogistic, StandardNormal
from tfp_flows.distributions.completion import complete
from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.gaussian_mixture import GaussianMixture
from tfp_flows.distributions.given import Given
from tfp_flows.distributions.model import Model
from tfp_flows.distributions.padded import Padded
from tfp_flows.distributions.wrapper import Wrapper

__all__ = [
    "Augmented",
    "Autoregressive",
    "Base",
    "Dequantized",
    "Flow",
    "GaussianMixture",
    "Given",
    "Model",
    "Padded",
    "StandardLogistic",
    "StandardNormal",
    "Wrapper",
    "complete",
    "elements",
    "mu_law",
]
