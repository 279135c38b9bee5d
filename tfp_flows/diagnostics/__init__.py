"""Diagnostics: is this density believable?

Each function asks one question of a model, or of its samples, and events that it was
not trained on; `diagnose` asks all that fit. Tests are SciPy's, the classifier and the
neighbours scikit-learn's: `pip install tfp_flows[diagnostics]`.

Examples:
  >>> from tfp_flows import diagnostics, flows
  >>> flow = flows.gaussian((2,))
  >>> diagnostics.latent_normality(flow, flow.sample(500, seed=1)).p_value > 0.01
  True
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what is loaded on first use
    from tfp_flows.diagnostics.bands import UniformBand
    from tfp_flows.diagnostics.codes import LatentNormality, latent_normality, pit
    from tfp_flows.diagnostics.decomposition import Decomposition, decompose
    from tfp_flows.diagnostics.dimension import EffectiveDimension, effective_dimension
    from tfp_flows.diagnostics.finding import DoesNotFit, Finding
    from tfp_flows.diagnostics.inverses import (
        Invertibility,
        Precision,
        invertibility,
        precision,
    )
    from tfp_flows.diagnostics.ranks import Coverage, coverage
    from tfp_flows.diagnostics.simulation_based import Calibration, sbc
    from tfp_flows.diagnostics.two_samples import (
        Marginals,
        Memorisation,
        TwoSamples,
        c2st,
        marginals,
        memorisation,
    )
    from tfp_flows.diagnostics.whole import Diagnosis, diagnose

# name -> module; the modules are named differently, because importing a submodule
# would put it in the place of the function of the same name.
_HOMES = {
    "Calibration": "simulation_based",
    "Coverage": "ranks",
    "Decomposition": "decomposition",
    "Diagnosis": "whole",
    "DoesNotFit": "finding",
    "EffectiveDimension": "dimension",
    "Finding": "finding",
    "Invertibility": "inverses",
    "LatentNormality": "codes",
    "Marginals": "two_samples",
    "Memorisation": "two_samples",
    "Precision": "inverses",
    "TwoSamples": "two_samples",
    "UniformBand": "bands",
    "c2st": "two_samples",
    "coverage": "ranks",
    "decompose": "decomposition",
    "diagnose": "whole",
    "effective_dimension": "dimension",
    "invertibility": "inverses",
    "latent_normality": "codes",
    "marginals": "two_samples",
    "memorisation": "two_samples",
    "pit": "codes",
    "precision": "inverses",
    "sbc": "simulation_based",
}
__all__ = [
    "Calibration",
    "Coverage",
    "Decomposition",
    "Diagnosis",
    "DoesNotFit",
    "EffectiveDimension",
    "Finding",
    "Invertibility",
    "LatentNormality",
    "Marginals",
    "Memorisation",
    "Precision",
    "TwoSamples",
    "UniformBand",
    "c2st",
    "coverage",
    "decompose",
    "diagnose",
    "effective_dimension",
    "invertibility",
    "latent_normality",
    "marginals",
    "memorisation",
    "pit",
    "precision",
    "sbc",
]


def __getattr__(name: str):
    if name not in _HOMES:
        message = f"module 'tfp_flows.diagnostics' has no attribute {name!r}"
        raise AttributeError(message)
    try:
        module = importlib.import_module(f"tfp_flows.diagnostics.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("scipy", "sklearn"):
            raise
        raise ImportError(
            f"diagnostics.{name} needs {error.name}, which is not installed. Install "
            "the extra: pip install 'tfp_flows[diagnostics]'."
        ) from error
    return getattr(module, name)


def __dir__():
    return list(__all__)
