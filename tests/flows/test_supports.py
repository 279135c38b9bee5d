"""Supports of recipes: samples inside, density 0 beyond, circles without a seam."""

import json
import math
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows.distributions import complete
from tfp_flows.networks import MLP, RecurrentNetwork

tfd = tfp.distributions
_SMALL = {"num_steps": 2, "hidden_units": (8,)}
_CIRCLE = ("periodic", -math.pi, math.pi)
_LINE = ["real", (0, 1), "positive", (None, 3.0), (1e4, 1e4 + 1)]
_MIXED = [*_LINE[:3], ("periodic", 0, 360), ("periodic", -1.0, 1.0)]
RECIPES = {
    "gaussian": {"support": _LINE},
    "gaussian_mixture": {"support": _LINE, "num_components": 2},
    "nice": {"support": _LINE, **_SMALL, "base": "student_t"},
    "maf": {"support": _MIXED, **_SMALL, "base": "student_t"},
    "iaf": {"support": _MIXED, "num_steps": 1, "hidden_units": (8,)},
    "real_nvp": {"support": _MIXED, **_SMALL},
    "neural_spline": {"support": _MIXED, **_SMALL, "base": "student_t"},
    "flow_pp": {"support": _MIXED, **_SMALL, "num_components": 2},
}


def rows(support, count, seed=0, dtype="float32"):
    """Random events, some of them close to an end."""
    rng, columns = np.random.default_rng(seed), []
    for part in support:
        share = rng.beta(0.5, 0.5, count)
        if part == "real":
            columns.append(rng.normal(size=count))
        elif part == "positive":
            columns.append(rng.lognormal(5.0, 3.0, count))
        elif part == (None, 3.0):
            columns.append(3.0 - rng.lognormal(0.0, 2.0, count))
        else:
            low, high = part[-2:]
            columns.append(low + (high - low) * (0.001 + 0.998 * share))
    return np.stack(columns, axis=1).astype(dtype)


@pytest.fixture(scope="module", params=RECIPES)
def trained(request):
    options = RECIPES[request.param]
    model = FlowModel(flows.build(request.param, event_shape=(5,), **options))
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    model.fit(rows(options["support"], 256), batch_size=128, verbose=0)
    return model, options["support"]


def test_two_steps_of_fit_and_the_file_has_the_same_numbers(trained, tmp_path):
    model, support = trained
    x = rows(support, 50, seed=1)
    log_prob = model.flow.log_prob(x).numpy()
    assert np.isfinite(log_prob).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.flow.log_prob(x), log_prob)
    assert json.loads(json.dumps(model.flow.recipe.options))["support"]


def test_samples_lie_inside_and_decode_never_leaves(trained):
    model, _ = trained
    flow, rng = model.flow, np.random.default_rng(0)
    for x in (
        flow.sample(2000, seed=1),
        flow.sample(200, seed=1, temperature=3.0),
        flow.bijector.bijectors[0].forward(rng.normal(size=[200, 5]) * 1e6),
    ):
        assert not flow.support.beyond(x).any()
        assert np.isfinite(flow.log_prob(tf.identity(x))).all()


def test_beyond_is_minus_infinity_and_gradients_of_the_rest_are_the_same(trained):
    model, support = trained
    flow, x = model.flow, rows(support, 20, seed=2)
    beyond = np.repeat(x[:1], 12, axis=0)
    beyond[:, 1] = [0, 1, -3, 7, *[np.nextafter(np.float32(1), 2)] * 4, 1, 1, 1, 1]
    beyond[4:8, 1], beyond[4:8, 2] = 0.5, [0, -1, -np.inf, np.inf]
    gradients = []
    for events in (x, np.concatenate([beyond, x])):
        with tf.GradientTape() as tape:
            log_prob = flow.log_prob(tf.constant(events))
            total = tf.reduce_sum(log_prob[len(events) - 20 :])
        gradients.append(tape.gradient(total, flow.trainable_variables))
    np.testing.assert_array_equal(log_prob[:12], -np.inf)
    assert not np.isnan(flow.log_prob(beyond)).any()
    for alone, beside in zip(*gradients, strict=True):
        np.testing.assert_allclose(beside, alone, rtol=1e-3, atol=1e-4)


