"""Tasks: what people ask of a density besides samples and likelihoods.

Names are loaded on first use, as in the other packages.

Examples:
  >>> from tfp_flows import flows, tasks
  >>> flow = flows.real_nvp((2,), num_steps=2, hidden_units=(8,))
  >>> tasks.optimize(flow, lambda x: x[:, 0], n=3, num_steps=20).x.shape
  (3, 2)
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what is loaded on first use
    from tfp_flows.tasks.detection import AnomalyDetector
    from tfp_flows.tasks.inference import Posterior, posterior
    from tfp_flows.tasks.latents import (
        attribute_vector,
        interpolate,
        mean_of_class,
        most_typical,
    )
    from tfp_flows.tasks.optimisation import Optimum, optimize
    from tfp_flows.tasks.posteriors import ByChains
    from tfp_flows.tasks.simulations import Simulations, simulate
    from tfp_flows.tasks.surrogates import Surrogate, neutra, surrogate

# name -> module; the modules are named differently, because importing a submodule
# would put it in the place of the function of the same name.
_HOMES = {
    "AnomalyDetector": "detection",
    "ByChains": "posteriors",
    "Optimum": "optimisation",
    "Posterior": "inference",
    "Simulations": "simulations",
    "Surrogate": "surrogates",
    "attribute_vector": "latents",
    "interpolate": "latents",
    "mean_of_class": "latents",
    "most_typical": "latents",
    "neutra": "surrogates",
    "optimize": "optimisation",
    "posterior": "inference",
    "simulate": "simulations",
    "surrogate": "surrogates",
}
__all__ = [
    "AnomalyDetector",
    "ByChains",
    "Optimum",
    "Posterior",
    "Simulations",
    "Surrogate",
    "attribute_vector",
    "interpolate",
    "mean_of_class",
    "most_typical",
    "neutra",
    "optimize",
    "posterior",
    "simulate",
    "surrogate",
]


def __getattr__(name: str):
    if name in _HOMES:
        module = importlib.import_module(f"tfp_flows.tasks.{_HOMES[name]}")
        return getattr(module, name)
    raise AttributeError(f"module 'tfp_flows.tasks' has no attribute {name!r}")


def __dir__():
    return list(__all__)
