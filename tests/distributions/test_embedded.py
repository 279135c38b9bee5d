"""Contexts through a network: images, integers, several parts with names."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows.distributions import Embedded, Flow

N = 40


def network():
    """An image, a whole number and two reals to eight features."""
    image = keras.Input((4, 4, 1), name="image")
    word = keras.Input((), dtype="int32", name="word")
    reals = keras.Input((2,), name="reals")
    features = [
        keras.layers.Flatten()(keras.layers.Conv2D(2, 3, activation="relu")(image)),
        keras.layers.Embedding(5, 3)(word),
        reals,
    ]
    out = keras.layers.Dense(8)(keras.layers.Concatenate()(features))
    return keras.Model({"image": image, "word": word, "reals": reals}, out)


SHAPES = {"image": (4, 4, 1), "word": (), "reals": (2,)}
TYPES = {"image": "float32", "word": "int32", "reals": "float32"}
INNER = {
    "flow": lambda: flows.maf((2,), 1, (8,), context_shape=(8,)),
    "autoregressive": lambda: flows.recurrent(
        (3, 1), (4,), num_values=4, context_shape=(8,)
    ),
    "dequantized": lambda: flows.glow(
        (4, 4, 1), 1, num_steps=1, filters=4, num_values=4, context_shape=(8,)
    ),
}


@pytest.fixture(scope="module", params=INNER)
def model(request):
    made = Embedded(INNER[request.param](), network(), SHAPES, TYPES)
    laws.randomize(made, seed=1)
    return made


@pytest.fixture(scope="module")
def context():
    rng = np.random.default_rng(0)
    return {
        "image": rng.normal(size=(N, 4, 4, 1)).astype("float32"),
        "word": rng.integers(0, 5, N),
        "reals": rng.normal(size=(N, 2)).astype("float32"),
    }


def events(model):
    shape = (N, *model.event_shape)
    if model.num_values is not None:
        return np.random.default_rng(1).integers(0, model.num_values, shape)
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def noise(model):
    return {} if model.is_exact else {"seed": 0}


def test_the_inner_model_sees_what_the_network_gives(model, context):
    x = events(model)
    seen = model._network({k: tf.constant(v) for k, v in context.items()})
    np.testing.assert_allclose(
        model.log_prob(x, context=context, **noise(model)),
        model.inner.log_prob(x, context=seen, **noise(model)),
        rtol=1e-5,
    )


def test_every_part_counts(model, context):
    x = events(model)
    before = model.log_prob(x, context=context, **noise(model)).numpy()
    for name, value in context.items():
        other = context | {name: (value + 1) % 5}
        after = model.log_prob(x, context=other, **noise(model)).numpy()
        assert np.mean(np.abs(after - before) > 1e-5) > 0.5


def test_it_trains_as_arrays_and_as_a_data_set(model, context):
    x, trained = events(model), FlowModel(copy.deepcopy(model))
    trained.compile(keras.optimizers.Adam(1e-2))
    before = [v.numpy() for v in trained.flow._network.trainable_variables]
    trained.fit(context, x, epochs=1, batch_size=20, verbose=0)
    data = tf.data.Dataset.from_tensor_slices((context, x)).batch(20)
    history = trained.fit(data, epochs=1, shuffle=False, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(trained.evaluate(data, verbose=0)).all()
    for old, new in zip(before, trained.flow._network.trainable_variables, strict=True):
        assert not np.allclose(old, new)


def test_the_file_has_the_network_and_the_same_numbers(model, context, tmp_path):
    x, saved = events(model), FlowModel(copy.deepcopy(model))
    saved.compile(keras.optimizers.Adam(1e-3))
    saved.fit(context, x, epochs=1, batch_size=20, verbose=0)
    saved.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.flow.context_shape == model.context_shape
    assert again.flow.context_dtype == model.context_dtype
    np.testing.assert_array_equal(
        again.predict((context, x), verbose=0), saved.predict((context, x), verbose=0)
    )
    again.fit(context, x, epochs=1, batch_size=20, verbose=0)
    weights = tmp_path / "model.weights.h5"
    saved.save_weights(weights)
    again.load_weights(weights)
    np.testing.assert_array_equal(
        again.predict((context, x), verbose=0), saved.predict((context, x), verbose=0)
    )


@pytest.mark.parametrize("shape", [(3,), ()])
def test_the_file_of_a_network_of_one_part(shape, tmp_path):
    network = keras.Sequential([keras.layers.Embedding(10, 4)])
    inner = flows.maf((2,), 1, (8,), context_shape=(*shape, 4))
    saved = FlowModel(Embedded(inner, network, shape, "int32", name="words"))
    laws.randomize(saved.flow, seed=3)
    saved.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").flow
    assert again.name == "words" and again.context_shape == shape
    words = np.random.default_rng(0).integers(0, 10, (5, *shape))
    x = np.zeros((5, 2), "float32")
    np.testing.assert_array_equal(
        again.log_prob(x, context=words), saved.flow.log_prob(x, context=words)
    )


def test_one_that_cannot_be_saved_leaves_no_file(tmp_path):
    inner = flows.maf((2,), 1, (8,), context_shape=(8,))
    by_hand = Flow(inner.bijector, inner.distribution)
    model = FlowModel(Embedded(by_hand, keras.layers.Dense(8), (3,)))
    with pytest.raises(ValueError, match="needs a flow from a recipe"):
        model.save(tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())


def test_given_is_a_plain_distribution(model, context):
    few = {name: value[:3] for name, value in context.items()}
    given, x = model.given(few), events(model)[:3]
    assert given.batch_shape == [3]
    np.testing.assert_allclose(
        given.log_prob(x, **noise(model)),
        model.log_prob(x, context=few, **noise(model)),
        rtol=1e-5,
    )
    assert given.sample(2, seed=1).shape == [2, 3, *model.event_shape]


def test_samples_in_chunks_are_those_in_one_piece(model, context):
    whole = model.sample(2, seed=3, context=context)
    chunked = model.sample(2, seed=3, context=context, chunk_size=16)
    close = np.isclose(whole, chunked, atol=1e-4)
    assert close.mean() > 0.99  # a last bit may flip an integer


def test_copies_have_weights_of_their_own(model, context):
    twin, x = copy.deepcopy(model), events(model)
    np.testing.assert_allclose(
        twin.log_prob(x, context=context, **noise(model)),
        model.log_prob(x, context=context, **noise(model)),
        rtol=1e-5,
    )
    assert not {id(v) for v in twin.raw_variables} & {id(v) for v in model.variables}


def test_the_network_runs_once_a_call():
    class Counting(keras.layers.Layer):
        calls = 0

        def call(self, x):
            type(self).calls += 1
            return x

    model = Embedded(flows.maf((2,), 3, (8,), context_shape=(1,)), Counting(), (1,))
    Counting.calls = 0
    model.log_prob(np.zeros((5, 2), "float32"), context=np.zeros((5, 1), "float32"))
    assert Counting.calls == 1


def test_integers_stay_whole():
    class Parity(keras.layers.Layer):
        def call(self, x):
            return tf.cast(x % 2, tf.float32)

    model = Embedded(
        flows.maf((1,), 1, (8,), context_shape=(1,)), Parity(), (1,), "int32"
    )
    laws.randomize(model, seed=2)
    # Neighbours that float32 cannot tell apart.
    context = np.array([[2**24], [2**24 + 1]])
    model.adapt(np.zeros((2, 1), "float32") + [[0.0], [1.0]], context)
    even, odd = model.log_prob(np.ones((2, 1), "float32"), context=context).numpy()
    assert even != odd
    with pytest.raises(ValueError, match="wants a context of int32, got float32"):
        model.sample(context=np.zeros((2, 1), "float32"))


def test_what_does_not_fit_is_refused(context):
    model = Embedded(INNER["flow"](), network(), SHAPES, TYPES)
    x = np.zeros((N, 2), "float32")
    with pytest.raises(ValueError, match="with the parts .*'word'.*got .*'image'"):
        model.log_prob(x, context={"image": context["image"]})
    with pytest.raises(ValueError, match="context 'reals' wants .*2.*got"):
        model.log_prob(x, context=context | {"reals": np.zeros((N, 3), "float32")})
    with pytest.raises(ValueError, match="same batch axes"):
        model.log_prob(x, context=context | {"word": np.zeros(3, int)})
    with pytest.raises(ValueError, match="'word': .* and got x alone"):
        FlowModel(model)(x)
    with pytest.raises(ValueError, match=r"to \(8,\), and .* takes \(4,\)"):
        flow = flows.maf((2,), 1, (8,), context_shape=(4,))
        Embedded(flow, network(), SHAPES, TYPES)
    with pytest.raises(ValueError, match="Give one dtype for all parts"):
        Embedded(INNER["flow"](), network(), SHAPES, {"word": "int32"})
    with pytest.raises(ValueError, match=r"one part, of shape \(1,\), got the parts"):
        Embedded(INNER["flow"](), keras.layers.Dense(8), (1,)).log_prob(
            x, context=context
        )


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ([(3,), (2,)], None),
        (3, None),
        ((None, 3), None),
        ("abc", None),
        ((3,), "strng"),
        ((3,), {"a": "float32"}),
    ],
)
def test_shapes_and_types_that_are_none_are_refused(shape, dtype):
    with pytest.raises(ValueError, match=r"wanted a tuple of sizes.*{name: shape}"):
        Embedded(INNER["flow"](), keras.layers.Dense(8), shape, dtype)


def test_parts_that_are_none_are_refused():
    dense, seen = keras.layers.Dense(8), keras.Input((3,))
    two = keras.Model(seen, [keras.layers.Dense(8)(seen), keras.layers.Dense(8)(seen)])
    with pytest.raises(ValueError, match="a Keras layer, got .* and function"):
        Embedded(INNER["flow"](), lambda c: c, (3,))
    with pytest.raises(ValueError, match="a Keras layer, got .* and type"):
        Embedded(INNER["flow"](), keras.layers.Dense, (3,))
    with pytest.raises(ValueError, match="conditional model .* got Dense"):
        Embedded(dense, dense, (3,))
    with pytest.raises(ValueError, match=r"takes no context. Build .*shape=\(8,\)"):
        Embedded(flows.maf((2,), 1, (8,)), dense, (3,))
    with pytest.raises(ValueError, match="gives one tensor, got a list"):
        Embedded(INNER["flow"](), two, (3,))


def test_whole_numbers_are_neither_cut_nor_wrapped():
    model = Embedded(
        flows.maf((1,), 1, (8,), context_shape=(4,)),
        keras.Sequential([keras.layers.Embedding(10, 4)]),
        (),
        "int32",
    )
    x = np.array([[0.0], [1.0]], "float32")
    with pytest.raises(ValueError, match="whole numbers that int32 does not have"):
        model.log_prob(x, context=np.array([0, 2**33]))
    with pytest.raises(ValueError, match="wants a context of int32, got float64"):
        model.adapt(x, np.array([0.7, 1.2]))
    model.adapt(x, np.array([0, 1]))
    assert model.is_adapted