def test_fit_refuses_rows_beyond_by_row_and_column(trained):
    model, support = trained
    x = rows(support, 300)
    x[[7, 200], 1] = 1.0
    match = "row 7, 200, counted from 0, .*In row 7, column 1 is 1.0, .*between 0 and 1"
    with pytest.raises(ValueError, match="Of the training data, " + match):
        model.fit(x, verbose=0)
    with pytest.raises(ValueError, match="Of the validation data, " + match):
        model.fit(x[:7], validation_data=(x,), verbose=0)
    with pytest.raises(ValueError, match=match):
        model.flow.adapt(x)


def test_the_sample_that_a_first_fit_adapts_to_is_checked_and_may_be_thinned():
    x = np.random.default_rng(0).uniform(1, 2, [100, 2]).astype(np.float32)
    x[33] = -1.0
    batches = tf.data.Dataset.from_tensor_slices(x).batch(50)
    model = FlowModel(flows.gaussian((2,), support="positive"))
    model.compile("adam", jit_compile=False)
    match = "(?s)row 33.* column 0 is -1.0, and has to be above 0.* Drop such rows"
    with pytest.raises(ValueError, match=match):
        model.fit(batches, verbose=0, shuffle=False)
    model.flow.adapt(x[:20])
    with pytest.raises(ValueError, match=match):  # now at a step
        model.fit(batches, verbose=0, shuffle=False)
    model = FlowModel(flows.gaussian((2,), support="positive"), on_nonfinite="skip")
    model.compile("adam", jit_compile=False)
    history = model.fit(x, batch_size=10, verbose=0).history
    assert history["skipped"] == [1] and np.isfinite(history["nll"]).all()


def circle(context_shape=None, **options):
    flow = flows.neural_spline(
        (1,),
        3,
        hidden_units=(8,),
        support=_CIRCLE,
        context_shape=context_shape,
        dtype="float64",
        **options,
    )
    laws.randomize(flow)
    return flow


@pytest.mark.parametrize("context_shape", [None, (1,)])
def test_a_density_on_the_circle_integrates_to_one(context_shape):
    kwargs = {} if context_shape is None else {"context": np.array([0.7])}
    flow = circle(context_shape)
    middles = (np.arange(4000) + 0.5) / 4000 * 2 * np.pi - np.pi
    density = np.exp(flow.log_prob(middles[:, None], **kwargs))
    assert density.std() > 0.02
    assert abs(density.mean() * 2 * np.pi - 1) < 1e-5


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *((name, {}) for name in ("real_nvp", "neural_spline", "flow_pp")),
        *((name, {}) for name in ("maf", "iaf")),
        ("neural_spline", {"autoregressive": True}),
    ],
)
def test_nothing_jumps_at_the_seam(name, given):
    options = RECIPES[name] | {"activation": "tanh", **given}
    flow = flows.build(name, event_shape=(5,), dtype="float64", **options)
    x = rows(_MIXED, 30, dtype="float64")
    flow.adapt(x)
    laws.randomize(flow)

    def log_prob_and_code(angle, other):
        x[:, 3], x[:, 4] = angle, other
        z = flow.encode(x).numpy()
        on_circles = np.concatenate([np.cos(z[:, 3:]), np.sin(z[:, 3:])], axis=1)
        return flow.log_prob(x), np.concatenate([z[:, :3], on_circles], axis=1)

    here = log_prob_and_code(0.0, -1.0)
    for ends in [(360.0, -1.0), (0.0, 1.0), (360.0, 1.0)]:
        laws.assert_close(log_prob_and_code(*ends), here, 1e-8)
    laws.assert_close(log_prob_and_code(360 - 1e-7, 1 - 1e-9), here, 1e-6)
    moved = log_prob_and_code(90.0, 0.5)
    assert np.abs(moved[0] - here[0]).min() > 1e-4


TORI = {
    "real_nvp": lambda **given: flows.real_nvp((2,), 3, (8,), **given),
    "maf": lambda **given: flows.maf((2,), 3, (8,), **given),
    "maf random": lambda **given: flows.maf((2,), 2, (8,), order="random", **given),
    "iaf": lambda **given: flows.iaf((2,), 2, (8,), **given),
    "spline": lambda **given: flows.neural_spline(
        (2,), 2, 4, (8,), autoregressive=True, **given
    ),
}


