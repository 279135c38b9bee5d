"""How many events and which seed: any way of saying it, or a clear refusal."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.distributions.test_temperature import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_an_integer_is_one_seed_whoever_made_it(name):
    model = MODELS[name]()
    wanted = model.sample(3, seed=5).numpy()
    for seed in (np.int64(5), np.int32(5), np.array(5), tf.constant(5), np.uint8(5)):
        np.testing.assert_array_equal(model.sample(3, seed=seed), wanted)
        in_chunks = model.sample(3, seed=seed, chunk_size=2)
        np.testing.assert_allclose(in_chunks, wanted, atol=1e-5)
    in_graph = tf.function(lambda seed: model.sample(3, seed=seed))
    np.testing.assert_allclose(in_graph(tf.constant(5)), wanted, atol=1e-5)
    stream = tfp.util.SeedStream(1, "stream")
    assert model.sample(3, seed=stream).shape == wanted.shape


@pytest.mark.parametrize(
    "seed", [1.5, "a", [1, 2, 3, 4], [0.5, 1.0], np.random.default_rng(0), [[1, 2]]]
)
@pytest.mark.parametrize("name", MODELS)
def test_what_is_no_seed_is_refused(name, seed):
    with pytest.raises(ValueError, match="A seed is an integer or two integers, got"):
        MODELS[name]().sample(3, seed=seed)


@pytest.mark.parametrize(
    "shape",
    [-1, 2.5, [2, -1], "a", None, True, [[1, 2]], [[1], [1, 2]], tf.constant(-1)],
)
@pytest.mark.parametrize("name", MODELS)
def test_what_is_no_number_of_events_is_refused(name, shape):
    with pytest.raises(ValueError, match="sample needs an integer from 0 on"):
        MODELS[name]().sample(shape, seed=1)


def test_shapes_come_in_many_forms():
    model = MODELS["flow"]()
    for shape in ([2, 3], (2, 3), np.array([2, 3]), tf.constant([2, 3])):
        assert model.sample(shape, seed=1).shape == [2, 3, 2]
    assert model.sample(tf.TensorShape([2, 3]), seed=1).shape == [2, 3, 2]
    assert model.sample(np.int64(4), seed=1).shape == [4, 2]
    assert model.sample([2, tf.constant(3)], seed=1).shape == [2, 3, 2]
    rows = tf.function(lambda x: model.sample([1, tf.shape(x)[0]], seed=1))
    assert rows(tf.zeros([5])).shape == [1, 5, 2]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_without_a_batch_has_no_parts(name):
    model = MODELS[name]()
    for index in (0, slice(1), (..., 0)):
        with pytest.raises(IndexError, match="has the batch shape \\(\\)"):
            model[index]
    assert model[...].event_shape == model.event_shape
