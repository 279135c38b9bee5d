"""A mistake is one line that names it and exit code 2, before anything is written."""

import importlib.util
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tfp_flows.scoring import __main__ as command

HAS_BEAM = importlib.util.find_spec("apache_beam") is not None
needs_beam = pytest.mark.skipif(not HAS_BEAM, reason="Apache Beam is not installed")


def _refused(arguments, capsys):
    """Returns the one line that a mistake is told in."""
    assert command.main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("scoring: ")
    assert len(errors.strip().splitlines()) == 1
    return errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output=a", "--input=b"], "required: --model"),
        (["--model=m", "--output=a"], "--mode=score needs --input"),
        (["--model=m", "--output=a", "--nope=1"], "unrecognized arguments: --nope=1"),
        (["--model=m", "--output=a", "stray"], "unrecognized arguments: stray"),
        (["--model=m", "--output=a", "--input=b", "--signature=decode"], "'decode'"),
        (["--model=m", "--output=a", "--input=b", "--count=3"], "--count has no use"),
        (["--model=m", "--output=a", "--mode=sample"], "needs --count"),
        (
            ["--model=m", "--output=a", "--mode=sample", "--count=3", "--key=id"],
            "--key has no use in --mode=sample",
        ),
        (["--model=m", "--output=a", "--mode=sample", "--count=x"], "invalid int"),
    ],
)
def test_a_wrong_flag(arguments, message, capsys):
    assert message in _refused(arguments, capsys)


@pytest.mark.skipif(HAS_BEAM, reason="Apache Beam is installed")
def test_without_beam_it_says_what_to_install(capsys):
    errors = _refused(["--model=m", "--output=a", "--input=b"], capsys)
    assert "pip install tfp_flows[scoring]" in errors


@pytest.fixture
def arguments(exported, rows, tmp_path):
    """Returns flags of a job that would run."""
    np.save(tmp_path / "a.npy", rows)
    (tmp_path / "b.csv").write_text("id,a,b,c,d\n1,1,2,3,4\n")
    (tmp_path / "c.json").write_text("1,2,3,4")
    return {
        "model": exported("vector").directory,
        "input": tmp_path / "a.npy",
        "output": tmp_path / "scores",
    }


@needs_beam
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "{tmp}"}, "There is no"),
        ({"model": "{base}"}, "Did you mean its version"),
        ({"signature": "anomaly_score"}, "has no signature 'anomaly_score'; it has"),
        ({"signature": "bits_per_dim"}, "it has decode, encode, log_prob, sample."),
        ({"input": "{tmp}/none*"}, "No file matches"),
        ({"input": "{tmp}/c.json"}, "tells no format"),
        ({"input": "{tmp}/c.json", "input_format": "csv"}, "must name the columns"),
        ({"input": "{tmp}/*"}, "several formats"),
        ({"input": "{tmp}/b.csv", "key": "name"}, "no column 'name'"),
        ({"input": "{tmp}/b.csv"}, "x needs 4 numbers a row"),
        ({"input": "{tmp}/b.csv", "x": "a,b"}, "hold 2"),
        ({"input": "{tmp}/b.csv", "x": "a,b,c,e"}, "no column 'e'"),
        ({"context": "a"}, "no column 'a'"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"output": "{tmp}/"}, "output must be a prefix"),
        ({"seed": 2**63}, "64-bit"),
    ],
)
def test_a_wrong_value(changes, message, arguments, capsys, tmp_path):
    base = pathlib.Path(arguments["model"]).parent
    if changes.get("input", "").endswith("*") and "none" not in changes["input"]:
        (tmp_path / "c.json").unlink()
    given = {**arguments, **changes}
    flags = [
        f"--{name}={str(value).format(tmp=tmp_path, base=base)}"
        for name, value in given.items()
    ]
    before = sorted(tmp_path.rglob("*"))
    assert message in _refused(flags, capsys)
    assert sorted(tmp_path.rglob("*")) == before


@needs_beam
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--nope=1"], "Beam does not know '--nope'"),
        (["stray"], "Beam does not know 'stray'"),
        (["--direct_num_workers=2", "stray"], "Beam does not know 'stray'"),
        (["--direct_running_mode=many"], "invalid choice"),
        (["--direct_num_workers=many"], "invalid int"),
    ],
)
def test_a_wrong_flag_of_beam(flags, message, arguments, capsys):
    given = [f"--{name}={value}" for name, value in arguments.items()]
    assert message in _refused([*given, "--", *flags], capsys)


@needs_beam
def test_nothing_is_overwritten(arguments, capsys, tmp_path):
    (tmp_path / "scores-00000-of-00001.parquet").write_text("mine")
    given = [f"--{name}={value}" for name, value in arguments.items()]
    assert "is not overwritten" in _refused(given, capsys)


@needs_beam
def test_a_conditional_model_needs_contexts(exported, arguments, capsys, tmp_path):
    arguments["model"] = exported("conditional").directory
    given = [f"--{name}={value}" for name, value in arguments.items()]
    assert "takes a context of 2 numbers" in _refused(given, capsys)
    flags = [*given[:1], *given[2:], "--mode=sample", "--count=3"]
    assert "samples are drawn without one" in _refused(flags, capsys)


@needs_beam
def test_a_place_that_cannot_be_written(arguments, capsys, tmp_path):
    arguments["output"] = tmp_path / "a.npy" / "scores"  # below a file
    given = [f"--{name}={value}" for name, value in arguments.items()]
    assert "cannot be written" in _refused(given, capsys)


@needs_beam
@pytest.mark.slow
def test_a_process_writes_one_line_too(arguments, tmp_path):
    given = [f"--{name}={value}" for name, value in arguments.items()]
    done = subprocess.run(
        [sys.executable, "-m", "tfp_flows.scoring", *given, "--key=id"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    wanted = "scoring: There is no column 'id'; the first file has x."
    assert done.stderr.splitlines() == [wanted]


def test_help_shows_the_examples(capsys):
    with pytest.raises(SystemExit) as leaving:
        command.main(["--help"])
    assert leaving.value.code == 0
    assert "--mode=sample --count=100000" in capsys.readouterr().out
