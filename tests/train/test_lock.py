"""One job at a time in a work directory; the lock of a dead one keeps nobody out."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

from train import lock

ROOT = pathlib.Path(__file__).parents[2]


def forged(path, *, silent=0.0, **fields):
    """Writes the lock of another job."""
    owner = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started": lock._process_started(os.getpid()),
        "started": "2026-01-01 00:00:00 UTC",
        **fields,
    }
    path.write_text(json.dumps(owner))
    os.utime(path, (time.time() - silent,) * 2)


def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_job_is_kept_out_and_a_third_comes_after(tmp_path):
    lines = []
    with lock.held(tmp_path, lines.append):
        owner = json.loads((tmp_path / lock.NAME).read_text())
        assert owner["pid"] == os.getpid()
        wanted = f"Another job runs in .*process {os.getpid()} on "
        with (
            pytest.raises(ValueError, match=wanted),
            lock.held(tmp_path, lines.append),
        ):
            pass
        assert json.loads((tmp_path / lock.NAME).read_text()) == owner
    with lock.held(tmp_path, lines.append):
        pass
    assert not list(tmp_path.iterdir())
    assert not lines


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"pid": "gone"}, "its process is gone"),
        ({"process_started": "another"}, "its process is gone"),
        ({"silent": 90.0}, "no sign of life for 90 s"),
        ({"silent": 90.0, "host": "elsewhere"}, "no sign of life for 90 s"),
    ],
)
def test_a_stale_lock_is_taken_over_with_a_line(tmp_path, fields, reason):
    if fields.get("pid") == "gone":
        fields = {"pid": gone()}
    forged(tmp_path / lock.NAME, **fields)
    lines = []
    with lock.held(tmp_path, lines.append):
        (line,) = lines
        assert reason in line
        assert "is taken" in line
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_job_on_another_host_is_respected(tmp_path):
    forged(tmp_path / lock.NAME, host="elsewhere", pid=gone())
    with (
        pytest.raises(ValueError, match="on elsewhere, since 2026-01-01"),
        lock.held(tmp_path),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [lock.NAME]


def test_an_unreadable_lock_counts_until_it_is_old(tmp_path):
    path = tmp_path / lock.NAME
    path.write_text("{")
    with pytest.raises(ValueError, match="its lock is unreadable"), lock.held(tmp_path):
        pass
    os.utime(path, (0.0, 0.0))
    with lock.held(tmp_path, lambda line: None):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_job_shows_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "REFRESHED", 0.01)
    with lock.held(tmp_path):
        path = tmp_path / lock.NAME
        os.utime(path, (0.0, 0.0))
        deadline = time.time() + 10
        while path.stat().st_mtime < 1.0:
            assert time.time() < deadline
            time.sleep(0.01)


def test_a_job_whose_lock_was_taken_ends(tmp_path):
    script = (
        "import pathlib, sys, time; from train import lock; lock.REFRESHED = 0.01\n"
        "workdir = pathlib.Path(sys.argv[1])\n"
        "with lock.held(workdir):\n"
        "    (workdir / lock.NAME).write_text('{}')\n"
        "    time.sleep(20)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == lock.LOST
    assert "is another job's now" in done.stderr
    assert (tmp_path / lock.NAME).read_text() == "{}"
