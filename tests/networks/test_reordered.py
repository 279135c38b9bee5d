"""Reordered: any network obeys the laws of its order on rearranged events."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import autoregressive_laws as laws
from tfp_flows.networks import MADE, CausalConv, MaskedConv, Reordered

_CONV = {"filters": 4, "num_blocks": 2, "first_kernel_size": 3}
COLUMNS = np.arange(6).reshape(2, 3).T.ravel()


def pixels(shape, **options):
    return MaskedConv(shape, 2, **_CONV, dtype="float64", **options)


NETWORKS = {
    "columns": lambda: Reordered(pixels((3, 2, 1)), COLUMNS, (2, 3, 1)),
    "joint columns": lambda: Reordered(
        pixels((3, 2, 2), channels="joint"), COLUMNS, (2, 3, 2)
    ),
    "reversed": lambda: Reordered(pixels((2, 3, 2)), np.arange(6)[::-1]),
    "permuted": lambda: Reordered(pixels((2, 3, 1)), [3, 0, 5, 1, 4, 2]),
    "reversed time": lambda: Reordered(
        CausalConv((4, 2), 2, filters=4, num_layers=3, dtype="float64"), [3, 2, 1, 0]
    ),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    return laws.build(NETWORKS[request.param](), context_shape=(2,))


def test_a_position_sees_none_that_comes_later(network):
    seen = laws.dependence(network, laws.contexts(network))
    assert not np.triu(seen).any() and seen.any()


def test_steps_give_the_numbers_of_call_and_separate_as_well(network):
    context = laws.contexts(network)
    laws.assert_steps_give_the_numbers_of_call(network, context)
    x = laws.events(network)
    np.testing.assert_allclose(
        tf.stack(network.separate(x, context), axis=-1),
        network(x, context=context),
        atol=1e-12,
    )


def test_a_network_comes_back_from_its_configuration(network):
    config = keras.saving.serialize_keras_object(network)
    again = keras.saving.deserialize_keras_object(config)
    assert again.built
    np.testing.assert_array_equal(again.order, network.order)
    for one, two in zip(again.variables, network.variables, strict=True):
        one.assign(two)
    x, context = laws.events(network), laws.contexts(network)
    np.testing.assert_array_equal(
        again(x, context=context), network(x, context=context)
    )


def test_columns_are_the_rows_of_the_transposed_picture():
    network = laws.build(NETWORKS["columns"]())
    x = laws.events(network)
    turned = network.network(tf.transpose(x, [0, 2, 1, 3]))
    np.testing.assert_array_equal(network(x), tf.transpose(turned, [0, 2, 1, 3, 4]))


def test_rows_of_a_context_stay_with_their_time_step():
    network = laws.build(NETWORKS["reversed time"](), context_shape=(4, 3))
    x, context = laws.events(network), laws.contexts(network, (4, 3))
    laws.assert_steps_give_the_numbers_of_call(network, context)
    other = context + tf.constant([0.0, 0.0, 1.0, 0.0], context.dtype)[:, None]
    change = np.abs(network(x, context=context) - network(x, context=other))
    reached = change.max(axis=(0, 2, 3)) > 0
    assert reached[2] and not reached[3]  # time runs backwards: step 3 comes before


def test_what_is_no_permutation_is_refused():
    for positions in ([0, 1], [0, 1, 2, 3, 4, 4]):
        with pytest.raises(ValueError, match="each of the 6 positions"):
            Reordered(pixels((2, 3, 1)), positions)


def test_the_inner_network_adapts_to_rearranged_data():
    order = [2, 0, 1]
    x = np.random.default_rng(0).normal(size=(50, 3, 1)) * [[1.0], [2.0], [3.0]]
    alone, inner = (MADE((3, 1), 2, hidden_units=(16,)) for _ in range(2))
    network = Reordered(inner, order)
    network.build((None, 3, 1))
    alone.build((None, 3, 1))
    alone.set_weights(inner.get_weights())
    before = inner.get_weights()
    network.adapt(tf.constant(x, tf.float32))
    alone.adapt(x[:, order])
    for one, two in zip(inner.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)
    assert any(np.any(a != b) for a, b in zip(before, alone.get_weights(), strict=True))
