"""Uniform numbers by rows, and dropout that is equal on any number of replicas."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfp_flows.networks import Dropout
from tfp_flows.networks.uniform_rows import uniform_rows

KEY = tf.constant([3, 5])


@given(
    size=st.integers(1, 9),
    start=st.integers(0, 6),
    dtype=st.sampled_from(["float32", "float64", "bfloat16"]),
)
def test_a_part_has_the_numbers_of_the_whole(size, start, dtype):
    whole = uniform_rows([7, size], KEY, 0, dtype)
    part = uniform_rows([7 - start, size], KEY, start, dtype)
    np.testing.assert_array_equal(part, whole[start:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_also_under_xla(dtype):
    drawn = tf.function(
        lambda shape, first: uniform_rows([shape.shape[0], 3, 3], KEY, first, dtype),
        jit_compile=True,
    )
    whole, part = drawn(tf.zeros([9, 0]), 0), drawn(tf.zeros([4, 0]), 5)
    np.testing.assert_array_equal(part, whole[5:])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_numbers_are_uniform_and_independent(dtype):
    x = uniform_rows([20000, 5], KEY, 0, dtype).numpy()
    assert 0.0 < x.min() and x.max() < 1.0
    assert scipy.stats.kstest(x.ravel(), "uniform").pvalue > 1e-3
    both = np.concatenate([x[:-1], x[1:], uniform_rows([19999, 5], KEY + 1)], axis=1)
    correlations = np.corrcoef(both.T) - np.eye(15)
    assert np.abs(correlations).max() < 5 / np.sqrt(len(x))


def test_dropout_drops_its_share_anew_at_each_call():
    layer, x = Dropout(0.25), tf.ones([200, 50])
    first, second = (layer(x, training=True).numpy() for _ in range(2))
    np.testing.assert_allclose(first[first > 0], 1.0 / 0.75)
    assert abs((first == 0).mean() - 0.25) < 0.02
    # Two masks agree by chance, also shifted by a row.
    for other in (second, np.roll(second, 1, 0), np.roll(second, -1, 0)):
        assert abs(((first == 0) == (other == 0)).mean() - 0.625) < 0.02
    np.testing.assert_array_equal(layer(x, training=False), x)
    again = Dropout.from_config(layer.get_config())
    assert again.rate == 0.25


def test_a_seed_state_names_the_place_of_the_first_row():
    layer, x = Dropout(0.5), tf.ones([8, 6])
    state = layer.seed_generator.state

    def dropped(rows, first):
        with keras.StatelessScope([(state, tf.constant([11, first], state.dtype))]):
            return layer(rows, training=True)

    np.testing.assert_array_equal(dropped(x[3:], 3), dropped(x, 0)[3:])


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_all_or_nothing(rate):
    x = Dropout(rate)(tf.ones([4, 3]), training=True)
    np.testing.assert_array_equal(x, np.full([4, 3], 1.0 - rate))
