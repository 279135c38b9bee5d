"""The first fit adapts to a uniform sample of its data, never to their head."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import FlowModel, flows
from tfp_flows.training import sampling


def by_year(count=6000):
    """Rows sorted by year, whose values grow with it."""
    rng = np.random.default_rng(0)
    year = np.sort(rng.integers(2000, 2020, count)).astype(np.float32)
    y = 50 * (year - 2000) + rng.normal(size=count)
    return np.stack([year, y], axis=1).astype(np.float32)


class Batches(keras.utils.PyDataset):
    """A Keras data set of the same rows."""

    def __init__(self, x):
        super().__init__()
        self._x = x

    def __len__(self):
        return len(self._x) // 100

    def __getitem__(self, i):
        return self._x[100 * i : 100 * (i + 1)]


def batched(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(100)


FORMS = {
    "array": (lambda x: x, {"batch_size": 100}),
    "tensor": (tf.constant, {"batch_size": 100}),
    "data set": (batched, {}),
    "endless data set": (lambda x: batched(x).repeat(), {"steps_per_epoch": 60}),
    "Keras data set": (Batches, {}),
}


def first_nll(x, **options):
    """Loss of an epoch that changes nothing after adapting."""
    model = FlowModel(flows.real_nvp((2,), 2, (8,)))
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    return model.fit(x, verbose=0, shuffle=False, **options).history["nll"][0]


def test_sorted_rows_adapt_as_shuffled_ones():
    x = by_year()
    shuffled = np.random.default_rng(1).permutation(x)
    expected = first_nll(shuffled, batch_size=100)
    for form, (make, options) in FORMS.items():
        found = first_nll(make(x), **options)
        np.testing.assert_allclose(found, expected, atol=0.3, err_msg=form)


def test_contexts_stay_with_their_rows():
    x = by_year()
    flow = flows.real_nvp((2,), 1, (4,), context_shape=(1,))
    pairs = batched((x[:, :1], x))
    drawn = sampling.uniform(flow, iter(pairs), 500, seed=3)
    np.testing.assert_array_equal(drawn.context[:, 0], drawn.x[:, 0])
    np.testing.assert_array_equal(drawn.x, x[drawn.rows])
    assert len(set(drawn.rows)) == 500


def test_every_row_is_as_likely_and_the_seed_decides():
    x = np.arange(40, dtype=np.float32)[:, None]
    flow = flows.maf((1,), 1, (4,))
    draw = lambda seed: sampling.uniform(flow, iter([x[:7], x[7:]]), 10, seed).rows  # noqa: E731
    counts = np.bincount(np.concatenate([draw(seed) for seed in range(2000)]))
    # 2,000 draws of probability 1/4: mean 500, standard deviation 19.
    assert np.abs(counts - 500).max() < 5 * 19
    np.testing.assert_array_equal(draw(5), draw(5))


def test_rows_kept_for_validation_are_not_seen():
    x = by_year(1000)
    x[800:] = 1e6
    seen = []
    model = FlowModel(flows.real_nvp((2,), 2, (8,)))
    model.flow.adapt = lambda data: seen.append(data.numpy())
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    model.fit(x, validation_split=0.2, verbose=0)
    assert seen[0].shape == (800, 2)
    assert seen[0].max() < 1e5


def test_data_without_end_are_refused_at_once():
    model = FlowModel(flows.real_nvp((2,), 2, (8,)))
    model.compile("adam")
    with pytest.raises(ValueError, match="steps_per_epoch"):
        model.fit(batched(by_year()).repeat(), verbose=0)


def test_rows_that_are_not_finite_are_named():
    x = by_year(100)
    x[[7, 70], 0] = np.nan
    model = FlowModel(flows.real_nvp((2,), 2, (8,)))
    model.compile("adam")
    with pytest.raises(ValueError, match="2 of the 100 .* row 7, 70 of"):
        model.fit(x, verbose=0)


def test_skipping_adapts_to_the_rows_that_are_finite():
    x = by_year(100)
    x[7] = np.nan
    model = FlowModel(flows.real_nvp((2,), 2, (8,)), on_nonfinite="skip")
    model.compile("adam", jit_compile=False)
    assert np.isfinite(model.fit(x, verbose=0).history["nll"]).all()


def shuffled(x, again):
    rows = tf.data.Dataset.from_tensor_slices(x)
    return rows.shuffle(len(x), seed=1, reshuffle_each_iteration=again).batch(50)


@pytest.mark.parametrize("is_adapted", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_rows_have_numbers_only_where_passes_have_one_order(again, is_adapted):
    x = np.random.default_rng(0).normal(size=(300, 2)).astype("float32")
    bad, data = x.copy(), None
    bad[123] = 7.5, np.nan
    data = shuffled(bad, again)
    model = FlowModel(flows.real_nvp((2,), 1, (4,)))
    model.compile("adam", jit_compile=False)
    if is_adapted:
        model.fit(shuffled(x, again), shuffle=False, verbose=0)
    with pytest.raises(ValueError, match=r"7\.5, nan|row \d") as error:
        model.fit(data, shuffle=False, verbose=0)
    text = str(error.value)
    if again:
        assert "[7.5, nan]" in text and "no numbers" in text and "row 1" not in text
        assert getattr(error.value, "rows", ()) == ()
        return
    rows = np.concatenate(list(data.as_numpy_iterator()))
    place = int(np.flatnonzero(np.isnan(rows).any(axis=1))[0])
    assert f"row {place} " in text and "no numbers" not in text


def test_values_beyond_the_support_have_no_number_either():
    x = np.random.default_rng(0).uniform(1, 2, [100, 2]).astype("float32")
    x[33] = -1.0
    model = FlowModel(flows.gaussian((2,), support="positive"))
    model.compile("adam", jit_compile=False)
    with pytest.raises(ValueError, match="examples drawn for adapting .*no numbers"):
        model.fit(shuffled(x, True), shuffle=False, verbose=0)
    model.flow.adapt(x[:20])
    with pytest.raises(
        ValueError, match=r"no numbers.* \[-1, -1\].*beyond the support"
    ):
        model.fit(shuffled(x, True), shuffle=False, verbose=0)
