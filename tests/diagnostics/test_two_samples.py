"""Exact samples pass at the stated rate; copies and missing correlations do not."""

import numpy as np
import pytest
from sklearn import linear_model

from tfp_flows import diagnostics

RUNS = 30


def correlated(count, rng, correlation=0.9, size=4):
    x = rng.normal(size=(count, size))
    x[:, 1] = correlation * x[:, 0] + np.sqrt(1 - correlation**2) * x[:, 1]
    return x


def test_accuracy_on_exact_samples_is_a_half_within_its_standard_error():
    logistic = linear_model.LogisticRegression()
    z = []
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        a, b = correlated(201, rng), correlated(250, rng)
        found = diagnostics.c2st(a, b, classifier=logistic, seed=seed)
        z.append((found.accuracy - 0.5) / found.standard_error)
    assert abs(np.mean(z)) < 4 / np.sqrt(RUNS)
    assert 0.5 < np.std(z) < 1.5


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_the_classifier_finds_a_missing_correlation(correlation):
    rng = np.random.default_rng(0)
    a, b = correlated(400, rng, correlation), correlated(400, rng)
    found = diagnostics.c2st(a, b)
    assert found.num_tests == 400
    assert (found.p_value < 0.001) == (correlation == 0.0)
    # Which no single unit shows.
    assert diagnostics.marginals(a, b).p_value > 0.01


def test_a_wrong_context_is_found_only_when_it_is_shown():
    rng = np.random.default_rng(0)
    context = rng.integers(0, 2, (400, 1))
    data = 4.0 * context + rng.normal(size=(400, 1))
    samples = 4.0 * (1 - context) + rng.normal(size=(400, 1))
    assert diagnostics.c2st(samples, data).p_value > 0.001
    assert diagnostics.c2st(samples, data, context=context).accuracy > 0.9


def test_marginals_reject_at_most_as_often_as_asked_and_name_the_unit():
    rng = np.random.default_rng(0)
    found = [
        diagnostics.marginals(rng.normal(size=(100, 5)), rng.normal(size=(120, 5)))
        for _ in range(200)
    ]
    rate = np.mean([one.p_value <= 0.1 for one in found])
    assert 0.01 < rate < 0.1 + 4 * np.sqrt(0.09 / 200)
    shifted = rng.normal(size=(200, 5)) + np.eye(5)[3]
    assert diagnostics.marginals(shifted, rng.normal(size=(200, 5))).worst == 3


def test_fresh_samples_are_no_copies_at_the_stated_rate():
    p_values = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        train, held_out, samples = (rng.normal(size=(n, 3)) for n in (200, 60, 80))
        found = diagnostics.memorisation(samples, train, held_out)
        p_values.append(found.p_value)
        assert 0.2 < found.nearer < 0.8 and found.num_copies == 0
    rate = np.mean(np.array(p_values) <= 0.1)
    assert abs(rate - 0.1) < 4 * np.sqrt(0.09 / 150)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_memorised_events_are_found_and_named(noise):
    rng = np.random.default_rng(0)
    train, held_out = rng.normal(size=(500, 6)), rng.normal(size=(200, 6))
    samples = train[100:200] + noise * rng.normal(size=(100, 6))
    found = diagnostics.memorisation(samples, train, held_out)
    assert found.p_value < 0.001 and found.nearer > 0.9
    assert np.mean(found.nearest == np.arange(100, 200)) > 0.9
    assert found.num_copies == (100 if noise == 0.0 else 0)


def test_distances_are_in_the_unit_that_is_asked_for():
    x = np.random.default_rng(0).normal(size=(90, 2)) * [1.0, 1000.0]
    samples, train, held_out = x[:30], x[30:60], x[60:]
    own, plain = (
        diagnostics.memorisation(samples, train, held_out, unit=unit)
        for unit in (None, 1.0)
    )
    np.testing.assert_allclose(
        plain.samples, np.linalg.norm(samples - train[plain.nearest], axis=1)
    )
    apart = (samples - train[own.nearest]) / train.std(axis=0)
    np.testing.assert_allclose(own.samples, np.linalg.norm(apart, axis=1))


def test_data_on_a_plane_have_two_dimensions_and_the_samples_have_all():
    rng = np.random.default_rng(0)
    bent = rng.uniform(-1, 1, (1500, 2))
    sheet = np.stack([*bent.T, bent[:, 0] ** 2, np.sin(3 * bent[:, 1])], axis=1)
    cloud = rng.uniform(-1, 1, (1500, 4))
    found = diagnostics.effective_dimension(cloud, sheet)
    two, four = found.held_out, found.samples
    assert abs(two.local - 2) < 4 * two.standard_error
    assert abs(four.local - 4) < 0.2 + 4 * four.standard_error
    values = np.linalg.eigvalsh(np.cov((cloud / sheet.std(axis=0)).T))
    np.testing.assert_allclose(four.linear, values.sum() ** 2 / (values**2).sum())
    values = np.linalg.eigvalsh(np.corrcoef(sheet.T))
    np.testing.assert_allclose(two.linear, values.sum() ** 2 / (values**2).sum())
    # The same with more units than events.
    wide = rng.normal(size=(30, 100))
    values = np.linalg.eigvalsh(np.cov(wide.T))
    linear = diagnostics.effective_dimension(wide, wide, unit=1.0).held_out.linear
    np.testing.assert_allclose(linear, values.sum() ** 2 / (values**2).sum())


def test_copies_have_no_neighbourhood():
    same = np.repeat(np.random.default_rng(0).normal(size=(15, 3)), 4, axis=0)
    found = diagnostics.effective_dimension(same, np.zeros((30, 3)))
    assert np.isnan(found.samples.local) and np.isnan(found.held_out.local)
    assert found.held_out.linear == 0.0


GOOD = np.random.default_rng(0).normal(size=(40, 3))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: diagnostics.c2st(GOOD, GOOD[:5]), "at least 20 held-out events"),
        (lambda: diagnostics.c2st(GOOD, GOOD[:, :2]), "Samples have shape"),
        (lambda: diagnostics.marginals(GOOD / 0.0, GOOD), "not finite"),
        (
            lambda: diagnostics.c2st(GOOD, GOOD, context=GOOD[:7]),
            "40 samples, 40 held-out events and 7 contexts",
        ),
        (lambda: diagnostics.memorisation(GOOD, GOOD[:, :1], GOOD), "Training events"),
        (lambda: diagnostics.effective_dimension(GOOD, GOOD, unit=[1.0, 2.0]), "unit="),
        (lambda: diagnostics.effective_dimension(GOOD, GOOD, unit=0.0), "unit="),
    ],
)
def test_bad_input_is_one_clear_error(ask, message):
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match=message):
        ask()
