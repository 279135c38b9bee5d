"""Checksums: nothing in a version's directory changes unnoticed."""

import os
import shutil
import subprocess

import numpy as np
import pytest

from tfp_flows.serving import manifest

FILES = ("saved_model.pb", "variables/a b", "assets.extra/card.json")


@pytest.fixture
def directory(tmp_path):
    rng = np.random.default_rng(0)
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(rng.bytes(200))
    manifest.write(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [*FILES, manifest.FILE_NAME])
def test_every_flipped_bit_is_noticed(directory, name):
    rng, path = np.random.default_rng(1), directory / name
    good = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(good)
        damaged[rng.integers(len(good))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        assert "damaged" in manifest.problem(directory)
    path.write_bytes(good)
    assert manifest.problem(directory) is None


def test_files_that_are_missing_or_were_added_are_noticed(directory):
    (directory / "variables" / "more").write_text("")
    assert manifest.problem(directory).startswith("variables/more is not in")
    (directory / "variables" / "more").unlink()
    (directory / FILES[0]).unlink()
    assert manifest.problem(directory).startswith("'saved_model.pb' is missing")
    (directory / manifest.FILE_NAME).unlink()
    assert "export again" in manifest.problem(directory)


def test_what_is_no_file_is_an_error_and_no_wait(directory):
    links = [lambda path, to=to: path.symlink_to(to) for to in ("nowhere", "variables")]
    for make in (os.mkfifo, *links):
        make(directory / "odd")
        with pytest.raises(ValueError, match="'odd' is no plain file"):
            manifest.problem(directory)
        (directory / "odd").unlink()


def test_it_is_what_sha256sum_reads(directory):
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    command = ["sha256sum", "--check", "--strict", manifest.FILE_NAME]
    assert subprocess.run(command, cwd=directory, capture_output=True).returncode == 0
