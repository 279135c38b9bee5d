"""Models of tables against sums, integrals, enumerated orders, known conditionals."""

import itertools

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tests import laws
from tfp_flows import FlowModel, flows, serving, tables
from tfp_flows.distributions import complete
from tfp_flows.networks.weights.training_mode import TrainingMode

NAN = np.nan
KINDS = {
    "real": "real",
    "bounded": ("bounded", -1, 3),
    "positive": "positive",
    "periodic": ("periodic", 24),
    "integer": ("integer", 0, 6),
    "category": ("category", ["a", "b", "c"]),
    "boolean": "boolean",
}
DISCRETE = {
    "category": np.arange(3.0),
    "boolean": np.arange(2.0),
    "integer": np.arange(7.0),
}
# Where nearly all of a column's mass is, for sums.
GRIDS = {
    "real": np.linspace(-400, 800, 24_001),
    "bounded": -1 + 4 * scipy.special.expit(np.linspace(-30, 30, 20_001)),
    "positive": np.exp(np.linspace(-60, 60, 20_001)),
    "periodic": np.linspace(0, 24, 10_001),
}


def rows(seed=0, count=60):
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            rng.normal(200, 20, count),
            rng.uniform(-1, 3, count),
            rng.lognormal(1, 1, count),
            rng.uniform(0, 24, count),
            rng.integers(0, 7, count),
            rng.integers(0, 3, count),
            rng.integers(0, 2, count),
        ],
        axis=1,
    )


def built(kinds, **options):
    """A model with random weights that knows the scales of the rows."""
    options = {"hidden_units": (8,), "activation": "tanh", "dtype": "float64"} | options
    model = flows.tabular({name: KINDS[name] for name in kinds}, **options)
    places = [list(KINDS).index(name) for name in model.columns.names]
    given = [list(KINDS).index(n) for n in options.get("condition_on", ())]
    context = rows()[:, given] if given else None
    model.adapt(rows()[:, places], context)
    laws.randomize(model, scale=0.7)
    return model


@pytest.fixture(scope="module")
def table():
    """All kinds."""
    return built(KINDS, num_orders=2)


def law_of(model, index, x):
    """log p of a column given the others, as values `[N]` and what they sum to."""
    name = model.columns.names[index]
    values = DISCRETE[name] if name in DISCRETE else GRIDS[name]
    events = np.tile(x, (len(values), 1))
    events[:, index] = values
    log_prob = tf.function(model.log_prob)(events).numpy()
    mass = np.exp(log_prob)
    return values, mass, mass.sum() if name in DISCRETE else np.trapezoid(mass, values)


@pytest.mark.parametrize("index", range(len(KINDS)), ids=KINDS)
def test_a_column_sums_to_what_is_left_without_it(table, index):
    others = [i for i in range(len(KINDS)) if i != index]
    model = table.in_order([*others, index])
    x = rows(1)[0]
    _, mass, total = law_of(model, index, x)
    x[index] = NAN
    np.testing.assert_allclose(total, np.exp(model.log_prob(x)), rtol=2e-4)
    assert mass.std() > 0


@pytest.mark.parametrize("name", KINDS)
def test_draws_of_one_column_are_those_of_its_density(name):
    model = built([name], num_orders=1)
    drawn = model.sample(2000, seed=1).numpy()[:, 0]
    assert np.isfinite(model.log_prob(drawn[:, None])).all()
    values, mass, total = law_of(model, 0, np.zeros(1))
    np.testing.assert_allclose(total, 1.0, rtol=2e-4)
    if name in DISCRETE:
        counts = [(drawn == value).sum() for value in values]
        kept = mass * 2000 > 1
        assert sum(counts) == 2000
        found = np.array(counts)[kept], mass[kept] / mass[kept].sum()
        expected = found[0].sum() * found[1]
        assert scipy.stats.chisquare(found[0], expected).pvalue > 1e-3
        return
    steps = np.diff(values) * (mass[1:] + mass[:-1]) / 2
    below = np.concatenate([[0.0], np.cumsum(steps)])
    law = scipy.stats.kstest(drawn, lambda x: np.interp(x, values, below))
    assert law.pvalue > 1e-3


