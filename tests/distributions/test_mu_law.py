"""Mu-law companding against the closed form of the standard."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.distributions import mu_law


@pytest.mark.parametrize("num_values", [4, 256, 1024])
def test_encodes_as_the_closed_form(num_values):
    mu = num_values - 1
    audio = np.linspace(-1.0, 1.0, 1001)
    companded = np.sign(audio) * np.log(1 + mu * np.abs(audio)) / np.log(1 + mu)
    wanted = np.rint((companded + 1) / 2 * mu)
    codes = mu_law.encode(audio, num_values)
    assert codes.dtype == tf.int32
    np.testing.assert_array_equal(codes, wanted)


@pytest.mark.parametrize("num_values", [2, 5, 256])
def test_codes_survive_decoding(num_values):
    codes = np.arange(num_values)
    audio = mu_law.decode(codes, num_values).numpy()
    np.testing.assert_array_equal(mu_law.encode(audio, num_values), codes)
    assert audio[0] == -1.0 and abs(audio[-1] - 1.0) < 1e-6
    np.testing.assert_allclose(audio, -audio[::-1], atol=1e-6)


def test_decodes_as_the_closed_form():
    y = 2.0 * np.arange(256) / 255 - 1.0
    wanted = np.sign(y) / 255 * (256 ** np.abs(y) - 1)
    np.testing.assert_allclose(mu_law.decode(np.arange(256)), wanted, atol=1e-6)


def test_is_finer_near_silence():
    audio = np.linspace(-1.0, 1.0, 2001)
    error = np.abs(mu_law.decode(mu_law.encode(audio), dtype=tf.float64) - audio)
    assert error[np.abs(audio) < 0.02].max() < 5e-4
    assert 5e-3 < error[np.abs(audio) > 0.5].max() < 0.022


def test_clips_what_is_too_loud():
    codes = mu_law.encode(np.array([-np.inf, -3.0, 3.0, np.inf]))
    np.testing.assert_array_equal(codes, [0, 0, 255, 255])


def test_refuses_integers_and_a_single_value():
    with pytest.raises(ValueError, match="Divide 16-bit samples by 32768"):
        mu_law.encode(np.zeros(3, np.int16))
    with pytest.raises(ValueError, match="num_values >= 2"):
        mu_law.decode([0], num_values=1)


def test_nan_is_refused_and_silence_inside_of_a_graph():
    with pytest.raises(ValueError, match="NaN for 1 of 3"):
        mu_law.encode([0.0, np.nan, 1.0])
    traced = tf.function(mu_law.encode)(tf.constant([0.0, np.nan]))
    assert traced[0] == traced[1]
