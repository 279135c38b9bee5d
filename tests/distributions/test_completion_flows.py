"""Completions of flows: through latents and by chains, judged by integrals of p(x)."""

import warnings

import numpy as np
import pytest
from scipy import stats

from tests import laws
from tfp_flows import flows
from tfp_flows.distributions import (
    Flow,
    GaussianMixture,
    complete,
    complete_by_chains,
)

SEQUENCES = {
    "wavenet": lambda **kw: flows.wavenet((3, 1), 2, 4, dtype="float64", **kw),
    "recurrent": lambda **kw: flows.recurrent((3, 1), (4,), dtype="float64", **kw),
}


def randomized(model, scale=0.4):
    laws.randomize(model, scale=scale)
    return model


def cdf_of_one_unit(model, x, unit, low=-40.0, high=40.0, points=4001, **kwargs):
    """CDF of one unknown unit, by an integral of the density over a grid."""
    grid = np.linspace(low, high, points)
    events = np.tile(np.ravel(x), (points, 1))
    events[:, unit] = grid
    density = model.prob(events.reshape(-1, *model.event_shape), **kwargs).numpy()
    assert density[0] + density[-1] < 1e-3 * density.max()
    cdf = np.cumsum(density)
    return lambda v: np.interp(v, grid, cdf / cdf[-1])


