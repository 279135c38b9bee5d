"""Threefry noise: known answers, independence of rows, and the right distributions."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import serving
from tfp_flows.serving.row_noise import threefry2x32

# From kat_vectors of Random123 (threefry2x32, 20 rounds): counter, key, answer.
KNOWN_ANSWERS = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_threefry_gives_the_known_answers(counter, key, answer):
    words = lambda pair: [tf.constant(v, tf.uint32) for v in pair]  # noqa: E731
    got = threefry2x32(words(key), words(counter))
    assert tuple(int(word) for word in got) == answer


@pytest.mark.parametrize("noise", [serving.row_uniform, serving.row_normal])
@pytest.mark.parametrize("n", [1, 4, 7])
def test_a_row_depends_on_its_seed_alone_bit_for_bit(noise, n):
    seeds = serving.seeds(5, 6)
    batch = noise(seeds, n).numpy()
    assert batch.shape == (6, n) and batch.dtype == np.float32
    alone = np.concatenate([noise(seeds[i : i + 1], n) for i in range(6)])
    np.testing.assert_array_equal(batch, alone)
    order = [3, 0, 5, 1, 4, 2, 2]
    np.testing.assert_array_equal(batch[order], noise(seeds[order], n))


def test_more_noise_begins_with_the_same_noise():
    seeds = serving.seeds(5, 3)
    few, many = serving.row_normal(seeds, 3), serving.row_normal(seeds, 8)
    np.testing.assert_array_equal(few, many[:, :3])


def test_all_bits_of_both_integers_count():
    base = np.array([123, 7], np.int64)
    seeds = [base]
    for word in (0, 1):
        for bit in range(63):
            other = base.copy()
            other[word] ^= np.int64(1) << np.int64(bit)
            seeds.append(other)
    seeds += [-base, base[::-1]]
    noise = serving.row_uniform(np.stack(seeds), 2).numpy()
    assert len(np.unique(noise, axis=0)) == len(seeds)


def test_uniforms_are_strictly_inside_for_the_extreme_words():
    from tfp_flows.serving.row_noise import _to_uniform

    low, high = _to_uniform(tf.constant([0, 0xFFFFFFFF], tf.uint32)).numpy()
    assert low == 2.0**-24 and high == 1.0 - 2.0**-24


def _rows(noise):
    return noise(serving.seeds(1, 2000), 50).numpy().astype(np.float64)


def _distance(sample, cdf):
    """The Kolmogorov-Smirnov distance of a sample."""
    cdf = np.sort(cdf(sample.ravel()))
    steps = np.arange(len(cdf) + 1) / len(cdf)
    return max(np.max(steps[1:] - cdf), np.max(cdf - steps[:-1]))


def test_row_normals_are_normal():
    sample = _rows(serving.row_normal)
    count = sample.size
    normal_cdf = np.vectorize(lambda v: 0.5 * math.erfc(-v / math.sqrt(2.0)))
    # 1.95 / sqrt(n) is the distance that one sample of a thousand exceeds.
    assert _distance(sample, normal_cdf) < 1.95 / math.sqrt(count)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = np.mean(sample**power) - moment
        assert abs(error) < 4 * math.sqrt(variance / count)
    tail = np.mean(np.abs(sample) > 3.0)
    assert abs(tail - 0.0027) < 4 * math.sqrt(0.0027 / count)


def test_row_uniforms_are_uniform():
    sample = _rows(serving.row_uniform)
    assert _distance(sample, lambda v: v) < 1.95 / math.sqrt(sample.size)


@pytest.mark.parametrize("noise", [serving.row_uniform, serving.row_normal])
def test_rows_and_columns_are_uncorrelated(noise):
    sample = _rows(noise)
    for table in (sample, sample[:50].T):
        correlation = np.corrcoef(table, rowvar=False) - np.eye(table.shape[1])
        assert np.abs(correlation).max() < 5.5 / math.sqrt(len(table))


@pytest.mark.parametrize(
    "seed", [np.zeros([3, 2], np.int32), np.zeros([3, 3], np.int64), np.int64(1)]
)
def test_other_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="int64 \\[B, 2\\].*serving.seeds"):
        serving.row_normal(seed, 2)


def test_seeds_count_from_start_and_do_not_depend_on_n():
    seeds = serving.seeds(-7, 5)
    assert seeds.dtype == np.int64 and seeds.tolist() == [[-7, i] for i in range(5)]
    np.testing.assert_array_equal(serving.seeds(-7, 2, start=3), seeds[3:])
    assert serving.seeds(1, 0).shape == (0, 2)
    assert serving.seeds(2**63 - 1, 1).tolist() == [[2**63 - 1, 0]]


@pytest.mark.parametrize(
    "arguments",
    [(0.5, 1), (0, -1), (0, True), (2**63, 1), (0, 1, -1), (0, 2, 2**63 - 1)],
)
def test_seeds_refuses_what_is_no_integer_in_range(arguments):
    with pytest.raises(ValueError, match="seeds needs an integer"):
        serving.seeds(*arguments)
