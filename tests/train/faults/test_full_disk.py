"""A disk that is full: one line, and the same command goes on when there is room."""

import os
import subprocess

import pytest

from tests.train.faults import runs

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]


@pytest.fixture
def small_disk(tmp_path):
    """A directory of its own size, which a function changes."""
    place = tmp_path / "disk"
    place.mkdir()

    def resize(size, *options):
        options = ",".join([f"size={size}", *options])
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    if os.geteuid() or resize("100k"):
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield place, lambda size: resize(size, "remount")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_one_line_and_loses_nothing(small_disk, tmp_path):
    disk, resize = small_disk
    workdir, said = disk / "run", tmp_path / "said"
    said.mkdir()
    for size, where in (("100k", "epoch 0"), ("4m", "after the export")):
        assert resize(size) == 0
        process = runs.start(workdir, said=said / f"{size}.txt")
        code = process.wait(timeout=300)
        lines = (said / f"{size}.txt").read_text()
        assert runs.progress(workdir).startswith(where), lines
        assert code == (74 if size == "100k" else 0), lines
        errors = [line for line in lines.splitlines() if line.startswith("train: ")]
        assert len(errors) == (code != 0)
        assert "Traceback" not in lines
        assert not list(workdir.rglob(".part-*"))
