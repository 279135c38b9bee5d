"""Gaussians and mixtures with missing values, against SciPy's marginals."""

import warnings

import keras
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import tensorflow as tf

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows.distributions import GaussianFlow, complete

NAN = np.nan


def gaps(rows, share, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(rows.shape) < share, NAN, rows)


def marginal(x, weights, means, covariances):
    there = ~np.isnan(x)
    if not there.any():
        return 0.0
    densities = [
        scipy.stats.multivariate_normal.pdf(x[there], m[there], c[np.ix_(there, there)])
        for m, c in zip(means, covariances, strict=True)
    ]
    return np.log(np.dot(weights, densities))


@pytest.mark.parametrize("count", [1, 3])
def test_log_prob_is_the_marginal_of_what_is_there(count):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + [5.0, 0.0, -100.0]
    if count == 1:
        model = flows.gaussian((3,), dtype="float64")
    else:
        model = flows.gaussian_mixture((3,), count, dtype="float64")
    model.adapt(rows)
    laws.randomize(model, scale=0.3)
    if count == 1:
        mean = model.decode(np.zeros((1, 3))).numpy()
        slope = model.decode(np.eye(3)).numpy() - mean
        weights, means, covariances = [1.0], mean, [slope.T @ slope]
    else:
        log_weight, means, factor = (v.numpy() for v in model.distribution.components())
        weights, covariances = np.exp(log_weight), factor @ factor.transpose(0, 2, 1)
    x = gaps(rows[:20], 0.4)
    x[0], x[1] = NAN, rows[1]
    wanted = [marginal(row, weights, means, covariances) for row in x]
    found = model.log_prob(x.reshape(4, 5, 3)).numpy()
    np.testing.assert_allclose(found.ravel(), wanted, atol=1e-9)
    np.testing.assert_allclose(found.ravel()[1], model.log_prob(rows[1]), atol=1e-9)
    drawn = complete(model, x, ~np.isnan(x), 2, seed=1).numpy()
    assert np.isfinite(drawn).all()


def test_a_gaussian_adapts_to_the_most_likely_one():
    rng = np.random.default_rng(2)
    rows = rng.multivariate_normal([1e3, -2.0], [[4.0, 1.5], [1.5, 1.0]], 150)
    x = gaps(rows, 0.3)
    model = flows.gaussian((2,), dtype="float64")
    model.adapt(x)

    def nll(p):
        factor = np.array([[np.exp(p[2]), 0.0], [p[3], np.exp(p[4])]])
        mean, covariance = p[:2] + [1e3, 0.0], factor @ factor.T
        return -np.mean([marginal(r, [1.0], [mean], [covariance]) for r in x])

    best = scipy.optimize.minimize(nll, [0.0, -2.0, 0.5, 0.5, 0.0]).fun
    assert abs(-np.mean(model.log_prob(x)) - best) < 1e-4
    single = model.rebuild()
    single.adapt(rows)  # complete rows: as ever
    np.testing.assert_allclose(
        np.mean(single.log_prob(rows)),
        scipy.stats.multivariate_normal(rows.mean(0), np.cov(rows.T, bias=True))
        .logpdf(rows)
        .mean(),
        rtol=1e-9,
    )


def test_a_mixture_finds_its_clusters_from_rows_with_gaps():
    rng = np.random.default_rng(3)
    group = rng.integers(0, 2, 400)
    centers = np.array([[0.0, 0.0, 0.0], [6.0, -6.0, 6.0]])
    rows = centers[group] + rng.normal(size=(400, 3))
    model = flows.gaussian_mixture((3,), 2, dtype="float64")
    model.adapt(gaps(rows, 0.3))
    truth = [marginal(r, [0.5, 0.5], centers, [np.eye(3)] * 2) for r in rows]
    assert np.mean(model.log_prob(rows)) > np.mean(truth) - 0.05
    means = np.sort(model.distribution.components()[1].numpy(), axis=0)
    np.testing.assert_allclose(means, np.sort(centers, axis=0), atol=0.3)


@pytest.mark.parametrize(
    "make", [flows.gaussian, lambda shape: flows.gaussian_mixture(shape, 2)]
)
def test_a_unit_that_is_never_there_is_refused(make):
    x = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
    x[:, 1] = NAN
    with pytest.raises(ValueError, match=r"at least 2 of each unit.*the units \[1\]"):
        make((3,)).adapt(x)


@pytest.mark.parametrize("dependent", [False, True])
def test_values_without_a_density_are_refused_though_some_are_missing(dependent):
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    x[:, 1] = 2 * x[:, 0] if dependent else 2.0
    x[0, 1] = x[1, 0] = NAN
    told = warnings.catch_warnings() if dependent else pytest.warns(match="never vary")
    with told, pytest.raises(ValueError, match="full rank.*follow from others"):
        flows.gaussian((3,)).adapt(x)


def test_infinite_values_have_no_density_beside_missing_ones():
    model = flows.gaussian((2,))
    x = np.array([[np.inf, NAN], [NAN, -np.inf], [1e30, NAN]], "float32")
    np.testing.assert_array_equal(model.log_prob(x), np.full(3, -np.inf))


