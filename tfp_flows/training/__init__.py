"""Training a flow with Keras; knows a flow only as a distribution."""

from tfp_flows.training.callbacks import NonFiniteLossError, StopOnNonFiniteLoss
from tfp_flows.training.flow_model import FlowModel
from tfp_flows.training.metrics import BitsPerDim

__all__ = ["BitsPerDim", "FlowModel", "NonFiniteLossError", "StopOnNonFiniteLoss"]
