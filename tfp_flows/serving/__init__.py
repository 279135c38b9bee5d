"""Serving: a flow leaves Python as a SavedModel that TF Serving can run.

Names are loaded on first use: the gate `python -m tfp_flows.serving.check` has to run
in a process without TensorFlow's Python, and so has a client that only needs `seeds`.

Examples:
  >>> from tfp_flows import serving
  >>> serving.seeds(7, 3).tolist()
  [[7, 0], [7, 1], [7, 2]]
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what is loaded on first use
    from tfp_flows.serving.check import CheckError
    from tfp_flows.serving.exporter import export
    from tfp_flows.serving.row_noise import row_normal, row_uniform
    from tfp_flows.serving.row_seeds import seeds

# name -> module; the modules are named differently, because importing a submodule
# would put it in the place of the function of the same name.
_HOMES = {
    "CheckError": "check",
    "export": "exporter",
    "row_normal": "row_noise",
    "row_uniform": "row_noise",
    "seeds": "row_seeds",
}
__all__ = [
    "CheckError",
    "export",
    "row_normal",
    "row_uniform",
    "seeds",
]


def __getattr__(name: str):
    if name in _HOMES:
        module = importlib.import_module(f"tfp_flows.serving.{_HOMES[name]}")
        return getattr(module, name)
    raise AttributeError(f"module 'tfp_flows.serving' has no attribute {name!r}")


def __dir__():
    return list(__all__)