def test_what_is_known_to_complete_from_is_there():
    model = flows.gaussian((3,))
    x = np.array([[0.0, 1.0, 2.0], [NAN, 1.0, NAN]], "float32")
    with pytest.raises(ValueError, match=r"NaN for 1 known units, of the rows \[1\]"):
        complete(model, x, np.array([True, True, False]), seed=1)
    mask = np.array([True, True, False]) & ~np.isnan(x)
    assert np.isfinite(complete(model, x, mask, seed=1)).all()


SUPPORT = ["real", "positive", (0, 1)]
MODELS = {
    "gaussian": lambda **given: flows.gaussian((3,), missing=True, **given),
    "mixture": lambda **given: flows.gaussian_mixture((3,), 2, missing=True, **given),
}


def incomplete_rows(support=None, count=200, dtype="float64"):
    rng = np.random.default_rng(5)
    z = rng.normal(size=(count, 3)) @ rng.normal(size=(3, 3)) * 0.7
    x = z + [1e3, 0.0, -2.0]
    if support:
        x = np.stack([x[:, 0], np.exp(z[:, 1]), 1 / (1 + np.exp(-z[:, 2]))], axis=1)
    x = gaps(x, 0.35)
    x[0], x[1] = NAN, rows_without_gaps(x)[0]
    return x.astype(dtype)


def rows_without_gaps(x):
    return x[~np.isnan(x).any(axis=1)]


def judged(model, x):
    """SciPy's marginals of what the model's samples are drawn from."""
    if model.name == "gaussian":
        part = model.bijector.bijectors[-1]
        mean = part.forward(np.zeros((1, 3))).numpy()
        slope = part.forward(np.eye(3)).numpy() - mean
        return [marginal(row, [1.0], mean, [slope.T @ slope]) for row in x]
    log_weight, means, factor = (v.numpy() for v in model.distribution.components())
    covariances = factor @ factor.transpose(0, 2, 1)
    return [marginal(row, np.exp(log_weight), means, covariances) for row in x]


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("support", [None, SUPPORT])
@pytest.mark.parametrize("name", MODELS)
def test_missing_values_are_integrated_out_in_every_mode(name, support, mode):
    given = {"support": support} if support else {}
    model, x = MODELS[name](dtype="float64", **given), incomplete_rows(support)
    model.adapt(x)
    laws.randomize(model, scale=0.3)
    log_prob = model.log_prob
    if mode != "eager":
        log_prob = tf.function(log_prob, jit_compile=mode == "xla")
    found = log_prob(tf.constant(x.reshape(4, 50, 3))).numpy().ravel()
    wanted = np.array(judged(model, on_line(x) if support else x))
    if support:
        wanted += np.nansum(log_slopes(x), axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-8)
    assert found[0] == 0.0  # of nothing


def on_line(x):
    return np.stack([x[:, 0], np.log(x[:, 1]), np.log(x[:, 2] / (1 - x[:, 2]))], axis=1)


def log_slopes(x):
    slopes = [np.zeros(len(x)), -np.log(x[:, 1]), -np.log(x[:, 2] * (1 - x[:, 2]))]
    return np.stack(slopes, axis=1)


@pytest.mark.parametrize("name", MODELS)
def test_complete_rows_have_the_density_that_they_have_without_the_option(name):
    x = rows_without_gaps(incomplete_rows(dtype="float32"))
    x[:, 0] = 1e6 + np.round(x[:, 0] - 1e3, 1)  # float32 tells 1/16 apart there
    model = MODELS[name]()
    model.adapt(x)
    laws.randomize(model, scale=0.1)
    options = {k: v for k, v in model.recipe.options.items() if k != "missing"}
    plain = flows.build(model.recipe.name, **options)
    for mine, its in zip(plain.raw_variables, model.raw_variables, strict=True):
        mine.assign(its)
    np.testing.assert_allclose(model.log_prob(x), plain.log_prob(x), atol=2e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_differences_and_finite(name, jit_compile):
    model, x = MODELS[name](dtype="float64", support=SUPPORT), incomplete_rows(SUPPORT)
    model.adapt(x)
    laws.randomize(model, scale=0.3)
    x[3] = [np.inf, 1.0, NAN]  # impossible, and so are these
    x[4] = [NAN, -1.0, 0.5]
    x[5] = [0.0, NAN, 1.0]

    @tf.function(jit_compile=jit_compile)
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = model.log_prob(x)
            total = tf.reduce_sum(tf.where(tf.math.is_finite(log_prob), log_prob, 0.0))
        return log_prob, *tape.gradient(total, [x, *model.trainable_variables])

    log_prob, by_x, *by_weights = gradients(tf.constant(x[:20]))
    np.testing.assert_array_equal(
        np.isneginf(log_prob), np.isin(np.arange(20), [3, 4, 5])
    )
    assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in by_weights)
    assert np.isfinite(by_x).all() and not by_x.numpy()[np.isnan(x[:20])].any()
    step = 1e-6 * np.where(np.isnan(x[6:20]), 0.0, 1.0)
    for unit in range(3):
        moved = step * (np.arange(3) == unit)
        ahead, back = (model.log_prob(x[6:20] + s * moved).numpy() for s in (1, -1))
        slopes = (ahead - back) / 2e-6
        np.testing.assert_allclose(by_x[6:20, unit], slopes, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("jit_compile", ["auto", True])
@pytest.mark.parametrize("name", MODELS)
def test_fit_evaluate_predict_and_the_file_take_rows_with_gaps(
    name, jit_compile, tmp_path
):
    x = incomplete_rows(SUPPORT, 400, "float32")
    model = FlowModel(MODELS[name](support=SUPPORT))
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=jit_compile)
    rows = {"batch_size": 100, "verbose": 0}
    history = model.fit(x, epochs=2, validation_data=(x[:100],), **rows).history
    assert np.isfinite([history["nll"], history["val_nll"]]).all()
    found = model.predict(x, **rows)
    np.testing.assert_allclose(found, model.flow.log_prob(x), rtol=1e-4, atol=1e-4)
    nll = model.evaluate(x, return_dict=True, **rows)["nll"]
    np.testing.assert_allclose(nll, -np.mean(found), rtol=1e-4)
    weights = np.arange(len(x)) % 2
    weighted = model.evaluate(x, sample_weight=weights, return_dict=True, **rows)["nll"]
    np.testing.assert_allclose(weighted, -np.mean(found[1::2]), rtol=1e-4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, **rows), found)


