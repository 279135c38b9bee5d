"""Mixtures: TFP's agrees, scikit-learn fits no better, and no unit matters."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from sklearn import datasets, decomposition
from sklearn import mixture as sklearn_mixture

from tests import laws
from tfp_flows import flows
from tfp_flows.distributions import GaussianMixture

tfd = tfp.distributions


def blobs(num_rows=600, seed=0):
    return datasets.make_blobs(num_rows, 3, centers=3, random_state=seed)[0]


def test_the_mixture_is_tfps_mixture():
    base = GaussianMixture((3,), 2, dtype="float64")
    base.adapt(blobs() * [1.0, 50.0, 1e-3] + [7.0, -2.0, 1.0])
    laws.randomize(base)
    w = {v.path.split("/")[-1]: v.numpy() for v in base.keras_layers[0].variables}
    mixing = np.stack([np.eye(3)] * 2)
    mixing[:, [1, 2, 2], [0, 0, 1]] = w["below"] / np.sqrt([1, 2, 2])
    fitted = w["unit"][:, None] * w["factor"]
    factor = fitted @ (np.exp(w["log_diagonal"])[..., None] * mixing)
    mean = w["center"] + np.einsum("kde,ke->kd", fitted, w["shift"])
    judge = tfd.MixtureSameFamily(
        tfd.Categorical(logits=w["logits"]), tfd.MultivariateNormalTriL(mean, factor)
    )
    z = base.sample(20, seed=(1, 2))
    np.testing.assert_allclose(base.log_prob(z), judge.log_prob(z), atol=1e-9)
    np.testing.assert_allclose(base.mean(), judge.mean(), rtol=1e-12)


@pytest.mark.parametrize("recipe", ["gaussian", "gaussian_mixture"])
def test_a_step_keeps_what_was_fitted_near_a_subspace(recipe):
    """Units that nearly determine each other: their factor's inverse is large."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 8))
    rows += 1e-3 * rng.standard_normal(rows.shape)
    model = flows.build(recipe, event_shape=(8,), dtype="float64")
    model.adapt(rows)
    fitted = float(tf.reduce_mean(model.log_prob(rows)))
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(model.log_prob(rows[:32]))
    variables = model.trainable_variables
    gradients = tape.gradient(loss, variables)
    keras.optimizers.Adam(5e-3).apply_gradients(zip(gradients, variables, strict=True))
    assert abs(float(tf.reduce_mean(model.log_prob(rows))) - fitted) < 0.1


def test_em_finds_two_clusters():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(-4, 1.0, (300, 2)), rng.normal(3, 0.5, (100, 2))])
    mixture = flows.gaussian_mixture((2,), 2, dtype="float64")
    mixture.adapt(rows)
    weight = np.sort(tf.nn.softmax(mixture.trainable_variables[0]))
    np.testing.assert_allclose(weight, [0.25, 0.75], atol=1e-3)
    single = flows.gaussian((2,), dtype="float64")
    single.adapt(rows)
    gain = tf.reduce_mean(mixture.log_prob(rows) - single.log_prob(rows))
    assert float(gain) > 1.0


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="at least 5 events"):
        flows.gaussian_mixture((2,), 5).adapt(np.eye(3, 2))
    with pytest.raises(ValueError, match="got 0 that hold any value"):
        flows.gaussian_mixture((2,), 2).adapt(np.full((3, 2), np.nan))
    for options in ({"num_components": 0}, {"covariance_floor": 0.0}):
        with pytest.raises(
            ValueError, match="num_components >= 1 and covariance_floor"
        ):
            flows.gaussian_mixture((2,), **options)


def _stretched(rows):
    return rows @ [[0.6, -0.6], [-0.4, 0.8]]


def _pca(rows):
    return decomposition.PCA(10, random_state=0).fit_transform(rows)


DATA = {
    "2 blobs": lambda: (datasets.make_blobs(3000, 2, centers=2, random_state=1)[0], 2),
    "5 blobs": lambda: (datasets.make_blobs(3000, 5, centers=5, random_state=0)[0], 5),
    "8 blobs": lambda: (datasets.make_blobs(3000, 2, centers=8, random_state=3)[0], 8),
    "moons": lambda: (datasets.make_moons(2000, noise=0.08, random_state=0)[0], 6),
    "circles": lambda: (
        datasets.make_circles(2000, noise=0.06, factor=0.5, random_state=0)[0],
        8,
    ),
    "stretched blobs": lambda: (
        _stretched(datasets.make_blobs(3000, centers=3, random_state=170)[0]),
        3,
    ),
    "wine": lambda: (datasets.load_wine().data, 3),
    "iris": lambda: (datasets.load_iris().data, 3),
    "breast cancer": lambda: (datasets.load_breast_cancer().data, 2),
    "digits": lambda: (_pca(datasets.load_digits().data), 10),
}


