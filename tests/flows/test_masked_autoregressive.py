"""MAF, IAF and autoregressive splines: orders, normalisation, bases, densities."""

import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import flows
from tfp_flows.bijectors import ActNorm, BatchNorm
from tfp_flows.distributions import GaussianMixture

_SMALL = {"hidden_units": (12,), "activation": "tanh", "dtype": "float64"}
_MIXTURE = {"scalar_map": "mixture", "scalar_map_options": {"num_components": 2}}
_SPLINE = {"scalar_map": "spline", "scalar_map_options": {"num_bins": 4}}
PLANE = {
    "maf": lambda: flows.maf((2,), 2, **_SMALL),
    "maf, mixture base": lambda: flows.maf((2,), 2, num_components=3, **_SMALL),
    "maf, splines": lambda: flows.maf((2,), 1, **_SPLINE, **_SMALL),
    "maf, mixtures": lambda: flows.maf((2,), 1, **_MIXTURE, **_SMALL),
    "iaf": lambda: flows.iaf((2,), 2, **_SMALL),
    "iaf, splines": lambda: flows.iaf((2,), 1, **_SPLINE, **_SMALL),
    "neural spline": lambda: flows.neural_spline(
        (2,), 1, 4, autoregressive=True, **_SMALL
    ),
    "wavenet": lambda: flows.wavenet((2, 1), 2, 4, dtype="float64"),
    "recurrent": lambda: flows.recurrent(
        (2, 1), (4,), scalar_map="mixture", num_components=2, dtype="float64"
    ),
}


@pytest.mark.parametrize("make", PLANE.values(), ids=PLANE)
def test_the_density_integrates_to_one_over_the_plane(make):
    flow = make()
    laws.randomize(flow, scale=0.6)
    density = tf.function(flow.log_prob)
    grid = np.linspace(-30.0, 30.0, 601)
    cells = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    values = np.exp(density(cells.reshape(-1, *flow.event_shape)))
    assert abs(values.sum() * 0.1**2 - 1) < 2e-3


def seen(flow, size):
    """Which units of x each unit of the latent depends on."""
    laws.randomize(flow, scale=1.0)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, size)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z = flow.encode(x)
    jacobian = tape.batch_jacobian(z, x, experimental_use_pfor=False)
    return np.abs(jacobian).max(axis=0) > 0


@pytest.mark.parametrize("recipe", [flows.maf, flows.iaf])
def test_the_orders_of_the_steps_are_those_asked_for(recipe):
    lower, eye = np.tri(4, dtype=bool), np.eye(4, dtype=bool)
    natural = seen(recipe((4,), 2, order="natural", **_SMALL), 4)
    np.testing.assert_array_equal(natural, lower)
    assert seen(recipe((4,), 2, order="alternating", **_SMALL), 4).all()
    one = seen(recipe((4,), 1, order="random", seed=0, **_SMALL), 4)
    other = seen(recipe((4,), 1, order="random", seed=3, **_SMALL), 4)
    for found in (one, other):  # a permutation of a triangle
        assert sorted(found.sum(axis=0)) == [1, 2, 3, 4] and found[eye].all()
    assert (one != other).any() and (one != lower).any()
    blocks = seen(recipe((4,), 1, block_size=2, **_SMALL), 4)
    np.testing.assert_array_equal(
        blocks, eye | (np.kron([[0, 0], [1, 0]], np.ones((2, 2))) > 0)
    )


@pytest.mark.parametrize("base", [None, 2], ids=["normal", "mixture"])
def test_act_norms_normalise_the_data_that_reach_them(base):
    flow = flows.maf((3,), 3, num_components=base, **_SMALL)
    laws.randomize(flow)
    x = np.random.default_rng(0).normal(5.0, 3.0, (200, 3))
    flow.adapt(x)
    norms = [part for part in flow.bijector.bijectors if isinstance(part, ActNorm)]
    after = [v for name, v, _ in flow.trace(x) if name in {n.name for n in norms}]
    assert len(norms) == len(after) == 3
    for value in after:
        np.testing.assert_allclose(np.mean(value, axis=0), 0.0, atol=1e-8)
        np.testing.assert_allclose(np.std(value, axis=0), 1.0, atol=1e-6)
    np.testing.assert_allclose(flow.decode(flow.encode(x)), x, atol=1e-8)


@pytest.mark.parametrize(
    ("normalization", "kind"), [("act_norm", ActNorm), ("batch_norm", BatchNorm)]
)
@pytest.mark.parametrize("scalar_map", ["affine", "spline"])
def test_a_normalisation_follows_every_step(normalization, kind, scalar_map):
    options = {"normalization": normalization, "scalar_map": scalar_map}
    flow = flows.maf((3,), 2, **options, **_SMALL)
    kinds = [isinstance(part, kind) for part in flow.bijector.bijectors]
    assert kinds == [False, False, True, False, True]
    assert not any(
        isinstance(part, (ActNorm, BatchNorm))
        for part in flows.maf((3,), 2, normalization=None, **_SMALL).submodules
    )


def test_the_base_may_be_a_mixture_that_learns():
    flow = flows.maf((3,), 1, num_components=4, **_SMALL)
    assert isinstance(flow.distribution, GaussianMixture)
    laws.randomize(flow)
    owned = {id(v) for v in flow.trainable_variables}
    assert owned >= {id(v) for v in flow.distribution.trainable_variables}
    x = flow.sample(5, seed=1)
    z, log_det = flow.encode_and_log_det(tf.identity(x))
    np.testing.assert_allclose(
        flow.log_prob(x), flow.distribution.log_prob(z) + log_det, atol=1e-9
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flows.maf((4,), 0), "maf needs num_steps >= 1, got 0"),
        (lambda: flows.maf((4,), scalar_map="cubic"), "no scalar map 'cubic'. Choose"),
        (lambda: flows.iaf((4,), order="spiral"), "iaf has no order 'spiral'. Choose"),
        (
            lambda: flows.maf((4,), normalization="layer_norm"),
            "no normalization 'layer_norm'. Choose from act_norm, batch_norm",
        ),
        (lambda: flows.maf((4,), block_size=3), "block_size that divides the event"),
        (
            lambda: flows.neural_spline((4,), autoregressive=True, dropout=0.1),
            "dropout=0.1: it is for couplings, autoregressive=False",
        ),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
