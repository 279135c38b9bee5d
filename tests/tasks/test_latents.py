"""Ways, attributes, means and typical events in latent spaces."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import flows, tasks
from tfp_flows.distributions import Flow, StandardLogistic


@pytest.fixture(scope="module")
def flow():
    model = flows.real_nvp((3,), 2, (8,), context_shape=(2,))
    laws.randomize(model)
    return model


def test_a_way_has_its_ends_and_keeps_its_length(flow):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 3)).astype(np.float32)
    c, d = rng.normal(size=(2, 5, 2)).astype(np.float32)
    way = tasks.interpolate(flow, a, b, 7, context=c, context_b=d)
    assert way.shape == (7, 5, 3)
    np.testing.assert_allclose(way[0], a, atol=1e-4)
    np.testing.assert_allclose(way[-1], b, atol=1e-4)
    ends = [np.linalg.norm(flow.encode(*e), axis=-1) for e in ((a, c), (b, d))]
    middle = np.linalg.norm(flow.encode(way[3], (c + d) / 2), axis=-1)
    # A circle's middle is (start + end) / (2 cos(angle / 2)): no shorter than a half.
    assert (middle > 0.7 * np.minimum(*ends)).all()


def test_a_way_to_itself_stays(flow):
    x = tf.ones([1, 3])
    way = tasks.interpolate(flow, x, x, 4, context=[0.0, 1.0])
    np.testing.assert_allclose(way, np.ones([4, 1, 3]), atol=2e-3)


def test_angles_go_the_shorter_way_round_and_their_mean_is_a_direction():
    support = [("periodic", 0, 360), "real"]
    flow = flows.real_nvp((2,), 2, (8,), support=support)  # the identity on angles
    a, b = np.float32([[350.0, 0.0]]), np.float32([[30.0, 3.0]])
    way = tasks.interpolate(flow, a, b, 4).numpy()[:, 0]
    np.testing.assert_allclose(way[:, 0], [350, 10 / 3, 50 / 3, 30], atol=1e-3)
    back = tasks.interpolate(flow, b, a, 4).numpy()[:, 0]
    np.testing.assert_allclose(back[::-1], way, atol=1e-3)
    mean = tasks.mean_of_class(flow, np.concatenate([a, b])).numpy()
    np.testing.assert_allclose(mean, [10.0, 1.5], atol=1e-3)
    turn = tasks.attribute_vector(flow, b, a).numpy()
    np.testing.assert_allclose(turn[0], np.deg2rad(40.0), atol=1e-5)


def test_other_bases_have_straight_ways():
    shift = tfp.bijectors.Shift([1.0, 2.0])
    flow = Flow(shift, StandardLogistic((2,)))
    way = tasks.interpolate(flow, [0.0, 1.0], [1.0, 0.0], 3)
    np.testing.assert_allclose(way, [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]], atol=1e-6)


def test_attributes_and_means_of_a_gaussian_are_those_of_the_data():
    data = np.random.default_rng(0).normal(3.0, 2.0, size=(200, 2)).astype(np.float32)
    flow = flows.gaussian((2,))
    flow.adapt(data)
    large = data[:, 0] > 3.0
    vector = tasks.attribute_vector(flow, data[large], data[~large])
    moved = flow.decode(flow.encode(data[:1]) + vector)
    gap = data[large].mean(axis=0) - data[~large].mean(axis=0)
    np.testing.assert_allclose(moved - data[:1], [gap], atol=1e-4)
    mean = tasks.mean_of_class(flow, data[large])
    np.testing.assert_allclose(mean, data[large].mean(axis=0), rtol=1e-4)


def test_typical_is_neither_the_mode_nor_the_tail():
    flow = flows.gaussian((100,))
    x = np.stack([np.zeros(100), np.ones(100), 3 * np.ones(100)]).astype(np.float32)
    order = tasks.most_typical(flow, x, n=3)
    np.testing.assert_array_equal(order[:, 0], [1.0, 0.0, 3.0])


def test_what_is_refused(flow):
    pixels = flows.pixel_cnn((2, 2, 1), 1, 4, num_values=2)
    with pytest.raises(ValueError, match="has no latent space"):
        tasks.mean_of_class(pixels, np.zeros([3, 2, 2, 1], np.int32))
    with pytest.raises(ValueError, match="two ends, got steps=1"):
        tasks.interpolate(flow, [0.0] * 3, [1.0] * 3, 1, context=[0.0, 0.0])
    with pytest.raises(ValueError, match="conditional and got no context"):
        tasks.mean_of_class(flow, np.zeros([2, 3], np.float32))
    with pytest.raises(ValueError, match="1 <= n <= 2, the number of events, got 3"):
        tasks.most_typical(flows.gaussian((1,)), [[0.0], [1.0]], n=3)


@pytest.mark.parametrize("task", ["interpolate", "attribute_vector", "mean_of_class"])
def test_events_without_a_code_are_refused(task):
    model, good = flows.gaussian((2,), support="positive"), np.ones([2, 2], np.float32)

    def ask(model, x):
        others = () if task == "mean_of_class" else (good[: len(x)],)
        return getattr(tasks, task)(model, x, *others)

    for bad in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="Some events have no code under gaussian"):
            ask(model, good * np.float32([[bad], [1.0]]))
    with pytest.raises(ValueError, match="needs a model of this library, got Normal"):
        ask(tfp.distributions.Normal(0.0, 1.0), good)
    if task != "interpolate":
        with pytest.raises(ValueError, match="A mean needs events .* got none"):
            ask(model, good[:0])


def test_typical_events_come_in_any_type_and_nan_is_the_least():
    x = np.array([[np.nan, 0.0], [9.0, 9.0], [1.4, 0.0]])
    order = tasks.most_typical(flows.maf((2,), 1, (4,)), x, n=3).numpy()
    np.testing.assert_array_equal(order, x[[2, 1, 0]])
    with pytest.raises(ValueError, match="wants events of shape"):
        tasks.most_typical(flows.gaussian((2,)), np.zeros([3, 3]))
