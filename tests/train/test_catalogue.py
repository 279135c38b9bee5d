"""What `python -m train --list` and `--help` say of the configs."""

import subprocess
import sys

import pytest

from train import catalogue


def test_every_config_says_what_it_trains_and_reaches():
    files = {path.stem for path in catalogue.CONFIGS.glob("*.py")} - {"__init__"}
    found = catalogue.described()
    assert set(found) == files
    assert found["ar_process"][0].startswith("WaveNet on an autoregressive process")
    assert found["ar_process"][1].startswith("Expect: 0.731 nats a step")


def test_a_config_without_words_is_left_out(tmp_path):
    (tmp_path / "bare.py").write_text("x = 1\n")
    (tmp_path / "said.py").write_text('"""A thing.\n\nExpect: 1.5 nats. Soon.\n"""\n')
    assert catalogue.described(tmp_path) == {"said": ("A thing", "Expect: 1.5 nats")}


@pytest.mark.parametrize("flag", ["--list", "--help"])
def test_the_command_lists_them(flag):
    done = subprocess.run(
        [sys.executable, "-m", "train", flag],
        cwd=catalogue.CONFIGS.parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "digits_glow: Glow on scikit-learn's handwritten digits" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 88  # no line that a terminal cuts
