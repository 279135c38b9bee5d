"""Flows as distributions, their bases, and distributions over integers."""

from tfp_flows.distributions import elements, mu_law
from tfp_flows.distributions.any_order import AnyOrder
from tfp_flows.distributions.augmented import Augmented
from tfp_flows.distributions.autoregressive import Autoregressive
from tfp_flows.distributions.bases import Base, StandardLogistic, StandardNormal
from tfp_flows.distributions.circles import WithCircles
from tfp_flows.distributions.completion.chains import complete_by_chains
from tfp_flows.distributions.completion.complete import complete
from tfp_flows.distributions.completion.particles import (
    Particles,
    complete_by_particles,
)
from tfp_flows.distributions.dequantized import Dequantized
from tfp_flows.distributions.embedded import Embedded
from tfp_flows.distributions.flow import Flow
from tfp_flows.distributions.gaussian_flow import GaussianFlow
from tfp_flows.distributions.gaussian_mixture import GaussianMixture
from tfp_flows.distributions.given import Given
from tfp_flows.distributions.markov_chains import Draws
from tfp_flows.distributions.model import Model
from tfp_flows.distributions.padded import Padded
from tfp_flows.distributions.student_t import StudentT
from tfp_flows.distributions.tabular import Tabular
from tfp_flows.distributions.wrapper import Wrapper

__all__ = [
    "AnyOrder",
    "Augmented",
    "Autoregressive",
    "Base",
    "Dequantized",
    "Draws",
    "Embedded",
    "Flow",
    "GaussianFlow",
    "GaussianMixture",
    "Given",
    "Model",
    "Padded",
    "Particles",
    "StandardLogistic",
    "StandardNormal",
    "StudentT",
    "Tabular",
    "WithCircles",
    "Wrapper",
    "complete",
    "complete_by_chains",
    "complete_by_particles",
    "elements",
    "mu_law",
]
