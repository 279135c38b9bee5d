"""Plots: arrays in, a `matplotlib.figure.Figure` out.

No function shows anything or touches pyplot's state: `figure.savefig("x.png")`, or in a
notebook, after `%matplotlib inline`, as the last expression of a cell.
`pip install tfp_flows[plots]`.

Examples:
  >>> from tfp_flows import flows, plots
  >>> flow = flows.pixel_cnn((4, 4, 1), 1, 8, num_values=2)
  >>> figure = plots.samples({"samples": flow.sample(12, seed=1)})
  >>> type(figure).__name__
  'Figure'
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what is loaded on first use
    from tfp_flows.plots.calibration import coverage, latent_normality, shares
    from tfp_flows.plots.clouds import corner, density, points
    from tfp_flows.plots.mosaics import (
        completions,
        extremes,
        images,
        interpolations,
        samples,
    )
    from tfp_flows.plots.over_time import (
        decibels,
        sequences,
        spectrograms,
        training_curves,
    )

# name -> module; the modules are named differently, because importing a submodule
# would put it in the place of the function of the same name.
_HOMES = {
    "completions": "mosaics",
    "corner": "clouds",
    "coverage": "calibration",
    "decibels": "over_time",
    "density": "clouds",
    "extremes": "mosaics",
    "images": "mosaics",
    "interpolations": "mosaics",
    "latent_normality": "calibration",
    "points": "clouds",
    "samples": "mosaics",
    "sequences": "over_time",
    "shares": "calibration",
    "spectrograms": "over_time",
    "training_curves": "over_time",
}
__all__ = [
    "completions",
    "corner",
    "coverage",
    "decibels",
    "density",
    "extremes",
    "images",
    "interpolations",
    "latent_normality",
    "points",
    "samples",
    "sequences",
    "shares",
    "spectrograms",
    "training_curves",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'tfp_flows.plots' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"tfp_flows.plots.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("matplotlib", "scipy"):
            raise
        raise ImportError(
            f"plots.{name} needs {error.name}, which is not installed. Install the "
            "extra: pip install 'tfp_flows[plots]'."
        ) from error
    return getattr(module, name)


def __dir__():
    return list(__all__)
