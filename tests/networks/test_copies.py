"""Networks deep-copy, pickle, and come back inside a user's own Keras model."""

import copy
import pickle

import keras
import numpy as np
import pytest

from tfp_flows import networks as n

# Network, shape of its input, whether it is tried with a context too.
NETWORKS = {
    "mlp": (lambda: n.MLP((8, 8), residual=True), (3,)),
    "conv net": (lambda: n.ConvResNet(4, 1), (4, 4, 2)),
    "glow net": (lambda: n.GlowNet(4), (4, 4, 2)),
    "made": (lambda: n.MADE((4,), 2, hidden_units=(8, 8), order="random"), (4,)),
    "causal convolution": (lambda: n.CausalConv((5, 1), 2), (5, 1)),
    "recurrent": (lambda: n.RecurrentNetwork((5, 1), 2, units=(4,)), (5, 1)),
    "masked convolution": (lambda: n.MaskedConv((3, 3, 1), 2), (3, 3, 1)),
    "row lstm": (lambda: n.RowLSTM((3, 3, 1), 2), (3, 3, 1)),
    "diagonal lstm": (lambda: n.DiagonalBiLSTM((3, 3, 1), 2), (3, 3, 1)),
    "dense head": (lambda: n.ZeroDense(3), (4,)),
    "convolution head": (lambda: n.ZeroConv(3), (4, 4, 2)),
}
each = pytest.mark.parametrize(
    ("make", "shape"), NETWORKS.values(), ids=NETWORKS.keys()
)


def randomized(layer, shape):
    layer.build((None, *shape))
    rng = np.random.default_rng(0)
    for weight in layer.trainable_variables:
        weight.assign(0.3 * rng.standard_normal(weight.shape))
    return layer, rng.standard_normal((2, *shape)).astype(np.float32)


def assert_same(one, other, x):
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(other(x)), keras.ops.convert_to_numpy(one(x))
    )


@each
@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_gives_the_same_and_has_weights_of_its_own(make, shape, again):
    layer, x = randomized(make(), shape)
    other = again(layer)
    assert_same(layer, other, x)
    ours = {id(v) for v in layer.variables}
    assert not ours & {id(v) for v in other.variables}
    assert len(other.variables) == len(layer.variables)


@each
def test_a_keras_model_that_holds_one_loads_without_being_told(make, shape, tmp_path):
    layer, x = randomized(make(), shape)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    assert_same(model, keras.saving.load_model(tmp_path / "model.keras"), x)


def test_a_copy_of_parameters_has_their_values_and_kinds():
    values = {"shift": np.arange(3.0)}, {"adapted": np.array(True)}
    weights = n.Parameters(*values, dtype="float64", name="weights")
    other = copy.deepcopy(weights)
    np.testing.assert_array_equal(other["shift"], [0.0, 1.0, 2.0])
    assert bool(other["adapted"]) and other.name == "weights"
    assert len(other.trainable_variables) == 1
