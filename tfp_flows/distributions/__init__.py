"""Flows as distributions, their bases, and distributions over integers."""

from tfp_flows.distributions.augmented import Augmented
from tfp_flows.distributions.bases import Base, StandardLogistic, StandardNormal
from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.gaussian_mixture import GaussianMixture
from tfp_flows.distributions.given import Given
from tfp_flows.distributions.padded import Padded

__all__ = [
    "Augmented",
    "Base",
    "Dequantized",
    "Flow",
    "GaussianMixture",
    "Given",
    "Padded",
    "StandardLogistic",
    "StandardNormal",
]
