"""Checkpoints on disk: nothing damaged is ever read, nothing whole is lost."""

import errno
import os

import numpy as np
import pytest

from train import files, snapshots

FILES = ("weights.npz", "best.npz", "state.json", "manifest.json")


def snapshot(value):
    arrays = {
        "weights": [np.full((2, 3), value, np.float32), np.array(value)],
        "best": [],
    }
    return snapshots.Snapshot(arrays, {"epoch": value, "loss": float("inf")})


def saved(directory, *values):
    lines = []
    store = snapshots.Store(directory, lines.append)
    for value in values:
        store.save(snapshot(value))
    return store, lines


def assert_holds(found, value):
    wanted = snapshot(value)
    assert found.state == wanted.state
    assert found.arrays.keys() == wanted.arrays.keys()
    for name, arrays in wanted.arrays.items():
        for one, two in zip(arrays, found.arrays[name], strict=True):
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_newest_of_three_is_used(tmp_path):
    store, lines = saved(tmp_path, 1, 2, 3, 4, 5)
    assert names(tmp_path) == ["00000003", "00000004", "00000005"]
    assert_holds(store.newest(), 5)
    assert not lines


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path):
    path.write_bytes(b"")


def longer(path):
    path.write_bytes(path.read_bytes() + b" ")


def one_bit_flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def missing(path):
    path.unlink()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", [cut, emptied, longer, one_bit_flipped, missing])
def test_a_damaged_one_is_named_and_set_aside(tmp_path, name, harm):
    store, lines = saved(tmp_path, 1, 2, 3)
    harm(tmp_path / "00000003" / name)
    assert_holds(store.newest(), 2)
    (line,) = lines
    assert f"{tmp_path / '00000003'} is damaged: {name}" in line
    assert names(tmp_path) == ["00000001", "00000002", "damaged-00000003"]
    # The number of the damaged one is not used again, and nobody speaks of it again.
    assert store.save(snapshot(4)).name == "00000004"
    assert_holds(store.newest(), 4)
    assert len(lines) == 1


def test_no_flipped_bit_of_a_manifest_is_overlooked(tmp_path):
    saved(tmp_path, 1)
    path = tmp_path / "00000001" / "manifest.json"
    content = path.read_bytes()
    for place in range(len(content)):
        harmed = bytearray(content)
        harmed[place] ^= 1 << place % 8
        path.write_bytes(harmed)
        assert snapshots.damage_of(path.parent), place
    path.write_bytes(content)
    assert snapshots.damage_of(path.parent) is None


def test_none_whole_is_an_error_each_time(tmp_path):
    store, lines = saved(tmp_path, 1, 2)
    for number in (1, 2):
        cut(tmp_path / f"0000000{number}" / "weights.npz")
    for _ in range(2):
        with pytest.raises(ValueError, match="No checkpoint below .* is whole"):
            store.newest()
    assert len(lines) == 2
    assert names(tmp_path) == ["damaged-00000001", "damaged-00000002"]


def test_no_checkpoint_is_none(tmp_path):
    assert snapshots.Store(tmp_path / "checkpoints").newest() is None


@pytest.mark.parametrize("point", ["savez", "sync", "rename"])
def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, point):
    store, _ = saved(tmp_path, 1, 2)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if point == "savez":
            patch.setattr(np, "savez", full)
        elif point == "sync":
            patch.setattr(files, "sync", full)
        else:
            patch.setattr("pathlib.Path.rename", full)
        with pytest.raises(OSError, match="No space left"):
            store.save(snapshot(3))
    assert names(tmp_path) == ["00000001", "00000002"]
    assert_holds(store.newest(), 2)
    assert_holds(snapshots.Store(tmp_path).newest(), 2)


def test_what_a_kill_left_is_cleared_away(tmp_path):
    store, lines = saved(tmp_path, 1)
    (tmp_path / ".part-00000002").mkdir()
    (tmp_path / ".part-00000002" / "weights.npz").write_bytes(b"PK")
    assert_holds(store.newest(), 1)
    assert names(tmp_path) == ["00000001"]
    assert not lines


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "report.md"
    files.write_text(path, "one")

    def half(part):
        part.write_text("tw")
        raise RuntimeError("... error message = 'No space left on device' ...")

    with pytest.raises(OSError, match="report.md") as caught:
        files.write_whole(path, half)
    assert files.is_full(caught.value)
    assert path.read_text() == "one"
    assert names(tmp_path) == ["report.md"]


def test_an_error_that_comes_from_a_full_disk_is_one():
    try:
        try:
            raise OSError(errno.ENOSPC, "")
        except OSError as error:
            raise RuntimeError("could not save") from error
    except RuntimeError as error:
        assert files.is_full(error)
    assert not files.is_full(OSError(errno.EACCES, "Permission denied"))
