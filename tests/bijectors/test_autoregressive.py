"""Masked autoregressive bijectors: maps, orders, networks, and both directions."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import bijectors as b
from tfp_flows import networks
from tfp_flows.scalar_maps import Affine, MixtureLogistic, RationalQuadratic

MAPS = {
    "affine": Affine(),
    "spline": RationalQuadratic(4, 2.0),
    "mixture": MixtureLogistic(2),
}
SHAPES = {  # shape of the events, and options of MADE
    "vector": ((5,), {}),
    "image, reversed blocks": (
        (2, 2, 2),
        {"order": "reversed", "block_size": 2, "residual": True},
    ),
    "sequence, random order": ((3, 2), {"order": "random", "seed": 3}),
}
DIRECTIONS = {
    "forward by steps": lambda bijector: bijector,
    "inverse by steps": b.Inverse,
    "inverse by steps, of TFP": tfp.bijectors.Invert,
}
SMALL = {"dtype": "float64"}
OTHERS = {  # shape of the events, map, and network
    "causal conv": (
        (4, 2),
        "spline",
        lambda *a: networks.CausalConv(*a, filters=4, num_layers=2, **SMALL),
    ),
    "recurrent": (
        (4, 1),
        "mixture",
        lambda *a: networks.RecurrentNetwork(*a, units=(4,), **SMALL),
    ),
    "masked conv": (
        (2, 2, 2),
        "affine",
        lambda *a: networks.MaskedConv(*a, filters=4, num_blocks=1, **SMALL),
    ),
    "row LSTM": (
        (2, 2, 1),
        "spline",
        lambda *a: networks.RowLSTM(*a, units=4, num_layers=1, **SMALL),
    ),
    "diagonal LSTM": (
        (2, 3, 1),
        "mixture",
        lambda *a: networks.DiagonalBiLSTM(*a, units=4, num_layers=1, **SMALL),
    ),
}
# Each pair of a shape, a map and a direction once.
TRIPLES = {
    f"{direction}-{unit_map}-{shape}": (
        *SHAPES[shape],
        MAPS[unit_map],
        DIRECTIONS[direction],
    )
    for i, shape in enumerate(SHAPES)
    for j, unit_map in enumerate(MAPS)
    for k, direction in enumerate(DIRECTIONS)
    if (i + j + k) % 3 == 0
}
maps = pytest.mark.parametrize("unit_map", MAPS.values(), ids=MAPS)
shapes = pytest.mark.parametrize("shape, options", SHAPES.values(), ids=SHAPES)


class Counting(networks.MADE):
    """Counts how often its Python code runs: once a call or step, eager or traced."""

    calls = steps = 0

    def call(self, *args, **kwargs):
        self.calls += 1
        return super().call(*args, **kwargs)

    def step(self, *args, **kwargs):
        self.steps += 1
        return super().step(*args, **kwargs)


def made(shape, unit_map, context_shape=None, made=networks.MADE, **options):
    network = made(
        shape,
        unit_map.num_params,
        hidden_units=(12, 12),
        activation="tanh",
        dtype="float64",
        **options,
    )
    bijector = b.MaskedAutoregressive(
        network, unit_map, context_shape=context_shape, dtype="float64"
    )
    laws.randomize(bijector, scale=0.8)
    return bijector


def events(shape, count=3):
    rng = np.random.default_rng(1)
    return tf.constant(1.5 * rng.standard_normal((count, *shape)))


@pytest.mark.parametrize(
    "shape, options, unit_map, direction", TRIPLES.values(), ids=TRIPLES
)
def test_both_directions_are_inverses_with_the_log_dets_of_autodiff(
    shape, options, unit_map, direction
):
    bijector, y = direction(made(shape, unit_map, **options)), events(shape)
    assert np.abs(bijector.inverse(y) - y).max() > 0.1
    laws.assert_round_trip(bijector, y)
    laws.assert_log_det_matches_autodiff(bijector, y)


@pytest.mark.parametrize("shape, unit_map, network", OTHERS.values(), ids=OTHERS)
def test_every_network_is_inverted_by_its_steps(shape, unit_map, network):
    unit_map = MAPS[unit_map]
    bijector = b.MaskedAutoregressive(
        network(shape, unit_map.num_params), unit_map, dtype="float64"
    )
    laws.randomize(bijector, scale=0.8)
    laws.assert_round_trip(bijector, events(shape))
    laws.assert_log_det_matches_autodiff(bijector, events(shape))


@shapes
@maps
def test_samples_are_those_of_a_call_for_each_position(shape, options, unit_map):
    """The loop that everybody runs: the whole network again for each unit."""
    bijector, x = made(shape, unit_map, **options), events(shape)
    (network,) = bijector.keras_layers
    y, log_slope = np.zeros(x.shape), np.zeros(x.shape)
    for units in network.order:
        values = unit_map.forward(x, *tf.unstack(network(tf.constant(y)), axis=-1))
        for to, value in zip((y, log_slope), values, strict=True):
            np.reshape(to, [3, -1])[:, units] = np.reshape(value, [3, -1])[:, units]
    np.testing.assert_allclose(bijector.forward(x), y, atol=1e-10)
    log_det = bijector.forward_log_det_jacobian(tf.identity(x), len(shape))
    np.testing.assert_allclose(log_det, log_slope.reshape(3, -1).sum(1), atol=1e-10)


@pytest.mark.parametrize("direction", [lambda v: v, b.Inverse], ids=["maf", "iaf"])
def test_one_way_takes_one_call_and_the_other_one_pass_of_steps(direction):
    maf = made((5,), MAPS["affine"], made=Counting)
    bijector, (network,) = direction(maf), maf.keras_layers
    at_once, by_steps = bijector.inverse, bijector.forward
    if bijector is not maf:
        at_once, by_steps = by_steps, at_once
    for function, wanted in ((at_once, (1, 0)), (by_steps, (0, 5))):
        network.calls = network.steps = 0
        function(events((5,)))
        assert (network.calls, network.steps) == wanted
    network.calls = network.steps = 0
    graph = tf.function(by_steps).get_concrete_function(events((5,))).graph
    loops = [op for op in graph.get_operations() if op.type == "StatelessWhile"]
    assert (network.calls, network.steps, len(loops)) == (0, 1, 1)


@maps
@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS)
def test_graphs_serve_every_batch_size_and_context(unit_map, direction):
    bijector = direction(made((4,), unit_map, (2,), order="reversed"))
    specs = [tf.TensorSpec([None, n], tf.float64) for n in (4, 2)]
    y, context = events((4,), 5), events((2,), 5)
    for function in (bijector.forward, bijector.inverse):
        wanted = function(y, context=context)
        traced = tf.function(lambda v, c, f=function: f(v, context=c), specs)
        for count in (1, 5):
            found = traced(y[:count], context[:count])
            np.testing.assert_allclose(found, wanted[:count], atol=1e-10)
        assert np.abs(function(y, context=-context) - wanted).max() > 0.01


def test_what_does_not_fit_is_refused():
    affine = MAPS["affine"]
    for network, match in [
        (keras.layers.Dense(2), "needs an AutoregressiveNetwork such as MADE, got De"),
        (networks.MADE((4,), 3), "num_params=2, as its Affine wants, .* got 3 and 1"),
        (networks.MADE((4,), 2, 2), "num_features=1, got 2 and 2"),
    ]:
        with pytest.raises(ValueError, match=match):
            b.MaskedAutoregressive(network, affine)