@pytest.mark.parametrize("make", SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.parametrize("order", ["natural", "reversed"])
def test_forecasts_are_draws_from_the_conditional_density(make, order):
    model = randomized(make(num_steps=2, order=order))
    unknown = 2 if order == "natural" else 0
    x, mask = np.array([[0.3], [-1.0], [0.7]]), np.ones([3, 1], bool)
    mask[unknown] = False
    drawn = complete(model, x, mask, 2000, seed=1).numpy()
    np.testing.assert_array_equal(drawn[:, mask], np.tile(x[mask], (2000, 1)))
    cdf = cdf_of_one_unit(model, x, unknown)
    assert stats.kstest(drawn[:, unknown, 0], cdf).pvalue > 1e-3


def test_a_forecast_of_several_steps_is_that_of_one_after_the_other():
    model = randomized(SEQUENCES["wavenet"](context_shape=(2,)))
    x, context = np.full([2, 3, 1], 0.5), np.array([[1.0, 0.0], [0.0, -1.0]])
    first = np.array([[True], [False], [False]])
    drawn = complete(model, x, first, 600, seed=1, context=context).numpy()
    assert drawn.shape == (600, 2, 3, 1)
    grid = np.linspace(-40.0, 40.0, 2001)
    for i in range(2):
        # Each draw's last step is one from its own past: its CDF value is uniform.
        events = np.tile(drawn[:40, i, None], (1, 2001, 1, 1))
        events[:, :, 2, 0] = grid
        density = model.prob(events, context=context[i]).numpy()
        below = grid < drawn[:40, i, 2]
        places = (density * below).sum(axis=1) / density.sum(axis=1)
        assert stats.kstest(places, "uniform").pvalue > 1e-3


def test_quantiles_of_the_draws_hold_the_share_that_they_say():
    model = randomized(SEQUENCES["recurrent"]())
    truth = model.sample(300, seed=1).numpy()
    begun = np.array([[True], [False], [False]])
    drawn = complete(model, truth, begun, 400, seed=2).numpy()
    low, high = np.quantile(drawn, [0.1, 0.9], axis=0)
    inside = ((low < truth) & (truth < high))[:, 1:].mean(axis=(0, 2))
    # Five standard errors of a share of 0.8 among 300.
    assert (np.abs(inside - 0.8) < 5 * np.sqrt(0.16 / 300)).all()


def test_orders_are_kept_or_not():
    assert SEQUENCES["wavenet"](num_steps=2).bijector.order is not None
    assert flows.wavenet((3, 2), 2, 4, num_steps=2).bijector.order is not None
    assert flows.maf((4,), 1, (8,), order="natural").bijector.order is not None
    assert flows.maf((4,), 2, (8,)).bijector.order is None  # alternating
    assert flows.real_nvp((4,), 2, (8,)).bijector.order is None
    assert flows.gaussian((4,)).bijector.is_affine
    assert not flows.nice((4,), 2, (8,)).bijector.is_affine


@pytest.fixture(scope="module")
def chains():
    """A flow without an order, one unit unknown, and what the chains found."""
    model = randomized(flows.real_nvp((3,), 3, (16,), activation="tanh"))
    x, masks = np.array([[0.5, 9.0, -0.5], [9.0, 1.0, 0.0]]), [[1, 0, 1], [0, 1, 1]]
    return model, x, complete_by_chains(model, x, masks, 400, seed=1)


def test_chains_draw_from_the_conditional_density(chains):
    model, x, found = chains
    assert found.problem() is None
    for i, unit in enumerate([1, 0]):
        cdf = cdf_of_one_unit(model, x[i], unit)
        assert stats.kstest(found.x.numpy()[:, i, unit], cdf).pvalue > 1e-3


def test_chains_tell_how_far_they_are_to_be_trusted(chains):
    _, x, found = chains
    unknown = np.array([[False, True, False], [True, False, False]])
    np.testing.assert_array_equal(np.isnan(found.r_hat), ~unknown)
    assert np.nanmax(found.r_hat) < 1.05 and found.acceptance.shape == [2]
    assert np.nanmin(found.effective_sample_size) > 100
    np.testing.assert_array_equal(found.x[:, 0, 0], np.float32(x[0, 0]))
    apart = found._replace(r_hat=found.r_hat + 1.0)
    assert "largest R-hat is 2" in apart.problem()
    short = found._replace(effective_sample_size=found.effective_sample_size * 0.0)
    assert "smallest effective sample size 0" in short.problem()


def test_modes_far_apart_are_warned_of():
    base = GaussianMixture((2,), 2)
    rng = np.random.default_rng(0)
    far = rng.normal(size=(200, 2)) * [0.01, 1.0] + rng.integers(0, 2, (200, 1)) * [
        9,
        0,
    ]
    base.adapt(far)
    nice = flows.nice((2,), 1, (4,))  # no mixture any more, as far as is known
    model = Flow(nice.bijector, base)
    with pytest.warns(UserWarning, match="The chains have not met: .* R-hat"):
        drawn = complete(model, [0.0, 0.2], [False, True], 4, seed=1)
    np.testing.assert_array_equal(drawn[:, 1], np.full(4, 0.2, np.float32))
    assert np.isfinite(drawn).all()


def test_integers_of_a_flow_have_the_masses_of_their_cells():
    model = flows.real_nvp((2,), 2, (4,), activation="tanh", num_values=4)
    randomized(model)
    found = complete_by_chains(model, [1, 3], [True, False], 1500, seed=2)
    assert found.problem() is None and found.x.dtype == model.dtype
    # P(1, k) is the integral of the flow over a cell; samples beyond the range are
    # rounded to its ends, so the end cells go on for ever.
    side = np.linspace(-6.0, 10.0, 1601)[:-1] + 0.005
    x = np.stack(np.meshgrid(np.linspace(1, 2, 41)[:-1] + 0.0125, side), -1)
    density = (
        model.flow.prob(x.reshape(-1, 2).astype("f4")).numpy().reshape(x.shape[:2])
    )
    values = np.clip(np.floor(side), 0, 3)
    mass = np.array([density[values == k].sum() for k in range(4)])
    drawn = found.x.numpy()
    assert (drawn[:, 0] == 1).all()
    share = np.array([(drawn[:, 1] == k).mean() for k in range(4)])
    wanted = mass / mass.sum()
    # Neighbouring draws are not independent: six standard errors of 1000.
    assert (np.abs(share - wanted) < 6 * np.sqrt(wanted / 1000) + 1e-3).all()


def test_masks_of_all_and_of_nothing_need_no_chains():
    model = randomized(flows.real_nvp((3,), 2, (8,)))
    x = np.array([[1.0, 2.0, 3.0]] * 2, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(complete(model, x, True, 3), [x] * 3)
        drawn = complete(model, x, False, 3, seed=1)
    assert drawn.shape == (3, 2, 3) and len(np.unique(drawn)) == 18


def test_what_chains_cannot_do_is_refused():
    model, x = flows.real_nvp((3,), 2, (8,)), np.zeros(3)
    mask = [True, False, True]
    with pytest.raises(ValueError, match="temperature 1 only, got 0.5"):
        complete(model, x, mask, temperature=0.5)
    with pytest.raises(ValueError, match="num_chains >= 2"):
        complete_by_chains(model, x, mask, num_chains=1)
    with pytest.raises(ValueError, match="no way for Autoregressive"):
        complete_by_chains(
            flows.pixel_cnn((1, 3, 1), 1, 4, num_values=2), [[[0]] * 3], True
        )
    padded = flows.glow((3, 3, 1), 1, 1, 4, num_values=5, pad_to=(4, 4))
    with pytest.raises(ValueError, match="is padded"):
        complete(padded, np.zeros([3, 3, 1]), np.eye(3, dtype=bool)[..., None])