def test_training_by_gradient_finds_what_em_finds():
    x = incomplete_rows(count=300)
    best = MODELS["gaussian"](dtype="float64")
    best.adapt(x)
    model = FlowModel(MODELS["gaussian"](dtype="float64"))
    model.flow.adapt(rows_without_gaps(x)[:10])  # a bad beginning
    model.compile(keras.optimizers.Adam(3e-2))
    begun = -np.mean(model.flow.log_prob(x))
    model.fit(x, batch_size=300, epochs=300, verbose=0)
    ended, wanted = (-np.mean(m.log_prob(x)) for m in (model.flow, best))
    assert begun > wanted + 0.2 and wanted - 1e-6 < ended < wanted + 1e-3


def test_without_the_option_the_error_names_it():
    x = incomplete_rows(count=50, dtype="float32")
    model = FlowModel(flows.gaussian((3,)))
    model.compile("adam")
    with pytest.raises(ValueError, match="row 0, .* build the model with missing=True"):
        model.fit(x, verbose=0)
    model.flow.adapt(x)
    with pytest.raises(ValueError, match="not finite there, in x.* missing=True"):
        model.fit(x, verbose=0)
    infinite = FlowModel(MODELS["gaussian"]())
    infinite.compile("adam")
    x[7, 0] = np.inf
    with pytest.raises(ValueError, match="1 of the 50 .*: row 7 of"):
        infinite.fit(x, verbose=0)


def test_what_has_no_closed_form_is_refused():
    with pytest.raises(ValueError, match="missing=True: it is for real numbers"):
        flows.gaussian((3,), num_values=4, missing=True)
    with pytest.raises(ValueError, match="missing=True: the entries of a simplex"):
        flows.gaussian_mixture((3,), 2, support="simplex", missing=True)
    with pytest.raises(ValueError, match="only if it is affine"):
        GaussianFlow(flows.real_nvp((3,), 1, (4,)).bijector, missing=True)


def test_what_is_missing_is_drawn_also_where_the_mask_calls_it_known():
    model, x = MODELS["mixture"](dtype="float64"), incomplete_rows()
    model.adapt(x)
    drawn = complete(model, x[:20], np.ones(3, bool), n=3, seed=1).numpy()
    assert np.isfinite(drawn).all()
    there = ~np.isnan(x[:20])
    np.testing.assert_array_equal(drawn[0][there], x[:20][there])
    asked = complete(model, x[:20], there, n=3, seed=1)
    np.testing.assert_array_equal(asked, drawn)


def test_many_rows_go_in_blocks():
    model = flows.gaussian((40,), missing=True)
    x = gaps(np.random.default_rng(0).normal(size=(3000, 40)), 0.2).astype("float32")
    whole = model.log_prob(x).numpy()
    np.testing.assert_allclose(model.log_prob(x[-5:]), whole[-5:], rtol=1e-6)
    there = np.where(np.isnan(x), 0.0, scipy.stats.norm.logpdf(np.nan_to_num(x)))
    np.testing.assert_allclose(whole, there.sum(axis=1), rtol=1e-5)


def test_rows_without_any_value_count_for_no_component():
    x = np.full((8, 2), NAN, "float32")
    x[:3] = [[0, 1], [1, NAN], [2, 5]]
    with pytest.raises(ValueError, match="at least 5 events, .* got 3 that hold any"):
        flows.gaussian_mixture((2,), 5, missing=True).adapt(x)
    flows.gaussian_mixture((2,), 2, missing=True, covariance_floor=0.1).adapt(x)