def test_the_density_goes_on_across_the_seam():
    model = built(["periodic"])
    ends = model.log_prob([[0.0], [1e-9], [24.0 - 1e-9], [24.0]]).numpy()
    np.testing.assert_allclose(ends, ends[0], atol=1e-7)
    assert np.ptp(model.log_prob([[0.0], [6.0], [12.0]])) > 1e-2


def test_what_a_column_cannot_hold_has_no_probability(table):
    x = np.tile(rows(2)[0], (9, 1))
    bad = [NAN, -1.0, -1e-300, 24.5, 2.5, 3.0, -1.0]
    for i in range(1, 7):
        x[i, i] = bad[i]
    x[7, 1], x[8, 4] = 3.0, 7.0
    log_prob = table.log_prob(x).numpy()
    assert np.isfinite(log_prob[0]) and (log_prob[1:] == -np.inf).all()


def test_log_prob_is_the_mean_over_its_orders_and_of_nothing_0(table):
    x = rows(3, 5)
    x[1, 2], x[2] = NAN, NAN
    each = [table.in_order(order).log_prob(x) for order in ("rows", "reversed")]
    wanted = np.logaddexp(*each) - np.log(2)
    np.testing.assert_allclose(table.log_prob(x), wanted)
    assert table.log_prob(x)[2] == 0.0 and table.is_exact
    names = table.columns.names[::-1]
    np.testing.assert_allclose(table.in_order(names).log_prob(x), each[1])


@pytest.mark.parametrize("gone", [None, 1])
def test_training_estimates_the_mean_of_the_orders_logarithms(gone):
    model = built(["category", "boolean", "real"])
    x = rows(4)[:1, [5, 6, 0]]
    if gone is not None:
        x[:, gone] = NAN
    orders = itertools.permutations(range(3))
    wanted = np.mean([model.in_order(order).log_prob(x) for order in orders])
    in_training = TrainingMode().run(
        lambda: model.log_prob(np.tile(x, (20_000, 1))).numpy(), training=True
    )
    error = in_training.std() / np.sqrt(20_000)
    assert error > 1e-3 and abs(in_training.mean() - wanted) < 5 * error


def test_every_weight_gets_a_gradient_where_values_are_missing(table):
    x = rows(5, 40)
    x[np.random.default_rng(0).random(x.shape) < 0.3] = NAN
    laws.assert_every_weight_gets_gradient(
        table, lambda: tf.reduce_sum(table.log_prob(x))
    )


def test_columns_are_completed_given_any_others():
    model = built(["category", "boolean", "integer"], num_orders=1)
    grid = np.array(list(itertools.product(range(3), range(2), range(7))), float)
    mass = np.exp(model.log_prob(grid))  # in the order of the columns
    given = mass[(grid[:, 0] == 2)].reshape(2, 7)
    x = np.array([2.0, NAN, NAN])
    drawn = complete(model, x, ~np.isnan(x), 4000, seed=1).numpy()
    assert (drawn[:, 0] == 2).all()
    counts = np.histogram2d(drawn[:, 1], drawn[:, 2], [range(3), range(8)])[0]
    np.testing.assert_allclose(counts / 4000, given / given.sum(), atol=0.03)
    # What is missing is drawn, also where a mask says that it is known.
    assert np.isfinite(complete(model, x, True, 3, seed=2)).all()


def test_context_columns_are_given_and_may_be_missing():
    model = built(
        ["real", "category", "periodic", "boolean"],
        condition_on=("category", "periodic"),
    )
    assert model.columns.names == ["real", "boolean"]
    assert model.context_columns.names == ["category", "periodic"]
    x = rows(6)[:1, [0, 6]]
    context = np.array([[0.0, 3.0], [2.0, 3.0], [0.0, 20.0], [NAN, 3.0]])
    found = model.log_prob(x, context=context).numpy()
    assert len(np.unique(found.round(6))) == 4 and np.isfinite(found).all()
    assert model.sample(5, context=context, seed=1).shape == (5, 4, 2)
    with pytest.raises(ValueError, match="conditional and got no context"):
        model.log_prob(x)


