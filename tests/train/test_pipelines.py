"""Data of the job: real builders, fixed splits, refusals that help."""

import io
import pathlib

import numpy as np
import pandas as pd
import pytest
import tensorflow_datasets as tfds

from train import pipelines
from train.configs import digits_real_nvp, two_moons
from train.pipelines.digits import Digits

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("pipelines")

SHARED = pathlib.Path(__file__).parents[2] / ".." / "shared" / "tensorflow_datasets"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


def events(part):
    return part.head(len(part)).x


def contexts(part):
    return part.head(len(part)).context


def config(**fields):
    made = digits_real_nvp.get_config().data
    made.update(fields)
    return made


def test_the_digits_are_a_prepared_tfds_data_set(workdir):
    splits = pipelines.load(config(), workdir)
    builder = Digits(data_dir=str(workdir / "data"))
    assert isinstance(builder, tfds.core.DatasetBuilder)
    assert builder.is_prepared()
    assert [len(p) for p in (splits.train, splits.valid, splits.test)] == [
        1297,
        250,
        250,
    ]
    assert splits.event_shape == (8, 8, 1)
    assert splits.num_values == 17


def test_every_digit_is_in_exactly_one_part(workdir):
    from sklearn.datasets import load_digits

    splits = pipelines.load(config(), workdir)
    parts = [
        events(p).reshape(len(p), 64) for p in (splits.train, splits.valid, splits.test)
    ]
    ours = np.concatenate(parts)
    theirs = load_digits().data
    assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs.astype(ours.dtype)))


def test_the_digits_are_in_memory_whatever_the_cache(tmp_path, workdir):
    known = pipelines.load(config(), workdir).test
    test = pipelines.load(config(cache="none"), tmp_path).test
    for path in tmp_path.rglob("*.tfrecord*"):  # as of a worker's own directory
        path.unlink()
    np.testing.assert_array_equal(events(test), events(known))


def test_labels_as_context_are_one_hot(workdir):
    splits = pipelines.load(config(context=True), workdir)
    assert splits.context_shape == (10,)
    np.testing.assert_array_equal(contexts(splits.train).sum(axis=1), 1.0)


def test_the_order_of_an_epoch_is_a_function_of_seed_and_number(workdir):
    part = pipelines.load(config(), workdir).test

    def some(seed, first, last):
        n = part.steps_per_epoch(100)
        batches = list(part.steps(100, seed, first * n, last * n))
        assert len(batches) == (last - first) * n
        return np.concatenate([b.numpy() for b in batches])

    both = some(0, 3, 5)
    np.testing.assert_array_equal(both[250:], some(0, 4, 5))
    assert (both[:250] != both[250:]).any()
    assert (some(0, 4, 5) != some(1, 4, 5)).any()
    assert sorted(both[:250].reshape(250, -1).sum(1)) == sorted(
        events(part).reshape(250, -1).sum(1)
    )


def test_half_of_the_images_are_mirrored_anew_in_each_epoch(workdir):
    part = pipelines.load(config(context=True), workdir).test

    def epoch(number, flip):
        n = part.steps_per_epoch(100)
        batches = part.steps(100, 0, number * n, (number + 1) * n, flip)
        return [np.concatenate(values) for values in zip(*batches, strict=True)]

    shares = []
    for number in (0, 1):
        (labels, plain), (same, mirrored) = epoch(number, False), epoch(number, True)
        np.testing.assert_array_equal(labels, same)
        differs = (plain != mirrored).any(axis=(1, 2, 3))
        np.testing.assert_array_equal(mirrored[differs], plain[differs][:, :, ::-1])
        assert 0.3 < differs.mean() < 0.7
        shares.append(differs)
    assert (shares[0] != shares[1]).any()
    np.testing.assert_array_equal(epoch(1, True)[1], epoch(1, True)[1])


def test_two_moons_have_their_label_as_context(workdir):
    splits = pipelines.load(two_moons.get_config().data, workdir)
    assert splits.event_shape == (2,)
    assert splits.context_shape == (1,)
    assert splits.num_values is None
    context, x = next(iter(splits.train.batches(7)))
    assert context.shape == (7, 1)
    assert x.shape == (7, 2)


