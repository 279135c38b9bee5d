"""Equalised pixels: their histograms exactly, and a bijection of the line."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import laws
from tfp_flows import bijectors as b
from tfp_flows.distributions import Base, Dequantized, Flow


def counted(values, num_values, smoothing):
    """p of every value at every pixel, by the words of the docstring."""
    flat = values.reshape(len(values), -1)
    every = np.array([(flat == k).mean() for k in range(num_values)])
    every = 0.99 * every + 0.01 / num_values
    own = np.stack([(flat == k).sum(axis=0) for k in range(num_values)], axis=-1)
    return (own + smoothing * every) / (len(flat) + smoothing)


class Uniform(Base):
    """Uniform over [0, high]^D."""

    def __init__(self, shape, high):
        self._high = high
        super().__init__(shape, int(np.prod(shape)), tf.float64, dict(locals()), "u")

    def _log_prob(self, z):
        inside = tf.reduce_all((z >= 0) & (z <= self._high), axis=-1)
        size = -self.num_uniforms * np.log(self._high)
        return tf.where(inside, tf.constant(size, tf.float64), -np.inf)


def test_a_uniform_base_gives_every_value_its_share():
    x = np.random.default_rng(0).binomial(3, [0.1, 0.5, 0.8], (200, 3))
    pixels = b.PixelHistogram((3,), 4, smoothing=5.0, dtype="float64")
    pixels.adapt(x + np.random.default_rng(1).uniform(size=x.shape))
    model = Dequantized(Flow(pixels, Uniform((3,), 4.0)), 4)
    shares = counted(x, 4, 5.0)
    # No bound: the density is the same everywhere in a cell.
    for value in np.ndindex(4, 4, 4):
        expected = np.log([shares[i, k] for i, k in enumerate(value)]).sum()
        np.testing.assert_allclose(model.log_prob(value, seed=1), expected, rtol=1e-9)


def test_what_leaves_it_is_uniform():
    rng = np.random.default_rng(0)
    x = np.minimum(rng.poisson(2.0, (4000, 2, 1, 1)), 7) + rng.uniform(
        size=(4000, 2, 1, 1)
    )
    pixels = b.PixelHistogram((2, 1, 1), 8, smoothing=1.0, dtype="float64")
    pixels.adapt(x)
    for flat in pixels.inverse(x).numpy().reshape(4000, 2).T:
        steps = np.arange(4000) / 4000
        assert np.abs(np.sort(flat) / 8 - steps).max() < 1.95 / np.sqrt(4000)


def test_per_channel_all_positions_are_one_sample():
    x = np.random.default_rng(0).binomial(3, [0.1, 0.6], (50, 2, 3, 2))
    one = b.PixelHistogram((2, 3, 2), 4, "channel", smoothing=2.0, dtype="float64")
    rows = b.PixelHistogram((2,), 4, smoothing=2.0, dtype="float64")
    one.adapt(x + 0.5)
    rows.adapt(x.reshape(-1, 2) + 0.5)
    y = np.random.default_rng(1).uniform(-1.0, 5.0, (7, 2, 3, 2))
    np.testing.assert_allclose(
        one.inverse(y), tf.reshape(rows.inverse(y.reshape(-1, 2)), y.shape)
    )
    log_det = rows.inverse_log_det_jacobian(y.reshape(-1, 2), 1)
    np.testing.assert_allclose(
        one.inverse_log_det_jacobian(y, 3), np.reshape(log_det, (7, -1)).sum(axis=1)
    )


@settings(max_examples=20, deadline=None)
@given(
    num_values=st.sampled_from([2, 3, 17, 256]),
    shape=st.sampled_from([(1,), (3,), (2, 1), (2, 2, 1)]),
    dtype=st.sampled_from(["float32", "float64"]),
    smoothing=st.sampled_from([1.0, 100.0]),
    per=st.sampled_from(["pixel", "channel"]),
)
# In float32 the last value, here a rare one, once led beyond the range.
@example(num_values=256, shape=(2, 1), dtype="float32", smoothing=1.0, per="channel")
def test_it_is_an_increasing_bijection_of_the_line(
    num_values, shape, dtype, smoothing, per
):
    options = {"smoothing": smoothing, "dtype": dtype}
    pixels = b.PixelHistogram(shape, num_values, per, **options)
    rng = np.random.default_rng(0)
    pixels.adapt(rng.integers(0, num_values, (30, *shape)) ** 2 / num_values)
    line = np.sort(rng.uniform(-5.0, num_values + 5.0, 200)).astype(dtype)
    line = np.append(line, [0.0, num_values]).astype(dtype)
    y = np.broadcast_to(line.reshape(-1, *[1] * len(shape)), (202, *shape))
    x = pixels.inverse(y).numpy()
    steps = np.diff(x[:200], axis=0)
    assert (steps > 0).all() if dtype == "float64" else (steps >= 0).all()
    np.testing.assert_allclose(x[200], 0.0, atol=1e-5)
    np.testing.assert_allclose(x[201], num_values, rtol=1e-5)
    # A value without mass has a slope of one in 3,000: what is rounded off of x is
    # that much larger in y, so float32 is judged in x.
    atol = 1e-8 if dtype == "float64" else 2e-5 * num_values
    back = pixels.forward(tf.constant(x))
    if dtype == "float64":
        np.testing.assert_allclose(back, y, atol=atol)
    np.testing.assert_allclose(pixels.inverse(tf.identity(back)), x, atol=atol)


def test_it_is_the_identity_before_it_is_adapted_and_of_slope_one_outside():
    pixels = b.PixelHistogram((2,), 4, dtype="float64")
    y = np.array([[-3.0, 0.5], [3.99, 8.0]])
    np.testing.assert_allclose(pixels.inverse(y), y)
    assert not pixels.is_adapted
    pixels.adapt(np.array([[0.5, 3.5], [0.5, 3.5]]))
    assert pixels.is_adapted and pixels.trainable_variables == ()
    outside = np.array([[-3.0, -7.0], [4.5, 8.0]])
    np.testing.assert_allclose(pixels.inverse(outside), outside)
    np.testing.assert_allclose(pixels.inverse_log_det_jacobian(outside, 1), 0.0)


def test_values_outside_count_as_the_nearest():
    one, two = (b.PixelHistogram((1,), 3, dtype="float64") for _ in range(2))
    one.adapt(np.array([[-5.0], [1.5], [99.0]]))
    two.adapt(np.array([[0.5], [1.5], [2.5]]))
    y = np.linspace(0, 3, 20)[:, None]
    np.testing.assert_array_equal(one.inverse(y), two.inverse(y))


def test_it_is_adapted_first_and_saved(tmp_path):
    from tfp_flows import flows

    made = [
        flows.glow((2, 2, 1), 1, 1, 4, num_values=4, histogram="pixel")
        for _ in range(2)
    ]
    x = np.random.default_rng(0).integers(0, 2, (50, 2, 2, 1))
    made[0].adapt(x)
    laws.randomize(made[0])
    path = tf.train.Checkpoint(flow=made[0]).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(flow=made[1]).restore(path).assert_consumed()
    assert made[1].is_adapted
    np.testing.assert_array_equal(
        made[1].log_prob(x, seed=1), made[0].log_prob(x, seed=1)
    )
    first = made[0].trace(x)[0]
    assert first[0] == "pixel_histogram"
    assert np.ptp(first[1]) > 1.0  # two values in use fill nearly all of [0, 4]


@pytest.mark.parametrize(
    "options", [{"num_values": 1}, {"num_values": 4, "smoothing": 0.0}]
)
def test_bad_numbers_are_refused(options):
    with pytest.raises(ValueError, match="num_values >= 2 and smoothing > 0"):
        b.PixelHistogram((2,), **options)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="per 'pixel' or per 'channel', got 'image'"):
        b.PixelHistogram((2,), 4, "image")
