"""Every format gives the numbers that the flow itself gives."""

import gzip

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("apache_beam")

import pyarrow as pa  # noqa: E402
from pyarrow import parquet  # noqa: E402

from tests.scoring import files  # noqa: E402


def _csv(path, rows):
    lines = [",".join(["id", "a", "b", "c", "d"])]
    lines += [f"k{i}," + ",".join(map(str, row)) for i, row in enumerate(rows.tolist())]
    path.write_text("\n".join(lines) + "\n")


def _zipped_csv(path, rows):
    _csv(path, rows)
    path.write_bytes(gzip.compress(path.read_bytes()))


def _parquet_of_lists(path, rows):
    ids = [f"k{i}" for i in range(len(rows))]
    table = pa.table({"id": ids, "x": rows.tolist()})
    parquet.write_table(table, path, row_group_size=17)


def _parquet_of_columns(path, rows):
    ids = [f"k{i}" for i in range(len(rows))]
    columns = dict(zip("abcd", rows.T, strict=True))
    parquet.write_table(pa.table({**columns, "id": ids}), path)


def _tfrecord(path, rows):
    examples = [{"id": f"k{i}".encode(), "x": row} for i, row in enumerate(rows)]
    files.write_tfrecord(path, examples)


FORMATS = {
    "rows.csv": _csv,
    "rows.csv.gz": _zipped_csv,
    "lists.parquet": _parquet_of_lists,
    "columns.parquet": _parquet_of_columns,
    "set-train.tfrecord-00000-of-00001": _tfrecord,
}


@pytest.mark.parametrize("name", FORMATS)
def test_log_prob_is_that_of_the_flow(name, exported, rows, run, tmp_path):
    model = exported("vector")
    FORMATS[name](tmp_path / name, rows)
    found, bad, summary = run(model, tmp_path / name, key="id", batch_size=16)
    assert summary == (len(rows), 0) and not bad
    got = np.array([found[f"k{i}"]["log_prob"] for i in range(len(rows))])
    np.testing.assert_allclose(got, model.flow.log_prob(rows), rtol=1e-5, atol=1e-5)
    assert all(row["valid"] for row in found.values())


def test_rows_without_a_key_are_named_by_file_and_number(exported, rows, run, tmp_path):
    model, path = exported("vector"), tmp_path / "rows.npy"
    np.save(path, rows.astype(np.float64))
    found, _, _ = run(model, path, batch_size=2)  # two pieces
    got = np.array([found[f"{path}:{i}"]["log_prob"] for i in range(len(rows))])
    np.testing.assert_allclose(got, model.flow.log_prob(rows), rtol=1e-5, atol=1e-5)


def test_encode_gives_lists(exported, rows, run, tmp_path):
    model, path = exported("vector"), tmp_path / "rows.csv"
    _csv(path, rows)
    found, _, _ = run(model, path, "encode", key="id")
    z = np.array([found[f"k{i}"]["z"] for i in range(len(rows))])
    np.testing.assert_allclose(z, model.flow.encode(rows), rtol=1e-5, atol=1e-5)


def test_a_context_has_columns_of_its_own(exported, rows, run, tmp_path):
    model, path = exported("conditional"), tmp_path / "rows.parquet"
    context = rows[:, ::-2]
    columns = dict(zip("abcd", rows.T, strict=True))
    columns |= {"u": context[:, 0], "v": context[:, 1]}
    parquet.write_table(pa.table(columns), path)
    found, _, _ = run(model, path, context=("u", "v"))
    got = np.array([found[f"{path}:{i}"]["log_prob"] for i in range(len(rows))])
    wanted = model.flow.log_prob(rows, context=context)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_integers_of_an_autoregressive_model_have_their_probability(
    exported, run, tmp_path
):
    model, path = exported("autoregressive"), tmp_path / "rows.npy"
    rows = np.random.default_rng(4).integers(0, 5, (9, 4, 1))
    np.save(path, rows)
    found, _, _ = run(model, path)
    got = np.array([found[f"{path}:{i}"]["log_prob"] for i in range(len(rows))])
    wanted = model.flow.log_prob(rows.astype(np.int32))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_a_model_with_an_auxiliary_variable_takes_its_noise(
    exported, rows, run, tmp_path
):
    path = tmp_path / "rows.npy"
    np.save(path, rows)
    found, bad, _ = run(exported("auxiliary"), path)
    assert len(found) == len(rows) and not bad


def test_encoded_images_are_decoded(exported, run, tmp_path):
    model, path = exported("image"), tmp_path / "digits-test.tfrecord-00000-of-00001"
    images = np.random.default_rng(1).integers(0, 17, (6, 4, 4, 1), np.uint8)
    png = [tf.io.encode_png(image).numpy() for image in images]
    files.write_tfrecord(path, [{"image": p, "label": [3]} for p in png])
    encoded, _, _ = run(model, path, "bits_per_dim", x=("image",))
    plain = tmp_path / "digits.npy"
    np.save(plain, images.astype(np.int64))
    numbers, _, _ = run(model, plain, "bits_per_dim")
    for i in range(len(images)):
        bits = encoded[f"{path}:{i}"]["bits_per_dim"]
        assert bits == pytest.approx(numbers[f"{plain}:{i}"]["bits_per_dim"], rel=1e-5)


def test_tfrecord_holds_what_parquet_holds(exported, rows, run, tmp_path):
    from tfp_flows import scoring

    model, path = exported("vector"), tmp_path / "rows.csv"
    _csv(path, rows)
    found, _, _ = run(model, path, "encode", key="id")
    scoring.score(
        *(model.directory, str(path), str(tmp_path / "t")),
        signature="encode",
        key="id",
        output_format="tfrecord",
        flags=files.HERE,
    )
    read = files.read_tfrecord(tmp_path.glob("t-*.tfrecord"))
    assert len(read) == len(rows)
    for example in read:
        row = found[example["key"].bytes_list.value[0].decode()]
        z = np.array(example["z"].float_list.value)
        np.testing.assert_allclose(z, row["z"], rtol=1e-6, atol=1e-6)
        assert example["valid"].int64_list.value == [1]