@pytest.mark.parametrize("name", TORI)
def test_a_torus_integrates_to_one_and_draws_what_it_scores(name):
    flow = TORI[name](support=_CIRCLE, activation="tanh", dtype="float64")
    assert_is_a_density_on_the_torus(flow, flow.event_shape)


@pytest.mark.parametrize("shape", [(2, 1), (1, 2)])
@pytest.mark.parametrize("name", ["wavenet", "recurrent"])
def test_sequences_of_angles_are_densities_on_the_torus(name, shape):
    flow = flows.build(name, event_shape=shape, support=_CIRCLE, dtype="float64")
    assert_is_a_density_on_the_torus(flow, shape)


def assert_is_a_density_on_the_torus(flow, shape):
    laws.randomize(flow)
    axis = (np.arange(400) + 0.5) / 400 * 2 * np.pi - np.pi
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, *shape)
    density = np.exp(flow.log_prob(grid)).reshape(400, 400)  # rows: second unit
    # Splines have a slope without a slope: the sum errs by about 5e-4, four times less
    # on a grid twice as fine.
    assert abs(density.mean() * 4 * np.pi**2 - 1) < 1e-3
    assert density.std() > 1e-3
    drawn = flow.sample(20000, seed=1).numpy().reshape(-1, 2)
    for unit, axis_of_sum in [(0, 0), (1, 1)]:
        found, _ = np.histogram(drawn[:, unit], 10, (-np.pi, np.pi), density=True)
        wanted = density.mean(axis=axis_of_sum).reshape(10, 40).mean(1) * 2 * np.pi
        np.testing.assert_allclose(found, wanted, atol=0.012)


@pytest.mark.parametrize("name", ["maf", "iaf"])
def test_a_cylinder_integrates_to_one(name):
    flow = flows.build(
        name,
        event_shape=(2,),
        num_steps=2,
        hidden_units=(8,),
        activation="tanh",
        support=[_CIRCLE, "real"],
        dtype="float64",
    )
    laws.randomize(flow)
    angle = (np.arange(400) + 0.5) / 400 * 2 * np.pi - np.pi
    line = np.linspace(-15, 15, 1001)
    grid = np.stack(np.meshgrid(angle, line), axis=-1).reshape(-1, 2)
    density = np.exp(flow.log_prob(grid)).reshape(1001, 400)
    assert abs(density.mean(axis=1).sum() * 2 * np.pi * 0.03 - 1) < 1e-3
    # The angle and the number depend on each other.
    shares = density / density.sum(axis=0)
    assert np.abs(shares - shares[:, :1]).sum(axis=0).max() > 0.02


def test_angles_are_completed_through_the_latent_space():
    flow = flows.maf(
        (3,),
        2,
        (8,),
        support=[_CIRCLE, "real", _CIRCLE],
        order="natural",
        activation="tanh",
        dtype="float64",
    )
    laws.randomize(flow, scale=0.8)
    x, mask = flow.sample(1, seed=3).numpy(), np.array([True, True, False])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of chains
        drawn = complete(flow, x, mask, n=20000, seed=1).numpy()[:, 0]
    assert (drawn[:, :2] == x[0, :2]).all()
    axis = (np.arange(200) + 0.5) / 200 * 2 * np.pi - np.pi
    grid = np.concatenate([np.repeat(x[:, :2], 200, 0), axis[:, None]], axis=1)
    density = np.exp(flow.log_prob(grid)).reshape(10, 20).mean(1)
    found, _ = np.histogram(drawn[:, 2], 10, (-np.pi, np.pi))
    np.testing.assert_allclose(found / 20000, density / density.sum(), atol=0.012)


def test_circles_learn_a_mixture_of_von_mises_better_than_the_line():
    truth = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.6, 0.4]), tfd.VonMises([3.1, -0.5], [4.0, 20.0])
    )
    train, test = (truth.sample(n, seed=n)[:, None] for n in (2000, 2001))
    found = {}
    for support in (_CIRCLE, "real"):
        keras.utils.set_random_seed(0)
        model = FlowModel(flows.neural_spline((1,), 2, 8, (8,), support=support))
        model.compile(keras.optimizers.Adam(2e-2), jit_compile=False)
        model.fit(train, epochs=20, batch_size=250, verbose=0)
        found[support] = float(tf.reduce_mean(model.flow.log_prob(test)))
    best = float(tf.reduce_mean(truth.log_prob(test)))
    assert found[_CIRCLE] > best - 0.03
    assert found[_CIRCLE] > found["real"] + 0.03


