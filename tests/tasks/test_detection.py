"""Rates of false alarms on held-out data, and what each score finds."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import flows, tasks
from tfp_flows.distributions import Embedded

METHODS = ["log_prob", "typicality", "likelihood_ratio", "density_of_states"]


def drawn(count, seed):
    """What no model here has seen: bent, and with heavier tails than a normal."""
    rng = np.random.default_rng(seed)
    x = rng.standard_t(5, size=(count, 6))
    x[:, 1] += 0.5 * x[:, 0] ** 2
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def models():
    """A Gaussian, which is wrong, and a wider one as the background."""
    model, background = flows.gaussian((6,)), flows.gaussian((6,))
    model.adapt(drawn(2000, 0))
    background.adapt(2.0 * drawn(2000, 1))
    return model, background


@pytest.fixture(scope="module")
def pixels():
    model = flows.pixel_cnn((3, 3, 1), 1, 4, num_values=3)
    laws.randomize(model)
    return model, model.sample(99, seed=1)


def detector(models, method, calibration, **kwargs):
    background = models[1] if method == "likelihood_ratio" else None
    return tasks.AnomalyDetector(
        models[0], calibration, method, background=background, **kwargs
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_false_alarms_are_as_rare_as_asked(models, method, rate):
    count, fresh = 4000, drawn(4000, 3)
    alarms = detector(models, method, drawn(count, 2)).detect(fresh, rate).mean()
    # Binomial error of the fresh events, and of the threshold from as many others.
    error = np.sqrt(2 * rate * (1 - rate) / count)
    assert abs(alarms - rate) < 4 * error


@pytest.mark.parametrize("method", METHODS)
def test_what_is_far_away_is_found(models, method):
    found = detector(models, method, drawn(500, 2)).detect(drawn(50, 4) + 40.0, 0.01)
    assert found.all()


@pytest.mark.parametrize("method", ["typicality", "density_of_states"])
def test_the_mode_is_not_typical(method):
    flow = flows.gaussian((100,))
    near = np.zeros([1, 100], np.float32)
    plain = tasks.AnomalyDetector(flow, flow.sample(500, seed=1))
    other = tasks.AnomalyDetector(flow, flow.sample(500, seed=1), method)
    assert plain.p_value(near)[0] == 1.0 and other.p_value(near)[0] < 0.01


def test_p_values_by_hand():
    flow = flows.gaussian((1,))
    plain = tasks.AnomalyDetector(flow, [[0.0], [1.0], [-2.0], [3.0]])
    p = plain.p_value([[0.5], [2.0], [9.0], [np.nan]])
    np.testing.assert_allclose(p, [4 / 5, 3 / 5, 1 / 5, 1 / 5])


def test_attributions_sum_to_the_surprise_and_find_the_unit(pixels):
    model, calibration = pixels
    plain = tasks.AnomalyDetector(model, calibration)
    x = model.sample(4, seed=2)
    parts = plain.attributions(x)
    usual = -model.log_prob(calibration).numpy().mean()
    assert parts.shape == (4, 3, 3, 1)
    total = parts.sum(axis=(1, 2, 3)) + usual
    np.testing.assert_allclose(total, -model.log_prob(x), rtol=1e-4)
    # Only the last unit differs: no other is told of it.
    other = tf.tensor_scatter_nd_update(x, [[0, 2, 2, 0]], [(x[0, 2, 2, 0] + 1) % 3])
    changed = plain.attributions(other) != parts
    assert np.argwhere(changed).tolist() == [[0, 2, 2, 0]]


def test_what_is_refused(models):
    calibration = drawn(9, 0)
    with pytest.raises(ValueError, match="know rates of false alarms from 0.1 to 1"):
        detector(models, "log_prob", calibration).detect(calibration, 0.05)
    with pytest.raises(ValueError, match="no method 'entropy'"):
        tasks.AnomalyDetector(models[0], calibration, "entropy")
    with pytest.raises(ValueError, match="needs a background model"):
        tasks.AnomalyDetector(models[0], calibration, "likelihood_ratio")
    with pytest.raises(ValueError, match="the others take none"):
        tasks.AnomalyDetector(models[0], calibration, background=models[1])
    with pytest.raises(ValueError, match=r"wants calibration events of shape \[N, 6\]"):
        tasks.AnomalyDetector(models[0], calibration[:, :3])
    with pytest.raises(ValueError, match="has no conditional surprise"):
        detector(models, "log_prob", calibration).attributions(calibration)


@pytest.mark.parametrize("method", ["log_prob", "typicality", "density_of_states"])
def test_events_without_a_density_are_no_calibration(method):
    flow = flows.gaussian((1,))
    good, bad = [[0.0], [1.0], [2.0]], [[0.0], [np.nan], [1.0]]
    with pytest.raises(ValueError, match="1 of 3 calibration events have no density"):
        tasks.AnomalyDetector(flow, bad, method)
    if method != "log_prob":
        with pytest.raises(ValueError, match="1 of 3 reference events have no density"):
            tasks.AnomalyDetector(flow, good, method, reference=bad)
    if method != "density_of_states":  # which needs codes of whole events
        # With missing values the density is that of what is there.
        tasks.AnomalyDetector(flows.gaussian((1,), missing=True), bad, method)


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match="needs a model of this library, got Normal"):
        tasks.AnomalyDetector(tfp.distributions.Normal(0.0, 1.0), [[0.0]])


def test_integers_that_the_model_does_not_have_are_as_strange_as_can_be():
    k = np.random.default_rng(0).integers(0, 5, (60, 4))
    model = flows.gaussian((4,), num_values=5)
    model.adapt(k)
    strange = [[5, 2, 2, 2], [2.5, 2, 2, 2]]
    found = tasks.AnomalyDetector(model, k)
    np.testing.assert_allclose(found.p_value(strange), 1 / 61)
    for method in METHODS:
        background = model if method == "likelihood_ratio" else None
        asked = tasks.AnomalyDetector(model, k, method, background=background)
        assert asked.p_value(np.zeros([0, 4])).shape == (0,)
    with pytest.raises(ValueError, match="None of the calibration events is possible"):
        tasks.AnomalyDetector(model, k + 9)
    with pytest.raises(ValueError, match="None of the reference events is possible"):
        tasks.AnomalyDetector(model, k, "typicality", reference=k + 9)
    with pytest.raises(ValueError, match="quantile"):
        reference = np.full([50, 4], 9)
        tasks.optimize(model, lambda x: tf.reduce_sum(x, -1), reference=reference)


def test_what_cannot_be_asked_says_so(models):
    found = tasks.AnomalyDetector(models[0], drawn(60, 3))
    with pytest.raises(ValueError, match="got 'a'"):
        found.detect(drawn(3, 4), rate="a")
    with pytest.raises(ValueError, match=r"background has events \(2,\)"):
        tasks.AnomalyDetector(
            models[0], drawn(60, 3), "likelihood_ratio", background=flows.gaussian((2,))
        )
    with pytest.raises(ValueError, match="complex"):
        found.score(drawn(3, 4) + 1j)


def test_the_context_of_an_embedded_model_goes_through_its_network():
    inner = flows.maf((6,), 1, (8,), context_shape=(3,))
    model = Embedded(inner, keras.layers.Dense(3, kernel_initializer="ones"), (2,))
    laws.randomize(inner)
    context, x = np.ones(2, np.float32), drawn(60, 5)
    scores = [
        tasks.AnomalyDetector(m, x, **c).score(x[:9])
        for m, c in (
            (model, {"context": context}),
            (model.given(context), {}),
            (inner, {"context": model.embed(context)}),
        )
    ]
    np.testing.assert_allclose(scores[0], scores[2], rtol=1e-5)
    np.testing.assert_allclose(scores[1], scores[2], rtol=1e-5)
    inputs = {
        name: keras.Input((size,), name=name) for name, size in (("a", 1), ("b", 2))
    }
    both = keras.Model(inputs, keras.layers.Concatenate()(list(inputs.values())))
    named = Embedded(inner, both, {"a": (1,), "b": (2,)})
    parts = {"a": np.zeros(1, np.float32), "b": np.ones(2, np.float32)}
    asked = tasks.AnomalyDetector(named, x, context=parts)
    wanted = -named.log_prob(x[:9], context=parts)
    np.testing.assert_allclose(asked.score(x[:9]), wanted, rtol=1e-5)
