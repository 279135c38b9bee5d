"""Normalizing flows for TensorFlow: TFP bijectors around Keras 3 networks.

Names are loaded on first use, so that tools which need no TensorFlow, such as
`python -m tfp_flows.serving.check`, start without it.

Examples:
  >>> from tfp_flows import flows
  >>> flow = flows.real_nvp(event_shape=(2,), num_steps=2, hidden_units=(8,))
  >>> flow.sample(3, seed=1).shape
  TensorShape([3, 2])
"""

import importlib
from typing import TYPE_CHECKING

from tfp_flows.version import __version__ as __version__

if TYPE_CHECKING:  # what is loaded on first use
    from tfp_flows import (
        bijectors,
        diagnostics,
        distributions,
        flows,
        networks,
        plots,
        scalar_maps,
        scoring,
        serving,
        tables,
        tasks,
        training,
    )
    from tfp_flows.training import FlowModel

__all__ = [
    "FlowModel",
    "bijectors",
    "diagnostics",
    "distributions",
    "flows",
    "networks",
    "plots",
    "scalar_maps",
    "scoring",
    "serving",
    "tables",
    "tasks",
    "training",
]


def __getattr__(name: str):
    if name == "FlowModel":
        return importlib.import_module("tfp_flows.training").FlowModel
    if name in __all__:
        return importlib.import_module(f"tfp_flows.{name}")
    raise AttributeError(f"module 'tfp_flows' has no attribute {name!r}")


def __dir__():
    return [*__all__, "__version__"]
