"""Keras layers that condition bijectors; they know nothing of probability."""

from tfp_flows.networks import gains, masks
from tfp_flows.networks.any_order import AnyOrderNetwork, InOrder
from tfp_flows.networks.autoregressive_network import AutoregressiveNetwork, generate
from tfp_flows.networks.causal_conv import CausalConv
from tfp_flows.networks.conv_net import ConvResNet
from tfp_flows.networks.dropout import Dropout
from tfp_flows.networks.glow_net import GlowNet
from tfp_flows.networks.heads import ZeroConv, ZeroDense, zero_conv
from tfp_flows.networks.hidden import CentredDense, HiddenConv, HiddenDense
from tfp_flows.networks.made import MADE
from tfp_flows.networks.mlp import MLP
from tfp_flows.networks.pixels.diagonal_bi_lstm import DiagonalBiLSTM
from tfp_flows.networks.pixels.masked_conv import MaskedConv
from tfp_flows.networks.pixels.row_lstm import RowLSTM
from tfp_flows.networks.recurrent import RecurrentNetwork
from tfp_flows.networks.reordered import Reordered
from tfp_flows.networks.row_noise import RowNoise
from tfp_flows.networks.weights.parameters import Parameters

__all__ = [
    "MADE",
    "MLP",
    "AnyOrderNetwork",
    "AutoregressiveNetwork",
    "CausalConv",
    "CentredDense",
    "ConvResNet",
    "DiagonalBiLSTM",
    "Dropout",
    "GlowNet",
    "HiddenConv",
    "HiddenDense",
    "InOrder",
    "MaskedConv",
    "Parameters",
    "RecurrentNetwork",
    "Reordered",
    "RowLSTM",
    "RowNoise",
    "ZeroConv",
    "ZeroDense",
    "gains",
    "generate",
    "masks",
    "zero_conv",
]
