"""One call: right models are not doubted, wrong ones are, and what fits is asked."""

import importlib
import sys

import keras
import numpy as np
import pytest

from tests import laws
from tfp_flows import diagnostics, flows
from tfp_flows.distributions import Embedded


def drawn(count, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    x = scale * rng.normal(size=(count, 3))
    x[:, 2] += x[:, 0]
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    model = flows.gaussian((3,))
    model.adapt(drawn(50_000, 0))
    return model


def test_a_right_model_is_not_doubted(fitted):
    doubted = 0
    for seed in range(1, 13):
        train, held_out = drawn(300, seed + 100), drawn(200, seed)
        found = diagnostics.diagnose(fitted, held_out, train, seed=seed)
        assert not found.left_out and len(found.samples) == found.num_events == 200
        doubted += bool(found.doubts(rate=0.02))
    assert doubted <= 2  # of 12, each with probability 0.02 at most: p > 0.998


def test_a_wrong_scale_is_doubted_by_what_looks_at_scale(fitted):
    found = diagnostics.diagnose(fitted, drawn(800, 1, scale=0.6), drawn(800, 2, 0.6))
    doubts = found.doubts()
    assert {"latent normality", "coverage", "marginals", "c2st"} <= set(doubts)
    assert not {"invertibility", "precision", "memorisation"} & set(doubts)
    assert str(found).count("DOUBT") == len(doubts)


def test_a_missing_correlation_is_doubted_but_not_by_single_columns():
    model = flows.gaussian((3,))
    model.adapt(np.random.default_rng(0).permuted(drawn(20_000, 0), axis=0))
    doubts = diagnostics.diagnose(model, drawn(800, 1)).doubts()
    assert {"latent normality", "c2st"} <= set(doubts) and "marginals" not in doubts


def test_a_model_of_its_training_events_is_doubted_for_copying():
    train = drawn(60, 1)
    model = flows.gaussian_mixture((3,), 60, covariance_floor=1e-4)
    model.adapt(train)
    found = diagnostics.diagnose(model, drawn(300, 2), train)
    assert "memorisation" in found.doubts()
    copies = found.found["memorisation"]
    apart = (found.samples - train[copies.nearest]) / train.std(axis=0)
    np.testing.assert_allclose(
        copies.samples, np.linalg.norm(apart, axis=1), rtol=1e-4, atol=1e-6
    )
    assert "latent normality" in found.found  # of mixtures too


def test_what_does_not_fit_is_left_out_and_says_why():
    model = flows.pixel_cnn((2, 2, 1), 1, 8, num_values=3)
    found = diagnostics.diagnose(model, model.sample(60, seed=1), num_events=50)
    assert set(found.left_out) == {"memorisation", "invertibility"}
    assert "pass train=" in found.left_out["memorisation"]
    assert found.num_events == 50 and found.doubts() == []
    text = str(found)
    for name in (*found.found, *found.left_out):
        assert f" {name}: " in text
    assert set(found.seconds) == {"samples", *found.found, *found.left_out}


def test_conditional_models_are_asked_under_each_context():
    model = flows.real_nvp((2,), 2, (8,), context_shape=(1,))
    context = np.random.default_rng(0).normal(size=(100, 1)).astype(np.float32)
    x = model.sample((), seed=1, context=context).numpy()
    found = diagnostics.diagnose(model, x, context=context)
    assert found.doubts() == [] and found.samples.shape == (100, 2)
    assert diagnostics.diagnose(model.given([0.5]), x).samples.shape == (100, 2)


def test_the_same_seed_finds_the_same(fitted):
    one, same, other = (
        diagnostics.diagnose(fitted, drawn(100, 1), num_events=60, seed=seed)
        for seed in (5, 5, 6)
    )
    assert str(one) == str(same) != str(other)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"held_out": drawn(10, 0)}, "at least 20 held-out events"),
        ({"held_out": drawn(30, 0)[:, :2]}, r"held-out events of shape \[N, 3\]"),
        ({"held_out": np.full((30, 3), np.nan)}, "30 of 30 held-out events are not"),
        ({"train": drawn(30, 0)[:, :2]}, "Training events have shape"),
        ({"train": np.full((30, 3), np.inf)}, "training events are not finite"),
        ({"context": np.ones((30, 1))}, "takes no context"),
        ({"context": np.ones((7, 1))}, "7 contexts for 30"),
        ({"num_events": 5}, "num_events=5"),
        ({"model": 3}, "got int"),
    ],
)
def test_bad_input_is_one_clear_error(fitted, fields, message):
    arguments = {"model": fitted, "held_out": drawn(30, 0), **fields}
    with pytest.raises(ValueError, match=message):
        diagnostics.diagnose(**arguments)


