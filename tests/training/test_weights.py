"""Weights of examples: a weighted likelihood wherever Keras takes weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tests.replicas import mirrored
from tfp_flows import FlowModel, flows
from tfp_flows.training import NonFiniteLossError

# With the tests that use the same two replicas.
pytestmark = pytest.mark.xdist_group("strategies")

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(24, 2)) * [1, 3] + [0, 5]).astype(np.float32)
CONTEXT = RNG.normal(size=(24, 1)).astype(np.float32)
TIMES = RNG.integers(0, 4, 24)
FRACTIONS = RNG.uniform(0, 2, 24)
QUIET = {"shuffle": False, "verbose": 0}


def model(optimizer=None, jit_compile=False, **options):
    keras.utils.set_random_seed(0)
    made = FlowModel(flows.real_nvp((2,), 2, (4,), activation="tanh", **options))
    made.flow.adapt(X, CONTEXT if "context_shape" in options else None)
    laws.randomize(made.flow, seed=1)
    made.compile(optimizer or keras.optimizers.SGD(1e-2), jit_compile=jit_compile)
    return made


def in_sets(size, weights=FRACTIONS, x=X):
    """Batches as users of Keras write them."""
    rows = tf.data.Dataset.from_tensor_slices((x, weights)).batch(size)
    return rows.map(lambda x, w: (x, None, w))


def values(made):
    return [v.numpy() for v in made.trainable_variables]


def assert_same(one, two, **tolerance):
    for v, w in zip(one, two, strict=True):
        np.testing.assert_allclose(v, w, **{"atol": 2e-6, "rtol": 2e-5, **tolerance})


@pytest.mark.parametrize(
    ("options", "jit_compile"), [({}, True), ({"context_shape": (1,)}, False)]
)
def test_integer_weights_are_repeated_examples(options, jit_compile):
    data = (CONTEXT, X) if options else (X,)
    weighted = model(jit_compile=jit_compile, **options)
    repeated = model(jit_compile=jit_compile, **options)
    fit = {"batch_size": 99, "epochs": 3, "verbose": 0}
    one = weighted.fit(*data, sample_weight=TIMES, **fit)
    two = repeated.fit(*(np.repeat(part, TIMES, 0) for part in data), **fit)
    assert_same(values(weighted), values(repeated))
    for name, found in one.history.items():
        np.testing.assert_allclose(found, two.history[name], rtol=1e-5)


def test_a_gaussian_ends_at_the_weighted_moments():
    gaussian = FlowModel(flows.gaussian((2,)))
    adam = keras.optimizers.Adam(3e-2)
    gaussian.compile(adam, steps_per_execution=50, jit_compile=False)
    gaussian.flow.adapt(X)
    endless = {"steps_per_epoch": 400, "shuffle": False, "verbose": 0}
    gaussian.fit(in_sets(24).repeat(), **endless)
    mean = gaussian.flow.decode(tf.zeros([2]))
    factor = gaussian.flow.decode(tf.eye(2)) - mean
    np.testing.assert_allclose(mean, np.average(X, 0, FRACTIONS), atol=1e-3)
    wanted = np.cov(X.T, aweights=FRACTIONS, ddof=0)
    np.testing.assert_allclose(tf.transpose(factor) @ factor, wanted, rtol=1e-2)
    # The least cross-entropy is the Gaussian's own entropy.
    scores = gaussian.evaluate(X, sample_weight=FRACTIONS, verbose=0, return_dict=True)
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * wanted)[1]
    np.testing.assert_allclose(scores["nll"], entropy, atol=1e-4)


def test_means_of_training_validation_and_evaluation_are_weighted():
    made = model(keras.optimizers.SGD(0.0))
    nll = -made.flow.log_prob(X).numpy()
    last, wanted = slice(18, None), np.average(nll, weights=FRACTIONS)
    held_out = np.average(nll[last], weights=FRACTIONS[last])
    shares = {"x": X, "sample_weight": FRACTIONS, "batch_size": 7, "verbose": 0}
    history = made.fit(validation_split=0.25, **shares).history
    first = np.average(nll[:18], weights=FRACTIONS[:18])
    np.testing.assert_allclose(history["nll"], first, rtol=1e-5)
    np.testing.assert_allclose(history["val_nll"], held_out, rtol=1e-5)
    for data in (in_sets(7), (X, None, FRACTIONS)):
        history = made.fit(in_sets(7), validation_data=data, **QUIET).history
        for name in ("nll", "val_nll"):
            np.testing.assert_allclose(history[name], wanted, rtol=1e-5)
        np.testing.assert_allclose(
            history["val_bits_per_dim"], wanted / np.log(4), 1e-5
        )
    scores = made.evaluate(return_dict=True, **shares)
    np.testing.assert_allclose(scores["nll"], wanted, rtol=1e-5)
    also = made.evaluate(in_sets(7), verbose=0, return_dict=True)
    np.testing.assert_allclose(also["nll"], wanted, rtol=1e-5)
    for on_batch in (made.train_on_batch, made.test_on_batch):
        made.reset_metrics()
        found = on_batch(X, sample_weight=FRACTIONS, return_dict=True)
        np.testing.assert_allclose(found["nll"], wanted, rtol=1e-5)


def test_two_replicas_are_one_device():
    found = []
    for strategy in (tf.distribute.get_strategy(), mirrored()):
        with strategy.scope():
            made = model()
        # The last batch leaves one replica a single example, of weight 0.
        weights = np.where(np.arange(24) == 23, 0.0, FRACTIONS)
        data = in_sets(11, weights)
        history = made.fit(data, validation_data=data, epochs=2, **QUIET).history
        also = made.evaluate(X, sample_weight=weights, batch_size=5, verbose=0)
        found.append([*values(made), *history.values(), also])
    assert_same(*found)


def test_an_example_of_weight_zero_and_a_batch_of_them_count_nowhere():
    weights = np.where(np.arange(24) % 3, FRACTIONS, 0.0)
    weights[8:16] = 0.0
    moved = np.where(weights[:, None] > 0, X, 1e3).astype(np.float32)
    kept = np.concatenate([np.arange(8), np.arange(16, 24)])
    found = []
    for x, part in ((X, slice(None)), (moved, slice(None)), (X, kept)):
        made = model()
        data = in_sets(8, weights[part], x[part])
        history = made.fit(data, epochs=2, **QUIET).history
        found.append([*values(made), *history.values()])
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])


def test_noise_of_an_integer_model_differs_from_batch_to_batch():
    made = FlowModel(flows.real_nvp((2,), 1, (4,), num_values=5))
    x = RNG.integers(0, 5, (24, 2))
    made.flow.adapt(x)
    made.compile("sgd", jit_compile=False)
    score = [
        made.evaluate(x, sample_weight=scale * FRACTIONS, batch_size=6, verbose=0)
        for scale in (1.0, 1e-3)
    ]
    assert_same(*score)


SHAPE = r"shape \(24,\), got \(23,\)"
NO_WEIGHTS = {
    "NaN": (np.where(TIMES == TIMES[3], np.nan, 1.0), "finite .* got nan for row"),
    "negative": (np.where(np.arange(24) == 5, -1.0, 1.0), "got -1.0 for row 5, and 1"),
    "nothing": (np.zeros(24), "0 for all examples"),
    "too few": (np.ones(23), SHAPE),
    "of two columns": (np.ones((24, 2)), r"got \(24, 2\)"),
}


@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_what_is_no_weight_is_refused(name):
    weights, message = NO_WEIGHTS[name]
    made = model()
    for refuse in (
        lambda: made.fit(X, sample_weight=weights),
        lambda: made.fit(X, validation_data=(X, None, weights)),
        lambda: made.evaluate(X, sample_weight=weights),
        lambda: made.train_on_batch(X, sample_weight=weights),
    ):
        with pytest.raises(ValueError, match=message):
            refuse()


def test_other_ways_to_give_weights_are_refused():
    made = model()
    with pytest.raises(ValueError, match="cannot use class_weight"):
        made.fit(X, class_weight={0: 1.0})
    with pytest.raises(ValueError, match="sample_weight goes with arrays"):
        made.fit(in_sets(8), sample_weight=FRACTIONS, **QUIET)
    pairs = tf.data.Dataset.from_tensor_slices((X, FRACTIONS)).batch(8)
    with pytest.raises(ValueError, match=r"they are \(x, None, weights\)"):
        made.fit(pairs, **QUIET)
    with pytest.raises(ValueError, match="one weight an example"):
        made.fit(in_sets(8, np.ones((24, 2))), **QUIET)


def test_a_step_with_a_negative_weight_changes_nothing_and_names_the_row():
    made = model()
    before = values(made)
    weights = np.where(np.arange(24) == 13, -1.0, 1.0)
    with pytest.raises(
        NonFiniteLossError, match="row 13 has no finite weight"
    ) as caught:
        made.fit(in_sets(24, weights), **QUIET)
    assert caught.value.rows == (13,)
    assert_same(values(made), before, atol=0, rtol=0)


def of_unknown_size(weights, spec):
    """Batches of five rows whose number, and that of the weights, no graph knows."""

    def each():
        for i in range(4):
            yield X[5 * i : 5 * i + 5], weights

    data = tf.data.Dataset.from_generator(
        each, output_signature=(tf.TensorSpec([None, 2]), spec)
    )
    data = data.apply(tf.data.experimental.assert_cardinality(4))
    return data.map(lambda x, w: (x, None, w))


@pytest.mark.parametrize(
    ("shape", "rank"), [((1,), 1), ((3,), 1), ((1,), 0), ((5, 1), 0), ((), 0)]
)
def test_weights_of_another_number_are_refused_where_graphs_know_none(shape, rank):
    spec = tf.TensorSpec([None] if rank else None)
    data, made = of_unknown_size(np.ones(shape, "float32"), spec), model()
    before = values(made)
    with pytest.raises(ValueError, match=r"one weight an example, of shape \(5,\)"):
        made.fit(data, **QUIET)
    for old, new in zip(before, values(made), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.warns(UserWarning, match="no finite log_prob, or no weight"):
        assert np.isnan(made.evaluate(data, verbose=0)).all()


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_bad_weights_are_named_where_graphs_know_no_size(bad):
    weights = np.float32([1, 1, bad, 1, 1])
    made = model()
    with pytest.raises(NonFiniteLossError, match="weight that is not neg") as error:
        made.fit(of_unknown_size(weights, tf.TensorSpec(None)), **QUIET)
    assert error.value.rows == (2, 7, 12, 17)


def test_good_weights_weigh_where_graphs_know_no_size():
    weights = np.float32([1, 0, 2, 0.5, 1])
    made = model()
    found = made.evaluate(of_unknown_size(weights, tf.TensorSpec(None)), verbose=0)
    log_prob = made.flow.log_prob(X[:20]).numpy().reshape(4, 5)
    wanted = -(weights * log_prob).sum() / (4 * weights.sum())
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5)
