"""Bad rows are told with their reason, change no other row and stop no job."""

import gzip

import numpy as np
import pytest

pytest.importorskip("apache_beam")

import pyarrow as pa  # noqa: E402
from pyarrow import parquet  # noqa: E402

from tests.scoring import files  # noqa: E402
from tfp_flows.scoring.blocks import Invalid  # noqa: E402
from tfp_flows.scoring.readers import csv  # noqa: E402


def test_of_csv(exported, run, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "id,a,b,c,d\n0,1,2,3,4\n1,1,2,3\n2,1,2,x,4\n3,1,2,,4\n,1,2,3,4\n"
        "5,1,nan,3,4\n6,1,2,3,1e39\n7,1,2,3,4\n"
    )
    found, bad, summary = run(exported("vector"), path, key="id")
    reasons = {name: line["reason"] for name, line in bad.items()}
    assert reasons == {
        "a.csv:1": "4 columns, the header has 5",
        "a.csv:2": "'x' in column 'c' is no number",
        "a.csv:3": "nothing in column 'c'",
        "a.csv:4": "no key in column 'id'",
        "a.csv:5": "x holds NaN or a number beyond float32",
        "a.csv:6": "x holds NaN or a number beyond float32",
    }
    assert [bad[f"a.csv:{i}"]["key"] for i in range(1, 7)] == [
        *(None, "2", "3", None, "5", "6")
    ]
    assert {key: row["valid"] for key, row in found.items()} == {
        **{"0": True, "7": True},
        **{"5": False, "6": False},  # the model was asked
    }
    assert found["0"]["log_prob"] == pytest.approx(found["7"]["log_prob"], rel=1e-6)
    assert np.isnan(found["5"]["log_prob"])
    assert summary == (4, 6)


def test_of_tfrecord(exported, rows, run, tmp_path):
    path = tmp_path / "a.tfrecord"
    good = {"x": rows[0]}
    files.write_tfrecord(
        path, [good, b"\xff\xff", {"x": rows[0][:3]}, {"y": rows[0]}, good, good]
    )
    size = len(files.example(good)) + 16
    content = bytearray(path.read_bytes())
    content[-size + 20] ^= 1  # in the last record
    path.write_bytes(content)
    found, bad, _ = run(exported("vector"), path)
    assert {name: line["reason"] for name, line in bad.items()} == {
        "a.tfrecord:1": "the record is no tf.train.Example",
        "a.tfrecord:2": "3 numbers in column 'x', wanted 4",
        "a.tfrecord:3": "nothing in column 'x'",
        "a.tfrecord:5": "the record's checksum is wrong",
    }
    assert set(found) == {f"{path}:0", f"{path}:4"}


def test_of_parquet(exported, rows, run, tmp_path):
    path = tmp_path / "a.parquet"
    x = [rows[0].tolist(), None, [1.0, None, 2.0, 3.0], [1.0], rows[0].tolist()]
    parquet.write_table(pa.table({"x": x}), path)
    found, bad, _ = run(exported("vector"), path)
    assert set(found) == {f"{path}:0", f"{path}:4"}
    assert set(bad) == {"a.parquet:1", "a.parquet:2", "a.parquet:3"}
    assert bad["a.parquet:1"]["reason"] == "nothing in column 'x'"
    assert "is no number" in bad["a.parquet:2"]["reason"]


def test_of_integers(exported, run, tmp_path):
    path = tmp_path / "a.npy"
    np.save(
        path, np.array([[0, 1, 2, 16], [0, 1, 2.5, 3], [0, 0, 0, 17], [-1, 0, 0, 0]])
    )
    found, bad, _ = run(exported("digits"), path, "bits_per_dim")
    assert bad["a.npy:1"]["reason"] == "2.5 in column 'x' is no int32"
    assert "out of its range" in bad["a.npy:2"]["reason"]
    assert "out of its range" in bad["a.npy:3"]["reason"]
    assert {key: row["valid"] for key, row in found.items()} == {
        **{f"{path}:0": True, f"{path}:2": False, f"{path}:3": False}
    }


def test_broken_lines_keep_their_place(monkeypatch, tmp_path):
    monkeypatch.setattr(csv, "_BYTES", 4096)  # many batches, and lines read ahead
    lines = [f"{i},1,2" if i % 100 == 7 else f"{i},1" for i in range(5000)]
    (tmp_path / "a.csv").write_text("\n".join(["a,b", *lines]))
    reader = csv.Csv()
    [piece] = reader.pieces(str(tmp_path / "a.csv"), 64)
    broken = set()
    for item in reader.read(piece, 64, ["a", "b"], None):
        if isinstance(item, Invalid):
            broken.add(int(item.row.rpartition(":")[2]))
        else:
            np.testing.assert_array_equal(item.positions, item.columns["a"])
            assert len(item.positions) <= 64
    assert broken == set(range(7, 5000, 100))


def _write(path, rows):
    if ".csv" in path.name:
        lines = ["a,b,c,d", *(",".join(map(str, row)) for row in rows.tolist())]
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
    elif path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".parquet":
        parquet.write_table(pa.table({"x": rows.tolist()}), path)
    else:
        files.write_tfrecord(path, [{"x": row} for row in rows])


@pytest.mark.parametrize("name", ["a.csv.gz", "a.npy", "a.parquet", "a.tfrecord"])
def test_a_damaged_file_does_not_stop_the_others(name, exported, rows, run, tmp_path):
    damaged, whole = tmp_path / name, tmp_path / f"b{name[1:]}"
    _write(whole, rows)
    content = whole.read_bytes()
    damaged.write_bytes(content[: len(content) // 2 + 3])
    found, bad, _ = run(exported("vector"), tmp_path / f"*{name[1:]}", batch_size=7)
    reasons = [line["reason"] for line in bad.values()]
    assert any("cannot be read from here on" in reason for reason in reasons)
    assert all(line["row"].startswith(str(damaged)) for line in bad.values())
    assert sum(key.startswith(str(whole)) for key in found) == len(rows)
    if name in ("a.npy", "a.tfrecord"):  # what stands before the damage is scored
        assert sum(key.startswith(str(damaged)) for key in found) > 15


def test_of_which_there_is_nothing_else(exported, run, tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c,d\nx,1,2,3\n1,2\n")
    found, bad, summary = run(exported("vector"), tmp_path / "a.csv")
    assert not found and len(bad) == 2
    assert summary == (0, 2)


def test_no_file_of_bad_rows_when_all_are_good(exported, rows, run, tmp_path):
    np.save(tmp_path / "a.npy", rows)
    _, bad, summary = run(exported("vector"), tmp_path / "a.npy")
    assert not bad and summary.invalid == 0
    assert not list(tmp_path.glob("scores*/*invalid*"))