def test_models_with_a_batch_of_contexts_are_refused():
    model = flows.real_nvp((2,), 1, (4,), context_shape=(1,))
    with pytest.raises(ValueError, match="batch shape"):
        diagnostics.diagnose(model.given(np.ones((30, 1))), np.ones((30, 2)))


def test_samples_that_are_not_finite_are_refused(fitted):
    model = flows.gaussian((3,))
    model.raw_variables[0].assign(np.nan * model.raw_variables[0])
    with pytest.raises(ValueError, match="samples that are not finite"):
        diagnostics.diagnose(model, drawn(30, 0))


@pytest.mark.parametrize(
    ("missing", "name", "extra"),
    [
        ("sklearn", "diagnostics.c2st", "diagnostics"),
        ("scipy", "diagnostics.latent_normality", "diagnostics"),
        ("matplotlib", "plots.samples", "plots"),
    ],
)
def test_a_missing_library_names_the_extra(monkeypatch, missing, name, extra):
    package, public = name.split(".")
    offered = importlib.import_module(f"tfp_flows.{package}")
    package = offered.__name__
    for module in list(sys.modules):
        if module.startswith(f"{package}."):
            monkeypatch.delitem(sys.modules, module)
        if module == missing or module.startswith(f"{missing}."):
            monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"pip install 'tfp_flows\[{extra}\]'"):
        getattr(offered, public)


def test_flows_whose_codes_are_fewer_or_come_by_a_loop_are_asked():
    z = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    found = diagnostics.diagnose(flows.iaf((4,), 2, (8,)), z)
    assert "decomposition" in found.found
    parts = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    found = diagnostics.diagnose(
        flows.real_nvp((4,), 2, (8,), support="simplex"), parts
    )
    assert "what a simplex leaves" in found.left_out["decomposition"]


def test_contexts_go_through_the_network_of_an_embedded_model():
    words = keras.Sequential([keras.layers.Embedding(9, 3), keras.layers.Flatten()])
    inner = flows.maf((3,), 1, (8,), context_shape=(6,))
    model = Embedded(inner, words, (2,), "int32")
    laws.randomize(model)
    context = np.random.default_rng(0).integers(0, 9, (40, 2))
    x = model.sample(context=context, seed=1).numpy()
    found = diagnostics.decompose(model, x, context=context)
    log_prob = model.log_prob(x, context=context)
    np.testing.assert_allclose(-found.nats.sum(axis=1), log_prob, atol=1e-4)
    whole = diagnostics.diagnose(model, x, context=context)
    assert {"latent normality", "invertibility", "coverage"} <= set(whole.found)
    one = model.given(context[0])
    z = one.bijector.inverse(x)
    np.testing.assert_allclose(z, inner.encode(x, model.embed(context[:1])), atol=1e-5)
    inputs = {"a": keras.Input((2,), name="a"), "b": keras.Input((4,), name="b")}
    both = keras.Model(inputs, keras.layers.Concatenate()(list(inputs.values())))
    named = Embedded(inner, both, {"a": (2,), "b": (4,)})
    parts = {"a": np.zeros([40, 2], "f"), "b": np.ones([40, 4], "f")}
    assert "decomposition" in diagnostics.diagnose(named, x, context=parts).found


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda k: k + 9, "wanted whole numbers from 0 to 4"),
        (lambda k: k + 0.5, "wanted whole numbers from 0 to 4"),
        (lambda k: np.ma.masked_array(k, k > 3), "masked"),
        (lambda k: k + 1j, "complex"),
        (lambda k: k.astype(str), "text"),
    ],
    ids=["large", "fractions", "masked", "complex", "text"],
)
def test_what_no_event_holds_is_refused(spoil, message):
    k = np.random.default_rng(0).integers(0, 5, (40, 3))
    with pytest.raises(ValueError, match=message):
        diagnostics.diagnose(flows.gaussian((3,), num_values=5), spoil(k))
