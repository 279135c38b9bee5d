"""TFP bijectors around Keras networks; they are given networks, never build them."""

from tfp_flows.bijectors.act_norm import ActNorm, Standardize
from tfp_flows.bijectors.additive_coupling import AdditiveCoupling
from tfp_flows.bijectors.affine_coupling import AffineCoupling
from tfp_flows.bijectors.batch_norm import BatchNorm
from tfp_flows.bijectors.chain import Chain
from tfp_flows.bijectors.conditioner import Conditioner
from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.bijectors.diagonal_scale import DiagonalScale
from tfp_flows.bijectors.from_tfp import FromTFP
from tfp_flows.bijectors.intervals import Intervals
from tfp_flows.bijectors.inverse import Inverse
from tfp_flows.bijectors.invertible_linear import InvertibleConv1x1, InvertibleLinear
from tfp_flows.bijectors.keras_bijector import KerasBijector
from tfp_flows.bijectors.masked_autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.mixture_logistic_coupling import MixtureLogisticCoupling
from tfp_flows.bijectors.multiscale import Multiscale
from tfp_flows.bijectors.on_first import OnFirst
from tfp_flows.bijectors.on_units import OnUnits
from tfp_flows.bijectors.pixel_histogram import PixelHistogram
from tfp_flows.bijectors.pixel_logit import PixelLogit
from tfp_flows.bijectors.reversible_block import ReversibleBlock
from tfp_flows.bijectors.running.evaluation import evaluating
from tfp_flows.bijectors.running.repeat import Repeat
from tfp_flows.bijectors.running.reversible_chain import ReversibleChain, chain_of
from tfp_flows.bijectors.simplex import Simplex
from tfp_flows.bijectors.spline_coupling import SplineCoupling
from tfp_flows.bijectors.squeeze import Squeeze
from tfp_flows.bijectors.support_map import SupportMap
from tfp_flows.bijectors.triangular_affine import TriangularAffine
from tfp_flows.bijectors.unit_interval import UnitInterval
from tfp_flows.bijectors.with_context import WithContext

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "BatchNorm",
    "Chain",
    "Conditioner",
    "Coupling",
    "DiagonalScale",
    "FromTFP",
    "Intervals",
    "Inverse",
    "InvertibleConv1x1",
    "InvertibleLinear",
    "KerasBijector",
    "MaskedAutoregressive",
    "MixtureLogisticCoupling",
    "Multiscale",
    "OnFirst",
    "OnUnits",
    "PixelHistogram",
    "PixelLogit",
    "Repeat",
    "ReversibleBlock",
    "ReversibleChain",
    "Simplex",
    "SplineCoupling",
    "Squeeze",
    "Standardize",
    "SupportMap",
    "TriangularAffine",
    "WithContext",
    "chain_of",
    "evaluating",
    "UnitInterval",
]