@pytest.mark.parametrize("header", ["", "a,b,c\n"])
def test_tables_are_read_from_csv_and_npy(tmp_path, header):
    rows = np.random.default_rng(0).normal(size=(100, 3))
    text = "\n".join(",".join(map(repr, map(float, row))) for row in rows)
    (tmp_path / "rows.csv").write_text(header + text + "\n")
    np.save(tmp_path / "rows.npy", rows)
    for name in ("csv", "npy"):
        fields = config(
            name=name, path=str(tmp_path / f"rows.{name}"), num_valid=10, num_test=20
        )
        splits = pipelines.load(fields, tmp_path)
        assert len(splits.train) == 70
        every = np.concatenate(
            [events(p) for p in (splits.train, splits.valid, splits.test)]
        )
        np.testing.assert_allclose(np.sort(every, 0), np.sort(rows, 0), rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "nosuch"}, "no data set 'nosuch'"),
        ({"name": "mnist", "data_dir": "/nowhere"}, "not prepared in '/nowhere'"),
        ({"name": "csv"}, "There is no file ''"),
        ({"name": "npy", "path": "/none.npy"}, "There is no file '/none.npy'"),
        ({"name": "two_moons", "flip": True}, "mirrors images"),
        ({"name": "two_moons", "num_train": 0}, "too few"),
        ({"name": "two_moons", "num_values": 32}, "holds real numbers"),
        ({"name": "two_moons", "binarize": "threshold"}, "holds real numbers"),
        ({"binarize": "half"}, "'threshold' or 'stochastic', got 'half'"),
        ({"binarize": "threshold", "num_values": 17}, "Set num_values to 0"),
        ({"name": "ar_process", "context": True}, "no labels to condition on"),
        ({"name": "ar_process", "num_steps": 2}, "needs longer sequences"),
        ({"name": "ar_process", "coefficients": (1.0, 0.5)}, "not stationary"),
        ({"name": "digits", "num_values": 16}, "0 for all 17 values of 'digits'"),
        ({"name": "mnist", "num_values": 512}, "power of two from 2 to 256"),
        ({"name": "mnist", "num_values": 48}, "power of two from 2 to 256"),
        ({"name": "mnist", "num_values": 1}, "power of two from 2 to 256"),
        ({"name": "mnist", "num_values": -32}, "power of two from 2 to 256"),
        ({"name": "two_moons", "num_valid": 0}, "valid part of 'two_moons' is empty"),
        ({"cache": "disk"}, "must be 'memory', or 'none' .*, got 'disk'"),
    ],
)
def test_missing_and_empty_data_are_refused(workdir, fields, message):
    with pytest.raises(ValueError, match=message):
        pipelines.load(config(**{"num_test": 5, **fields}), workdir)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", "a,b\n1,x\n", "no table of numbers"),
        ("rows.csv", "1,2\n3\n", "no table of numbers"),
        ("rows.csv", "1,nan\n3,4\n", "not finite"),
        ("rows.npy", "no array", "no readable .npy"),
        ("rows.csv", "", "holds no events"),
        ("rows.csv", "a,b\n", "holds no events"),
        ("rows.csv", "1\n2\n3\n", "one number an event"),
        ("rows.csv", "1,5\n2,5\n4,5\n", r"constant in the columns \[1\]"),
        ("rows.csv", "1,2\n2,4\n3,6\n0,0\n", "only 1 are linearly independent"),
    ],
)
def test_broken_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    fields = config(name=name[-3:], path=str(tmp_path / name))
    with pytest.raises(ValueError, match=message):
        pipelines.load(fields, tmp_path)


