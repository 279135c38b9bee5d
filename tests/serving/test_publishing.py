"""Where versions appear: whole, under a number of their own, or not at all."""

import gc
import os
import subprocess
import sys
import threading
import time

import pytest
import tensorflow as tf

from tests.serving.conftest import environment, export
from tests.serving.test_export import doubtful
from tfp_flows.serving import exporter, manifest, publishing


def test_bad_places_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_text("")
    for place, match in [
        (tmp_path / "file", "must be a directory, got the file"),
        (tmp_path / "model", "Pass its parent"),
        ("gs://bucket/model", "local file system"),
        ("", "must name a directory, got ''"),
        (b"model", "must name a directory, got b'model'"),
    ]:
        with pytest.raises(ValueError, match=match):
            export(doubtful(tf.identity), place)


def test_a_taken_number_is_never_overwritten(tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "notes").mkdir()
    with pytest.raises(ValueError, match="Version 3 exists .* pass 4"):
        export(doubtful(tf.identity), tmp_path, version=3)
    assert sorted(os.listdir(tmp_path)) == ["3", "notes"]


def test_a_number_taken_meanwhile_is_stepped_over(tmp_path):
    made = []

    def prepare(number):
        made.append(number)
        if number == 1:  # somebody else is faster
            (tmp_path / "1").mkdir()
            (tmp_path / "1" / "saved_model.pb").write_text("theirs")

    with publishing.workspace(tmp_path) as directory:
        (directory / "saved_model.pb").write_text("ours")
        target = publishing.publish(directory, tmp_path, None, prepare)
    assert made == [1, 2] and target == tmp_path / "2"
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "theirs"
    assert (target / "saved_model.pb").read_text() == "ours"
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]


def test_versions_that_no_server_can_parse_are_none(tmp_path):
    for name in ("4", "99999999999999999999"):
        (tmp_path / name).mkdir()
    assert publishing.versions(tmp_path) == [4]
    assert publishing.next_version(tmp_path) == 5
    (tmp_path / str(2**63 - 1)).mkdir()
    with pytest.raises(ValueError, match="the largest number"):
        publishing.check_version(tmp_path, None)


_EXPORTING = """
import pathlib, signal, sys, time
from tfp_flows.serving import publishing
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
with publishing.workspace(pathlib.Path(sys.argv[1])) as directory:
    (directory / "half").write_text("")
    print(directory, flush=True)
    time.sleep(60)
"""


def _exporting(base):
    command = [sys.executable, "-c", _EXPORTING, str(base)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, env=environment(), text=True
    )
    return child, child.stdout.readline().strip()


def test_what_a_killed_export_left_is_removed_and_what_lives_is_not(tmp_path):
    killed, left = _exporting(tmp_path)
    living, kept = _exporting(tmp_path)
    killed.kill()
    killed.communicate()
    foreign = tmp_path / ".tmp-elsewhere-1"
    foreign.mkdir()
    with publishing.workspace(tmp_path) as directory:
        there = {os.path.join(tmp_path, name) for name in os.listdir(tmp_path)}
        assert left not in there
        assert there == {kept, str(directory), str(foreign)}
    os.utime(foreign, (0, 0))
    with publishing.workspace(tmp_path):
        assert not foreign.exists()
    living.terminate()
    living.communicate()
    assert living.returncode == 143 and os.listdir(tmp_path) == []


def test_a_reader_never_sees_half_a_version(tmp_path):
    """As a server that polls, only faster: what has a number is complete."""
    done, numbers, others = threading.Event(), [], set()

    def poll():
        while not done.is_set():
            for name in os.listdir(tmp_path):
                if name.isdigit():
                    numbers.append((name, manifest.problem(tmp_path / name)))
                else:
                    others.add(name)

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        for _ in range(2):
            export(doubtful(tf.identity), tmp_path)
    finally:
        time.sleep(0.1)  # to see the second, too
        done.set()
        reader.join()
    assert set(numbers) == {("1", None), ("2", None)}
    assert len(others) == 2  # both were seen while they were made


def test_objects_are_kept_from_the_garbage_collector_for_an_export_only():
    gc.unfreeze()  # the tests' own, see conftest.py
    with exporter._earlier_objects_kept():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
    gc.freeze()
    with exporter._earlier_objects_kept():
        pass
    assert gc.get_freeze_count() > 0  # the process had frozen them itself