@pytest.mark.slow
@pytest.mark.parametrize("data", DATA.values(), ids=DATA.keys())
def test_scikit_learn_fits_no_better(data):
    """On unseen rows, as far as its spread over divisions of the data allows to tell.

    A single division of few rows decides nothing: both find maxima that fit noise.
    """
    rows, count = data()
    difference = []
    for seed in range(6):
        rows = np.random.default_rng(seed).permutation(rows)
        seen, unseen = np.split(rows, [2 * len(rows) // 3])
        theirs = sklearn_mixture.GaussianMixture(count, random_state=seed).fit(seen)
        ours = flows.gaussian_mixture(rows.shape[1:], count, seed=seed, dtype="float64")
        ours.adapt(seen)
        mean = tf.reduce_mean(ours.log_prob(unseen))
        difference.append(float(mean) - theirs.score(unseen))
    noise = np.std(difference) / np.sqrt(len(difference))
    assert np.mean(difference) > -0.005 - 2 * noise


def test_five_blobs_are_found_whatever_the_seed():
    rows = datasets.make_blobs(3000, 5, centers=5, random_state=0)[0]
    nll = []
    for seed in range(6):
        flow = flows.gaussian_mixture((5,), 5, seed=seed)
        flow.adapt(rows[:2000])
        nll.append(-np.mean(flow.log_prob(rows[2000:].astype(np.float32))))
    assert np.ptp(nll) < 1e-2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1e6, 1e30])
def test_the_unit_of_the_data_does_not_matter(scale, dtype):
    """Exactly, up to rounding: the density has the data's unit."""
    rows = blobs()
    plain, scaled = (GaussianMixture((3,), 3, dtype=dtype) for _ in range(2))
    plain.adapt(rows)
    scaled.adapt(rows * scale)
    expected = plain.log_prob(rows.astype(dtype)) - 3 * np.log(scale)
    actual = scaled.log_prob((rows * scale).astype(dtype))
    atol = {"float32": 1e-2, "float64": 1e-7}[dtype]
    np.testing.assert_allclose(actual, expected, atol=atol)
    # Samples of one seed may differ: the order of the components may.
    np.testing.assert_allclose(scaled.mean() / scale, plain.mean(), rtol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"),
    [("float64", 1.0, 1e9), ("float64", 600.0, 1.7e9), ("float32", 0.5, 1e5)],
)
def test_an_offset_moves_the_model_and_leaves_it_as_it_is(dtype, scale, offset):
    rows = (blobs() * scale + offset).astype(dtype)  # as the dtype can tell them
    near = rows.astype(np.float64) - offset
    plain, moved = (
        GaussianMixture((3,), 3, dtype="float64"),
        GaussianMixture((3,), 3, dtype=dtype),
    )
    plain.adapt(near)
    moved.adapt(rows)
    np.testing.assert_allclose(moved.log_prob(rows), plain.log_prob(near), atol=2e-3)
    np.testing.assert_allclose(moved.mean(), offset + plain.mean(), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("size", [2, 30])
def test_a_step_of_adam_moves_the_density_by_about_its_rate(size, scale):
    """Also that of clusters which are narrow beside the distance between them."""
    rng = np.random.default_rng(0)
    rows = np.concatenate(
        [rng.normal(0, 1e-4, (200, size)), rng.normal(1, 1e-4, (200, size))]
    )
    mixture = GaussianMixture((size,), 2, dtype="float64")
    mixture.adapt(rows * scale)
    unseen = scale * rng.normal(0, 1e-4, (100, size))
    before = mixture.log_prob(unseen)
    optimizer = keras.optimizers.Adam(1e-3)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(mixture.log_prob(unseen))
    variables = mixture.trainable_variables
    optimizer.apply(tape.gradient(loss, variables), variables)
    moved = np.abs(mixture.log_prob(unseen) - before)
    assert moved.mean() < 1e-2 * size


def test_columns_that_do_not_vary_stay_finite():
    rows = np.random.default_rng(0).normal(size=(50, 4))
    rows[:, 1], rows[:, 2], rows[:, 3] = 0.0, 1e9, 1e-30
    for dtype in ("float32", "float64"):
        flow = flows.gaussian_mixture((4,), 2, dtype=dtype)
        with pytest.warns(UserWarning, match="3 units never vary"):
            flow.adapt(rows)
        assert np.isfinite(flow.log_prob(rows.astype(dtype))).all()
        assert np.isfinite(flow.sample(3, seed=1)).all()


def test_empty_batches_and_rows_of_nan():
    base = GaussianMixture((3,), 2)
    base.adapt(blobs())
    assert base.log_prob(tf.zeros([0, 3])).shape == [0]
    assert base.sample(0, seed=(1, 2)).shape == [0, 3]
    laws.assert_nan_stays_in_its_row(base.log_prob, tf.constant(blobs(5), tf.float32))
