r"""Scoring: an exported model over files of rows, on any engine that Apache Beam knows.

    python -m tfp_flows.scoring --model=served/digits/1 --input='rows/*.parquet' \
        --output=scores/log_prob --key=id

Models are known by their SavedModels alone: whoever scores needs neither the recipe nor
the weights' Python. Names are loaded on first use, and with them Apache Beam, an extra:
`pip install tfp_flows[scoring]`.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what is loaded on first use
    from tfp_flows.scoring.handler import FlowModelHandler
    from tfp_flows.scoring.jobs import Summary, sample, score

_HOMES = {
    "FlowModelHandler": "handler",
    "Summary": "jobs",
    "sample": "jobs",
    "score": "jobs",
}
__all__ = ["FlowModelHandler", "Summary", "sample", "score"]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'tfp_flows.scoring' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"tfp_flows.scoring.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tfp_flows"):
            raise
        raise ModuleNotFoundError(
            f"tfp_flows.scoring needs {error.name}, which is not installed: "
            "pip install tfp_flows[scoring]",
            name=error.name,
        ) from error
    return getattr(module, name)


def __dir__():
    return list(__all__)