@pytest.fixture(scope="module")
def trained():
    """Learnt from rows of which a third of the values is missing."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 1500)
    table = {
        "group": np.array(["a", "b"], object)[group],
        "size": 1e3 + 10.0 * group + rng.normal(0, 1, 1500),
        "count": rng.poisson(2 + 3 * group).astype(float),
    }
    columns = tables.infer(table, {"count": "integer"})
    model = FlowModel(flows.tabular(columns, hidden_units=(32,), dtype="float64"))
    x = model.flow.columns.encode(table)
    x[rng.random(x.shape) < 1 / 3] = NAN
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(
        x[:1200], validation_data=(x[1200:],), batch_size=100, epochs=12, verbose=0
    )
    return model, x, history.history


def test_it_learns_from_rows_with_missing_values(trained):
    model, x, history = trained
    assert np.isfinite(history["loss"]).all()
    flow = model.flow
    held_out = x[1200:]
    exact = -np.mean(flow.log_prob(held_out))
    np.testing.assert_allclose(history["val_loss"][-1], exact, rtol=1e-3)
    predicted = model.predict(held_out, verbose=0)
    np.testing.assert_allclose(predicted, flow.log_prob(held_out), rtol=1e-3)
    # One value tells the group, whose share is a half, and so the other.
    sizes = np.array([[NAN, 1e3, NAN], [NAN, 1e3 + 10.0, NAN]])
    drawn = complete(flow, sizes, ~np.isnan(sizes), 500, seed=1).numpy()
    np.testing.assert_allclose(drawn[..., 0].mean(axis=0), [0.0, 1.0], atol=0.05)
    np.testing.assert_allclose(drawn[..., 2].mean(axis=0), [2.0, 5.0], atol=0.5)
    size = held_out[~np.isnan(held_out[:, 1]), 1, None]
    truth = scipy.stats.norm.pdf(size, [1e3, 1e3 + 10], 1).mean(axis=1)
    alone = np.concatenate([size * NAN, size, size * NAN], axis=1)
    assert np.mean(flow.log_prob(alone)) > np.mean(np.log(truth)) - 0.1


def test_a_saved_model_is_the_same_one_and_knows_its_columns(trained, tmp_path):
    model, x, _ = trained
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.flow.log_prob(x), model.flow.log_prob(x))
    assert again.flow.columns == model.flow.columns
    frame = again.flow.columns.frame(again.flow.sample(20, seed=1))
    assert set(frame["group"]) == {"a", "b"} and str(frame["count"].dtype) == "Int64"


def test_what_cannot_be_is_refused(trained, tmp_path):
    model, x, _ = trained
    with pytest.raises(ValueError, match="NaN is an invalid row. Use it in Python"):
        serving.export(model.flow, tmp_path)
    with pytest.raises(ValueError, match="3 columns needs orders with each of them"):
        model.flow.in_order(["size", "count"])
    fresh = model.flow.rebuild()
    x = x[:20].copy()
    x[:, 1] = NAN
    with pytest.raises(ValueError, match="Column 'size' has 0 values among the 20"):
        fresh.adapt(x)
    with pytest.raises(ValueError, match="no column .'weight'. among"):
        model.flow.in_order(["size", "count", "weight"])
    with pytest.raises(ValueError, match='"rows", "reversed" and lists of'):
        model.flow.in_order("size")
    with pytest.raises(ValueError, match=r"takes columns.encode\(d\)"):
        model.flow.log_prob({"size": [1.0]})
    x[:, 1:] = np.random.default_rng(0).random((20, 2))
    with pytest.raises(ValueError, match="'count' takes whole numbers"):
        fresh.adapt(x)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (("category", ["a", "b"]), [0, 1, 2], "takes one of 'a', 'b', and 2 is given"),
        ("boolean", [0, 1, 0.5], "takes True or False, and 0.5 is given"),
        (("periodic", 24), [0, 1, 25], "with the period 24, and 25 is given"),
    ],
)
def test_it_adapts_to_no_numbers_that_a_column_has_not(kind, values, message):
    x = np.array(values, "float32")[:, None]
    with pytest.raises(ValueError, match=message):
        flows.tabular({"x": kind}, hidden_units=(4,)).adapt(x)
    given = flows.tabular({"x": kind, "y": "real"}, condition_on="x", hidden_units=(4,))
    with pytest.raises(ValueError, match=message):
        given.adapt(np.array([[1.0], [2.0], [4.0]]), x)


def test_a_constant_column_is_told_of_by_name_if_it_has_a_density():
    kinds = {"sure": "boolean", "count": "integer", "time": "real"}
    times = 1.7e9 + np.linspace(0, 1, 10)  # the same in float32
    x = np.stack([np.ones(10), np.full(10, 5.0), times], axis=1)
    x[0, 2] = NAN
    with pytest.warns(UserWarning, match="'time' is 1700000000 in all 9") as told:
        flows.tabular(kinds, hidden_units=(4,)).adapt(x.astype("float32"))
    assert len(told) == 1
    exact = flows.tabular(kinds, hidden_units=(4,), dtype="float64")
    exact.adapt(x)
    assert np.isfinite(exact.log_prob(x)).all()


@pytest.mark.parametrize(
    "kind",
    [
        ("bounded", 1.7e9, 1.7e9 + 1),
        ("bounded", -1e38, 3e38),
        ("periodic", 1e-50),
        ("periodic", 1e50),
    ],
)
def test_a_range_that_the_type_cannot_hold_is_refused(kind):
    with pytest.raises(ValueError, match="which float32 cannot hold or tell apart"):
        flows.tabular({"x": kind})
    inside = 0.5 * (kind[1] + kind[2]) if len(kind) == 3 else 0.3 * kind[1]
    wide = flows.tabular({"x": kind}, hidden_units=(4,), dtype="float64")
    assert np.isfinite(wide.log_prob([[inside]]))


def test_integers_end_where_float32_holds_all_of_them():
    model = flows.tabular({"x": "integer"}, hidden_units=(4,))
    x = np.array([[2.0**24], [2.0**24 + 2], [-(2.0**24) - 2]])
    assert np.isfinite(model.log_prob(x)).tolist() == [True, False, False]


def test_what_is_given_is_what_its_columns_can_hold():
    kinds = {"size": ("bounded", 0, 1), "kind": ("category", ["a", "b"])}
    model = flows.tabular(kinds, hidden_units=(4,))
    with pytest.raises(ValueError, match="'size' takes numbers between 0 and 1.* 2 is"):
        complete(model, [[2.0, 5.0]], np.array([True, False]), seed=1)
    drawn = complete(model, [[0.5, 5.0]], np.array([True, False]), n=9, seed=1)
    assert set(drawn[..., 1].numpy().ravel()) == {0.0, 1.0}
    given = flows.tabular(kinds, condition_on=["kind"], hidden_units=(4,))
    with pytest.raises(
        ValueError, match="'kind' takes one of 'a', 'b', and 2 is given"
    ):
        given.log_prob([[0.5]], context=[[2.0]])
    with pytest.raises(ValueError, match="'kind' takes one of 'a', 'b', and -1 is"):
        given.given([[-1.0]]).sample()
    laws.randomize(given, seed=1)
    traced = tf.function(given.log_prob)  # where nothing can be said: as if missing
    found = traced(np.full((3, 1), 0.5, "float32"), context=[[NAN], [1.0], [2.0]])
    assert found[0] == found[2] != found[1]
