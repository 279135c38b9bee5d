"""Samples drawn in chunks are those drawn in one piece."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import bijectors, distributions, flows
from tfp_flows.distributions import chunks

MODELS = {
    "flow": lambda **k: flows.real_nvp((3,), 2, (4,), **k),
    "integer flow": lambda **k: flows.real_nvp((3,), 2, (4,), num_values=9, **k),
    "autoregressive": lambda **k: flows.pixel_cnn((2, 2, 1), 1, 4, num_values=3, **k),
    "mixture base": lambda **k: flows.maf((3,), 1, (4,), num_components=2, **k),
}


@pytest.fixture(scope="module", params=MODELS)
def pair(request):
    """A model, and a conditional one, with random weights."""
    made = [MODELS[request.param](), MODELS[request.param](context_shape=(2,))]
    for model in made:
        laws.randomize(model)
    return made


def assert_same(model, drawn, whole):
    assert isinstance(drawn, np.ndarray) and drawn.dtype == model.dtype
    atol = 0 if model.num_values else 1e-5
    np.testing.assert_allclose(drawn, whole, atol=atol, rtol=1e-5)


@pytest.mark.parametrize("seed", [5, (3, 4)], ids=["integer", "pair"])
def test_any_chunks_are_the_whole(pair, seed):
    model = pair[0]
    whole = model.sample((3, 5), seed=seed, temperature=0.7)
    for size in (4, 100, "auto"):
        drawn = model.sample((3, 5), seed=seed, chunk_size=size, temperature=0.7)
        assert_same(model, drawn, whole)


def test_each_event_keeps_its_context_and_temperature(pair):
    model = pair[1]
    given = {
        "context": tf.random.stateless_normal([4, 2], [1, 2]),
        "temperature": np.linspace(0.5, 1.0, 4, dtype="float32"),
    }
    for shape in (5, []):
        whole = model.sample(shape, seed=1, **given)
        assert_same(model, model.sample(shape, seed=1, chunk_size=3, **given), whole)
    of_one = model.given(given["context"])
    whole = of_one.sample(2, seed=1)
    assert whole.shape == [2, 4, *model.event_shape]
    assert_same(model, of_one.sample(2, seed=1, chunk_size=3), whole)


def test_pairs_are_drawn_in_chunks_too():
    model = flows.reversible((3,), 2, (4,))
    laws.randomize(model)
    cold = np.linspace(0.2, 1.0, 7, dtype="float32")
    for temperature in (1.0, 0.5, cold):
        whole = model.sample(7, seed=1, temperature=temperature)
        for size in (2, "auto"):
            drawn = model.sample(7, seed=1, chunk_size=size, temperature=temperature)
            assert_same(model, drawn, whole)
    # Its two normals are independent of each other.
    one, two = model.joint.encode(model.joint.sample(1000, seed=1))
    assert abs(np.corrcoef(one[:, 0], two[:, 0])[0, 1]) < 0.15


def test_without_a_seed_draws_differ():
    flow = flows.real_nvp((3,), 1, (4,))
    one, two = (flow.sample(4, chunk_size=2) for _ in range(2))
    assert np.unique(np.concatenate([one, two]), axis=0).shape == (8, 3)


def test_where_chunks_cannot_be_had_they_are_refused():
    flow = flows.real_nvp((3,), 1, (4,))
    for size in (0, -1, 1.5, "all"):
        with pytest.raises(ValueError, match=f'or "auto", got {size!r}'):
            flow.sample(3, chunk_size=size)
    with pytest.raises(ValueError, match="outside of it"):
        tf.function(lambda: flow.sample(3, seed=1, chunk_size=2))()
    with pytest.raises(ValueError, match="an integer or two integers"):
        flow.sample(3, seed=[1, 2, 3], chunk_size=2)
    base = tfp.distributions.MultivariateNormalDiag(tf.zeros([3]))
    foreign = distributions.Flow(bijectors.ActNorm((3,)), base)
    with pytest.raises(ValueError, match="a batch as a whole"):
        foreign.sample(3, chunk_size=2)


def test_the_automatic_size_follows_from_the_widest_activation():
    sizes = [
        chunks.automatic_size(flows.real_nvp((16,), 2, (width,)))
        for width in (8, 512, 1024)
    ]
    assert sizes == [2**14, 2**12, 2**11]
    image = flows.real_nvp((8, 8, 1), 1, filters=64, num_blocks=1)
    assert chunks.automatic_size(image) == 2**23 // (4 * 8 * 8 * 64)
