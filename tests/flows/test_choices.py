"""Scalar maps by name or whole, in every recipe that has them."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import flows
from tfp_flows.networks import MADE, RecurrentNetwork
from tfp_flows.scalar_maps import Affine, MixtureLogistic, RationalQuadratic, Shift

_MADE = {"num_steps": 1, "hidden_units": (8,)}
_GLOW = {"num_levels": 1, "num_steps": 1, "filters": 4}
BOTH = {
    "maf": (
        lambda f: flows.maf((3,), **_MADE, scalar_map=f),
        lambda: flows.maf((3,), **_MADE, scalar_map_options={"scale_bound": 1.0}),
        Affine(1.0),
    ),
    "iaf of splines": (
        lambda f: flows.iaf((3,), **_MADE, scalar_map=f),
        lambda: flows.iaf(
            *((3,), 1, (8,)), scalar_map="spline", scalar_map_options={"num_bins": 4}
        ),
        RationalQuadratic(4),
    ),
    "wavenet": (
        lambda f: flows.wavenet((4, 2), 2, 4, scalar_map=f),
        lambda: flows.wavenet((4, 2), 2, 4, scale_bound=1.0),
        Affine(1.0),
    ),
    "recurrent": (
        lambda f: flows.recurrent((4, 1), (4,), scalar_map=f),
        lambda: flows.recurrent((4, 1), (4,), scalar_map="additive"),
        Shift(),
    ),
    "real_nvp": (
        lambda f: flows.real_nvp((3,), 2, (8,), coupling=f),
        lambda: flows.real_nvp((3,), 2, (8,), scale_bound=1.0),
        Affine(1.0),
    ),
    "real_nvp without a bound": (
        lambda f: flows.real_nvp((3,), 2, (8,), coupling=f),
        lambda: flows.real_nvp((3,), 2, (8,), coupling_options={"scale": "exp"}),
        Affine(scale="exp"),
    ),
    "splines of real_nvp": (
        lambda f: flows.real_nvp((3,), 2, (8,), coupling=f),
        lambda: flows.neural_spline(
            *((3,), 2, 4, (8,)), bound=6.0, min_bin=0.1, min_derivative=0.01
        ),
        RationalQuadratic(4, 6.0, 0.1, 0.01),
    ),
    "glow": (
        lambda f: flows.glow((4, 4, 1), **_GLOW, coupling=f),
        lambda: flows.glow((4, 4, 1), **_GLOW, coupling="mixture"),
        MixtureLogistic(),
    ),
}


@pytest.mark.parametrize(("whole", "named", "scalar_map"), BOTH.values(), ids=BOTH)
def test_a_map_given_whole_is_the_one_that_is_named(whole, named, scalar_map):
    one, other = whole(scalar_map), named()
    laws.randomize(other)
    for variable, value in zip(one.raw_variables, other.raw_variables, strict=True):
        variable.assign(value)
    x = tf.random.stateless_normal([5, *one.event_shape], (0, 1))
    np.testing.assert_allclose(one.log_prob(x), other.log_prob(x), rtol=1e-5)
    assert one.recipe is None and other.recipe is not None


def splines(*args, **kwargs):
    return flows.neural_spline(*args, autoregressive=True, **kwargs)


@pytest.mark.parametrize("recipe", [flows.maf, flows.iaf])
def test_a_network_of_ones_own_takes_the_place_of_made(recipe):
    mine = recipe((3,), 2, network=functools.partial(MADE, hidden_units=(8,)))
    theirs = recipe((3,), 2, (8,), order="natural")
    laws.randomize(theirs)
    for variable, value in zip(mine.raw_variables, theirs.raw_variables, strict=True):
        variable.assign(value)
    x = tf.random.stateless_normal([5, 3], (0, 1))
    np.testing.assert_allclose(mine.log_prob(x), theirs.log_prob(x), rtol=1e-5)


@pytest.mark.parametrize("recipe", [flows.maf, splines])
def test_any_autoregressive_network_will_do(recipe):
    network = functools.partial(RecurrentNetwork, units=(4,))
    flow = recipe((4, 1), 1, network=network, context_shape=(2,))
    laws.randomize(flow)
    context = tf.ones([5, 2])
    x = tf.identity(flow.sample(seed=1, context=context))
    z = flow.encode(x, context)
    np.testing.assert_allclose(flow.decode(z, context), x, atol=1e-4)


def test_options_and_names_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="for a scalar map that was given whole"):
        flows.maf(
            (3,),
            scalar_map=Affine(),
            scalar_map_options={"scale_bound": 1.0},
        )
    with pytest.raises(ValueError, match="no scalar map 'cubic'. Choose from addit"):
        flows.glow((4, 4, 1), 1, coupling="cubic")
    with pytest.raises(
        ValueError, match="'affine' has no option num_bins. Choose from"
    ):
        flows.glow((4, 4, 1), 1, coupling_options={"num_bins": 4})
    with pytest.raises(ValueError, match="order='random': it is for the networks"):
        flows.maf((3,), order="random", network=functools.partial(MADE))
    with pytest.raises(ValueError, match="scale_bound=1.0: it is for affine maps"):
        flows.wavenet((4, 1), scalar_map=RationalQuadratic(4), scale_bound=1.0)
