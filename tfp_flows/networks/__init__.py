"""Keras layers that condition bijectors; they know nothing of probability."""

from tfp_flows.networks import masks
from tfp_flows.networks.conv_net import ConvResNet
from tfp_flows.networks.mlp import MLP
from tfp_flows.networks.parameters import Parameters

__all__ = ["MLP", "ConvResNet", "Parameters", "masks"]