def test_a_gaussian_on_the_line_is_a_log_normal_on_the_half_line():
    x = np.random.default_rng(0).lognormal(3.0, 0.5, [500, 1])
    flow = flows.gaussian((1,), support="positive", dtype="float64")
    flow.adapt(x)
    judge = tfd.LogNormal(np.log(x).mean(), np.log(x).std())
    np.testing.assert_allclose(flow.log_prob(x), judge.log_prob(x[:, 0]), atol=1e-9)
    np.testing.assert_allclose(flow.log_prob(x * 1e9)[0] < 0, True)


@pytest.mark.parametrize("support", ["real", ["real", "positive"]])
@pytest.mark.parametrize("name", ["real_nvp", "maf", "iaf", "gaussian", "nice"])
def test_infinity_is_no_number_of_the_line(name, support):
    flow = flows.build(name, event_shape=(2,), support=support)
    laws.randomize(flow)
    x = np.float32([[np.inf, 1], [-np.inf, 1], [0, np.inf], [0, 1], [1e30, 1]])
    for log_prob in (flow.log_prob, tf.function(flow.log_prob)):
        found = log_prob(x).numpy()
        np.testing.assert_array_equal(found[:3], -np.inf)
        assert np.isfinite(found[3]) and not np.isnan(found).any()
    flow = flows.build(name, event_shape=(2,), support=support)
    model = FlowModel(flow)
    model.compile("adam", jit_compile=False)
    rows = np.random.default_rng(0).lognormal(size=(50, 2)).astype("float32")
    rows[7, 0] = np.inf
    match = "NaN or infinite values: row 7 of|In row 7, column 0 is inf, .* be finite"
    with pytest.raises(ValueError, match=match):
        model.fit(rows, verbose=0)


def test_a_unit_of_measurement_is_taken_away():
    x = rows([(0, 1), "positive"], 100, dtype="float64")
    found = []
    for unit in (1.0, 1e-6, 1e6):
        support = [(0, unit), "positive"]
        flow = flows.real_nvp((2,), 2, (8,), support=support, dtype="float64")
        laws.randomize(flow)
        flow.adapt(unit * x)
        found.append(flow.log_prob(unit * x) + 2 * np.log(unit))
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)
    np.testing.assert_allclose(found[2], found[0], atol=1e-6)


@pytest.mark.parametrize("size", [2, 3])
def test_a_density_on_the_simplex_integrates_to_one(size):
    flow = flows.neural_spline(
        (size,), 2, 4, (8,), support="simplex", activation="tanh", dtype="float64"
    )
    flow.adapt(tfd.Dirichlet(np.full(size, 4.0)).sample(100, seed=0))
    laws.randomize(flow, scale=0.2)
    dirichlet = tfd.Dirichlet(np.full(size, 0.5))  # with more at the corners
    x = dirichlet.sample(20000, seed=1)
    assert flow.event_shape == [size] and flow.distribution.event_shape == [size - 1]
    ratio = np.exp(flow.log_prob(x) - dirichlet.log_prob(x))
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(x)) < 0.1
    drawn = flow.sample(1000, seed=2)
    np.testing.assert_allclose(tf.reduce_sum(drawn, axis=-1), 1.0, atol=1e-12)


def test_a_simplex_of_two_entries_is_the_interval():
    x = np.random.default_rng(0).beta(2.0, 3.0, [50, 1])
    whole = flows.gaussian((2,), support="simplex", dtype="float64")
    first = flows.gaussian((1,), support=(0, 1), dtype="float64")
    whole.adapt(np.concatenate([x, 1 - x], axis=1))
    first.adapt(x)
    log_prob = whole.log_prob(np.concatenate([x, 1 - x], axis=1))
    np.testing.assert_allclose(log_prob, first.log_prob(x), atol=1e-9)


