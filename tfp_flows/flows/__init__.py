"""Recipes: one function a family, each returns a `tfd.Distribution`.

`Frame` and `recipe` are for recipes of your own.
"""

from tfp_flows.flows._frame import Frame
from tfp_flows.flows._recipe import Recipe, build, recipe
from tfp_flows.flows.any_order import any_order
from tfp_flows.flows.flow_pp import flow_pp
from tfp_flows.flows.gaussian import gaussian
from tfp_flows.flows.gaussian_mixture import gaussian_mixture
from tfp_flows.flows.glow import glow
from tfp_flows.flows.iaf import iaf
from tfp_flows.flows.maf import maf
from tfp_flows.flows.neural_spline import neural_spline
from tfp_flows.flows.nice import nice
from tfp_flows.flows.pixel_cnn import pixel_cnn
from tfp_flows.flows.pixel_rnn import pixel_rnn
from tfp_flows.flows.real_nvp import real_nvp
from tfp_flows.flows.recurrent import recurrent
from tfp_flows.flows.reversible import reversible
from tfp_flows.flows.tabular import tabular
from tfp_flows.flows.wavenet import wavenet

__all__ = [
    "Frame",
    "Recipe",
    "any_order",
    "build",
    "flow_pp",
    "gaussian",
    "gaussian_mixture",
    "glow",
    "iaf",
    "maf",
    "neural_spline",
    "nice",
    "pixel_cnn",
    "pixel_rnn",
    "real_nvp",
    "recipe",
    "recurrent",
    "reversible",
    "tabular",
    "wavenet",
]
