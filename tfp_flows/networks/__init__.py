"""Keras layers that condition bijectors; they know nothing of probability."""

from tfp_flows.networks import masks
from tfp_flows.networks.autoregressive import AutoregressiveNetwork, generate
from tfp_flows.networks.conv_net import ConvResNet
from tfp_flows.networks.glow_net import GlowNet, ZeroConv, zero_conv
from tfp_flows.networks.mlp import MLP
from tfp_flows.networks.parameters import Parameters

__all__ = [
    "MLP",
    "AutoregressiveNetwork",
    "ConvResNet",
    "GlowNet",
    "Parameters",
    "ZeroConv",
    "generate",
    "masks",
    "zero_conv",
]
