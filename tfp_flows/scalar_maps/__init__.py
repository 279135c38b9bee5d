"""Functions of single units with parameters from outside; they have no weights."""

from tfp_flows.scalar_maps.affine import Affine
from tfp_flows.scalar_maps.by_unit import ByUnit
from tfp_flows.scalar_maps.circular_spline import CircularSpline
from tfp_flows.scalar_maps.mixture_logistic import MixtureLogistic
from tfp_flows.scalar_maps.rational_quadratic import RationalQuadratic
from tfp_flows.scalar_maps.registry import SCALAR_MAPS, scalar_map_of
from tfp_flows.scalar_maps.scalar_map import ScalarMap
from tfp_flows.scalar_maps.shift import Shift

__all__ = [
    "SCALAR_MAPS",
    "Affine",
    "ByUnit",
    "CircularSpline",
    "MixtureLogistic",
    "RationalQuadratic",
    "ScalarMap",
    "Shift",
    "scalar_map_of",
]