PEOPLE = """name,age,sex,height,hour
Ann,31,1,1.63,23.5
Bob,,2,1.81,0.5
Cid,58,2,,1.25
Dot,44,1,1.7,22.0
"""


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_have_columns_of_any_kinds(tmp_path, suffix):
    path = tmp_path / f"people.{suffix}"
    if suffix == "csv":
        path.write_text(PEOPLE)
    else:
        pd.read_csv(io.StringIO(PEOPLE)).to_parquet(path)
    kinds = "hour: periodic 24, sex: category"
    fields = {"name": "table", "path": str(path), "num_valid": 1, "num_test": 1}
    given = {"kinds": kinds, "condition_on": ("sex",)}
    splits = pipelines.load(config(**fields, **given), tmp_path)
    columns = splits.columns
    assert columns.names == ["sex", "name", "age", "height", "hour"]
    assert [c.kind for c in columns][:3] == ["category", "category", "integer"]
    assert splits.event_shape == (4,) and splits.context_shape == (1,)
    parts = (splits.train, splits.valid, splits.test)
    x = np.concatenate([events(p) for p in parts])
    names = columns.without("sex").decode(x)
    by_name = dict(zip(names["name"], names["age"], strict=True))
    assert np.isnan(by_name.pop("Bob")) and by_name == {"Ann": 31, "Cid": 58, "Dot": 44}


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        ("", {}, "is no readable table"),
        ("a,b\n", {}, "holds no rows"),
        ("a,b\n1,2\n1,3\n1,4\n", {}, r"as float32, in all rows of \['a'\]"),
        (PEOPLE, {"kinds": "sex category"}, "has 'sex category', wanted name: kind"),
        (PEOPLE, {"kinds": "sx: category"}, r"names the columns \['sx'\]"),
        (PEOPLE, {"condition_on": ("sx",)}, r"no column \['sx'\] among"),
        (PEOPLE, {"kinds": "sex: boolean"}, "Column 'sex'.*2.* is none of its values"),
    ],
)
def test_broken_tables_are_refused(tmp_path, content, fields, message):
    (tmp_path / "t.csv").write_text(content)
    fields = config(name="table", path=str(tmp_path / "t.csv"), **fields)
    with pytest.raises(ValueError, match=message):
        pipelines.load(fields, tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the prepared MNIST")
def test_mnist_comes_through_tfds(tmp_path):
    fields = config(name="mnist", data_dir=str(SHARED), num_valid=5000, num_test=1000)
    splits = pipelines.load(fields, tmp_path)
    assert splits.event_shape == (28, 28, 1)
    assert splits.num_values == 256
    assert [len(p) for p in (splits.train, splits.valid, splits.test)] == [
        55000,
        5000,
        1000,
    ]


class EightBits(Digits):
    """The digits with all values that a byte can have."""

    def _generate_examples(self, start, end):
        for key, example in super()._generate_examples(start, end):
            image = example["image"] * 15 + np.uint8(key % 16)
            yield key, {**example, "image": image}


@pytest.mark.parametrize("num_values", [2, 32, 256])
def test_grey_levels_of_8_bits_are_reduced(monkeypatch, tmp_path_factory, num_values):
    eight = EightBits(data_dir=str(tmp_path_factory.getbasetemp() / "eight_bits"))
    eight.download_and_prepare()
    monkeypatch.setattr(tfds, "builder", lambda *args, **kwargs: eight)
    full = pipelines.load(config(name="eight"), "")
    splits = pipelines.load(config(name="eight", num_values=num_values), "")
    assert full.num_values == 256 and splits.num_values == num_values
    for part, stored in ((splits.train, full.train), (splits.valid, full.valid)):
        levels = np.floor(events(stored) / (256 / num_values))
        np.testing.assert_array_equal(events(part), levels)
        assert events(part).dtype == np.uint8
    assert len(np.unique(events(splits.train))) == min(num_values, 256)


def test_images_become_binary_at_half_of_their_range(workdir):
    grey = events(pipelines.load(config(), workdir).train)
    splits = pipelines.load(config(binarize="threshold"), workdir)
    assert splits.num_values == 2 and events(splits.train).dtype == np.uint8
    np.testing.assert_array_equal(events(splits.train), grey >= 8)


def test_images_become_binary_once_with_the_probability_of_their_grey(workdir):
    grey = pipelines.load(config(), workdir)
    splits = pipelines.load(config(binarize="stochastic", seed=3), workdir)
    again = pipelines.load(config(binarize="stochastic", seed=3), workdir)
    other = pipelines.load(config(binarize="stochastic", seed=4), workdir)
    assert splits.num_values == 2
    np.testing.assert_array_equal(events(splits.train), events(again.train))
    assert (events(splits.train) != events(other.train)).any()
    for level in range(17):
        chosen = events(splits.train)[events(grey.train) == level]
        error = np.sqrt(0.25 / len(chosen))
        np.testing.assert_allclose(chosen.mean(), level / 16, atol=4 * error)
        if level in (0, 16):
            assert (chosen == level // 16).all()
    half = (events(grey.valid) == 8) & (events(grey.test) == 8)
    same = events(splits.valid) == events(splits.test)  # each with noise of its own
    assert 0.3 < same[half].mean() < 0.7


def test_a_process_gives_its_parts_and_what_is_known_of_it(workdir):
    fields = config(name="ar_process", num_train=300, num_test=200, num_steps=50)
    splits = pipelines.load(fields, workdir)
    assert splits.event_shape == (50, 1)
    assert [len(p) for p in (splits.train, splits.valid, splits.test)] == [
        300,
        250,
        200,
    ]
    assert (events(splits.train)[:200] != events(splits.test)).all()
    known = np.log(0.5) + 0.5 * np.log(2 * np.pi * np.e)
    np.testing.assert_allclose(splits.process.entropy_rate, known)
    nll = -splits.process.log_prob(events(splits.train)) / 50
    np.testing.assert_allclose(nll.mean(), known, atol=0.06)


def test_an_image_data_set_must_have_images_of_one_size(monkeypatch, tmp_path):
    class Ragged(Digits):
        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {"image": tfds.features.Image(shape=(None, None, 3))}
                )
            )

    ragged = Ragged(data_dir=str(tmp_path))
    monkeypatch.setattr(ragged, "is_prepared", lambda: True)
    monkeypatch.setattr(tfds, "builder", lambda *args, **kwargs: ragged)
    with pytest.raises(ValueError, match="uint8 images .H, W, C. of one size"):
        pipelines.load(config(name="ragged"), tmp_path)


def test_labels_must_be_there_to_condition_on(monkeypatch, tmp_path):
    class Unlabelled(Digits):
        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {"image": tfds.features.Image(shape=(8, 8, 1))}
                )
            )

    unlabelled = Unlabelled(data_dir=str(tmp_path))
    monkeypatch.setattr(unlabelled, "is_prepared", lambda: True)
    monkeypatch.setattr(tfds, "builder", lambda *args, **kwargs: unlabelled)
    with pytest.raises(ValueError, match="no class 'label'"):
        pipelines.load(config(name="unlabelled", context=True), tmp_path)
