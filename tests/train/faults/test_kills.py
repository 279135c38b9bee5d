"""The real command, killed and started again, ends with the bits of one left alone."""

import signal

import pytest

from tests.train.faults import runs

# One process, beside the tests of the other: these are mostly waiting.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]
SEED = 20261128


def test_a_job_killed_four_times_changes_no_bit(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    alone = runs.start(whole)
    moments = runs.drawn_moments(SEED, 4, seconds=20.0)
    kills = runs.killed_and_continued(killed, moments)
    assert alone.wait(timeout=300) == 0, runs.words(whole)[-3000:]
    assert kills, f"seed {SEED}: nothing was killed"
    found = runs.differences(runs.result(whole), runs.result(killed))
    assert not found, f"seed {SEED}, {kills}: {found}"


@pytest.mark.parametrize("place", ["data/digits/*incomplete*", "logs/train"])
def test_killed_before_its_first_checkpoint(tmp_path, digits, place):
    workdir = tmp_path / "run"
    process = runs.start(workdir, usual=runs.DIGITS)
    runs.wait_until(lambda: any(workdir.glob(place)), process)
    process.kill()
    process.wait()
    process = runs.start(workdir, usual=runs.DIGITS)
    assert process.wait(timeout=300) == 0, runs.words(workdir)[-3000:]
    assert not runs.differences(digits, runs.result(workdir))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """What a job on the digits ends with if it is left alone."""
    workdir = tmp_path_factory.mktemp("digits") / "run"
    process = runs.start(workdir, usual=runs.DIGITS)
    assert process.wait(timeout=300) == 0, runs.words(workdir)[-3000:]
    return runs.result(workdir)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_running_step(tmp_path, number):
    workdir = tmp_path / "run"
    # Nothing is saved within an epoch but by the signal; epochs are long.
    flags = (
        *("--config.checkpoint.minutes=60", "--config.data.num_train=20000"),
        "--config.checkpoint.grace=300",
    )
    process = runs.start(workdir, *flags)
    runs.wait_until(lambda: "Epoch 1" in runs.words(workdir), process)
    process.send_signal(number)
    assert process.wait(timeout=300) == 128 + number, runs.words(workdir)[-3000:]
    assert f"train: saved and stopped by {number.name}." in runs.words(workdir)
    assert runs.progress(workdir).startswith("epoch 0, step ")
    assert not (workdir / "lock.json").exists()


def test_a_second_job_is_kept_out_by_the_first(tmp_path):
    workdir = tmp_path / "run"
    process = runs.start(workdir)
    try:
        runs.wait_until((workdir / "lock.json").exists, process)
        second = runs.start(workdir, index=1)
        assert second.wait(timeout=300) == 2
        (line,) = runs.words(workdir, 1).strip().splitlines()
        assert line.startswith(f"train: Another job runs in {workdir} (process")
    finally:
        process.kill()
        process.wait()