def test_rows_that_are_no_shares_are_refused():
    flow = flows.real_nvp((3,), 2, (8,), support="simplex")
    wrong = np.float32([[0.2, 0.3, 0.5], [0.2, 0.3, 0.4], [0.5, 0.5, 0.0]])
    with pytest.raises(
        ValueError, match="row 1, 2, .* the sum is 0.9, .* to be 1. Div"
    ):
        flow.adapt(wrong)
    with pytest.raises(ValueError, match="column 2 is 0.0, .* above 0. Replace zeros"):
        flow.adapt(wrong[::2])
    np.testing.assert_array_equal(np.isneginf(flow.log_prob(wrong)), [0, 1, 1])


def test_networks_of_the_users_see_circles_too():
    flow = flows.real_nvp(
        (4,), 2, support=[_CIRCLE, "real"] * 2, network=lambda: MLP((8,))
    )
    laws.randomize(flow)
    x = np.float32([[np.pi, 0, 1, 0], [-np.pi, 0, 1, 0]])
    np.testing.assert_allclose(*flow.log_prob(x), atol=1e-5)


def test_autoregressive_networks_of_the_users_see_cosine_and_sine():
    made = []

    def network(*sizes):
        made.append(RecurrentNetwork(*sizes, units=(8,)))
        return made[-1]

    flow = flows.maf((3, 2), 2, support=[_CIRCLE, "real"], network=network)
    assert [n.num_features for n in made] == [2, 2]
    laws.randomize(flow)
    x = flow.sample(20, seed=1).numpy()
    np.testing.assert_allclose(flow.decode(flow.encode(x)), x, atol=1e-4)
    ends = np.repeat(x[:1], 2, axis=0)
    ends[:, 0, 0] = np.pi, -np.pi
    np.testing.assert_allclose(*flow.log_prob(ends), atol=1e-4)
    with pytest.raises(ValueError, match="num_features=2, cosine and sine of angles"):
        flows.maf(
            (3, 2),
            support=_CIRCLE,
            network=lambda shape, num_params, num_features: RecurrentNetwork(
                shape, num_params, units=(8,)
            ),
        )


