"""Networks of bijectors that are put together by hand adapt once, before training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows import FlowModel
from tfp_flows import bijectors as b
from tfp_flows.distributions import Augmented, Flow, StandardNormal
from tfp_flows.networks import MADE, MLP, Reordered, masks
from tfp_flows.scalar_maps import Affine

tfd = tfp.distributions
SHAPE = (4,)


def mlp():
    return MLP((16, 16))


def made():
    return MADE(SHAPE, 2, hidden_units=(16, 16))


def reordered():
    pixels = MADE((4, 1), 2, hidden_units=(16, 16))
    return Reordered(pixels, [3, 2, 1, 0], (4, 1))


KINDS = {
    "coupling": lambda: b.AffineCoupling(SHAPE, mlp(), masks.half(SHAPE)),
    "masked": lambda: b.MaskedAutoregressive(made(), Affine()),
    "reordered": lambda: b.MaskedAutoregressive(reordered(), Affine()),
    "inverse": lambda: b.Inverse(b.MaskedAutoregressive(made(), Affine())),
    "chain": lambda: b.Chain([b.DiagonalScale(SHAPE), KINDS["coupling"]()]),
    "some units": lambda: b.OnUnits(
        b.AffineCoupling((2,), mlp(), masks.half((2,))), [True, False, True, False]
    ),
    "repeated": lambda: b.Repeat(lambda i: KINDS["coupling"](), 3),
    "reversible": lambda: b.ReversibleBlock(SHAPE, mlp(), mlp()),
}


def data(bijector, seed=0):
    rng = np.random.default_rng(seed)
    draw = lambda: tf.constant(  # noqa: E731
        rng.normal(2.0, 3.0, (200, *bijector.event_shape)), tf.float32
    )
    is_pair = isinstance(bijector, b.ReversibleBlock)
    return [draw(), draw()] if is_pair else draw()


def centers(owner):
    return [v.numpy() for v in owner.variables if "center" in v.name]


@pytest.fixture(params=KINDS)
def bijector(request):
    keras.utils.set_random_seed(0)
    return KINDS[request.param]()


def test_fresh_networks_have_still_to_adapt_and_may_again(bijector):
    assert not bijector.is_adapted
    bijector.adapt(data(bijector))
    assert bijector.is_adapted
    first = centers(bijector)
    assert len(first) >= 3 and any(np.any(center) for center in first)
    bijector.adapt(data(bijector, seed=1))
    now = centers(bijector)
    assert any(np.any(v != w) for v, w in zip(now, first, strict=True))


def test_a_network_that_sees_constants_alone_is_adapted_once_told():
    coupling = b.AffineCoupling(SHAPE, mlp(), np.zeros(4, bool))  # it sees ones
    assert not coupling.is_adapted
    coupling.adapt(data(coupling))
    assert coupling.is_adapted


def test_what_is_trained_stays_as_it_is(bijector):
    for i, variable in enumerate(bijector.trainable_variables):
        rng = np.random.default_rng(i)
        variable.assign(0.3 * rng.normal(size=variable.shape))
    assert bijector.is_adapted
    before = [v.numpy() for v in bijector.variables]
    bijector.adapt(data(bijector))
    for now, value in zip(bijector.variables, before, strict=True):
        np.testing.assert_array_equal(now, value)


def flow_of(kind):
    if kind == "reversible":
        blocks = b.Chain([KINDS[kind](), KINDS[kind]()])
        pair = tfd.JointDistributionSequential([StandardNormal(SHAPE)] * 2)
        return Augmented(Flow(blocks, pair), StandardNormal(SHAPE))
    return Flow(KINDS[kind](), StandardNormal(SHAPE))


@pytest.mark.parametrize("kind", ["chain", "masked", "reversible"])
def test_fit_adapts_them_and_the_fact_is_saved(kind, tmp_path):
    model, other = (FlowModel(flow_of(kind)) for _ in range(2))
    model.compile("adam", jit_compile=False)
    assert not model.flow.is_adapted
    x = np.random.default_rng(0).normal(2.0, 3.0, (200, 4)).astype(np.float32)
    model.fit(x, epochs=1, verbose=0)
    assert sum(np.any(center) for center in centers(model.flow)) >= 3
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert model.flow.is_adapted and other.flow.is_adapted