def test_sequences_of_positive_numbers():
    flow = flows.wavenet((5, 2), 2, 4, support=["positive", (0, 1)])
    laws.randomize(flow)
    x = flow.sample(20, seed=1).numpy()
    assert x.min() > 0 and x[..., 1].max() < 1
    x[3, 4, 1] = 1.5
    np.testing.assert_array_equal(np.isneginf(flow.log_prob(x)), np.arange(20) == 3)
    with pytest.raises(ValueError, match=r"In row 3, column \(4, 1\) is 1.5"):
        flow.adapt(x)


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (
            lambda: flows.maf((2,), support=(1, 0)),
            "lower end below .* got .* \\(1, 0\\)",
        ),
        (lambda: flows.maf((2,), support=(None, None, None)), "2 features .* of 3"),
        (lambda: flows.maf((3,), support=["real", (0, 1)]), "3 features .* of 2"),
        (lambda: flows.maf((2,), support="positiv"), "cannot read .* 'positiv' of a"),
        (lambda: flows.maf((2,), support=3), "cannot read the support 3 of a feature"),
        (lambda: flows.maf((2,), support=["real", "odd"]), "cannot read .* 'odd'"),
        (
            lambda: flows.gaussian((2,), support=_CIRCLE),
            "no steps that keep a periodic .*: a normal variable has no period",
        ),
        (
            lambda: flows.nice((2,), support=_CIRCLE),
            "they keep volumes, .* Take flows.neural_spline, real_nvp",
        ),
        (
            lambda: flows.maf((2,), support=[_CIRCLE, "real"], num_components=2),
            "num_components=2 and a support with circles.* Drop num_components",
        ),
        (
            lambda: flows.real_nvp((4, 4, 1), support=_CIRCLE),
            r"of events of shape \(4, 4, 1\) on its circle",
        ),
        (
            lambda: flows.real_nvp((2,), support=("periodic", None, 1)),
            "both of a circle",
        ),
        (lambda: flows.real_nvp((4, 2), support="simplex"), r"vectors .* \(D,\)"),
        (lambda: flows.real_nvp((1,), support="simplex"), "two or more entries"),
        (
            lambda: flows.real_nvp((2,), num_values=4, support=(0, 1)),
            r"support=\(0, 1\): it is for real numbers",
        ),
        (
            lambda: flows.maf((2,), num_components=3, base="logistic"),
            "base='logistic': num_components makes the base a mixture",
        ),
        (lambda: flows.real_nvp((2,), base="cauchy"), "real_nvp has no base 'cauchy'"),
        (lambda: flows.maf((2,), base=["normal"]), "no base .'normal'.. Choose from n"),
        (
            lambda: flows.build("glow", event_shape=(4, 4, 1), support=1),
            "no option sup",
        ),
        (lambda: flows.maf((2,), support=(1e8, 1e8 + 1)), "feature 0, 1.*float32 can"),
        (lambda: flows.maf((2,), support=[(0, 1e-40), "real"]), "feature 0, 0.0 to 1e"),
        (lambda: flows.maf((2,), support=["real", (1e39, None)]), "feature 1, 1e.39"),
        (lambda: flows.maf((2,), support=(-3e38, 3e38)), "cannot hold or tell apart"),
        (
            lambda: flows.real_nvp((2,), support=("periodic", 1e8, 1e8 + 1)),
            "Use x - low, or another unit",
        ),
        (
            lambda: flows.maf((3,), support=(tf.constant(0.0), 1)),
            "3 features and got a support of 2",
        ),
        (
            lambda: flows.real_nvp((2,), support=_CIRCLE, base="student_t"),
            "base='student_t': all features are periodic",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(build, match):
    with pytest.raises(ValueError, match=match):
        build()


def test_an_option_that_a_recipe_has_not_is_named_beside_those_it_has():
    with pytest.raises(TypeError, match="flows.gaussian has no option base. .*support"):
        flows.gaussian((2,), base="student_t")


@pytest.mark.parametrize(
    ("support", "dtype"), [((1e8, 1e8 + 32), "float32"), ((1e6, 1e6 + 1e-8), "float64")]
)
def test_an_interval_of_few_numbers_has_its_samples_and_densities(support, dtype):
    flow = flows.real_nvp((2,), 1, (4,), support=support, dtype=dtype)
    x = flow.sample(100, seed=1).numpy()
    assert support[0] < x.min() and x.max() < support[1]
    assert np.isfinite(flow.log_prob(tf.identity(x))).all()


def test_an_array_of_ends_is_read_as_the_list_of_them():
    ends = np.array([[0.0, 1.0], [-2.0, 3.0]])
    whole = flows.gaussian((2,), support=ends)
    parts = flows.gaussian((2,), support=[ends[0], (-2, 3)])
    x = np.float32([[0.2, 2.9], [0.2, 3.0]])
    wanted = [
        tfd.LogitNormal(0.0, 1.0).log_prob(0.2)
        + tfd.LogitNormal(0.0, 1.0).log_prob(0.98)
        - np.log(5.0),
        -np.inf,
    ]
    for flow in (whole, parts, flows.build("gaussian", **whole.recipe.options)):
        np.testing.assert_allclose(flow.log_prob(x), wanted, rtol=1e-5)


def test_what_is_known_of_an_event_to_complete_lies_in_the_support():
    flow = flows.maf((2,), 1, (4,), support=[(0, 1), "positive"])
    laws.randomize(flow)
    x, mask = np.float32([[0.5, -9.0], [1.0, np.nan]]), np.array([True, False])
    drawn = complete(flow, x[:1], mask, n=50, seed=1).numpy()
    assert (drawn[..., 0] == 0.5).all() and (drawn[..., 1] > 0).all()
    match = "events to complete, row 1, .* column 0 is 1.0, .* between 0 and 1"
    with pytest.raises(ValueError, match=match):
        complete(flow, x, mask, seed=1)


def test_infinite_ends_are_missing_ends_also_in_the_recipe():
    flow = flows.gaussian((2,), support=[(0, math.inf), (-math.inf, np.float64(3.0))])
    json.dumps(flow.recipe.options, allow_nan=False)
    again = flows.build(flow.recipe.name, **flow.recipe.options)
    x = rows(["positive", (None, 3.0)], 10)
    np.testing.assert_array_equal(again.log_prob(x), flow.log_prob(x))


def test_the_event_space_bijector_is_that_of_the_support():
    flow = flows.gaussian((2,), support=[(0, 1), "positive"])
    bijector = flow.experimental_default_event_space_bijector()
    x = bijector.forward(np.float32([[-50.0, -50.0], [50.0, 50.0]]))
    assert np.isfinite(flow.log_prob(x)).all()
