"""What is printed for servers, and what is done with versions, as commands."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.serving.conftest import environment, export
from tfp_flows import flows
from tfp_flows.serving import config, labels, versions

# One process for all that share a fixture.
pytestmark = pytest.mark.xdist_group("operations")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Two versions of a model whose densities are known: deviations 1 and 2."""
    base = tmp_path_factory.mktemp("served") / "My_digits"
    for scale in (1.0, 2.0):
        flow = flows.gaussian((2,))
        rows = np.random.default_rng(0).standard_normal([4000, 2])
        rows = (rows - rows.mean(0)) @ np.linalg.inv(
            np.linalg.cholesky(np.cov(rows.T))
        ).T
        flow.adapt((scale * rows).astype(np.float32))
        export(flow, base)
    return base


@pytest.fixture
def base(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / exported.name)


def run(module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"tfp_flows.serving.{module}", *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_files_are_printed_and_written(base, tmp_path):
    done = run("config", f"--base={base}", "--label=canary=2", "--label=stable=1")
    assert done.returncode == 0 and done.stderr == ""
    wanted = config.files(base, {"canary": 2, "stable": 1})
    assert all(f"# {name}\n{text}" in done.stdout for name, text in wanted.items())
    run("config", f"--base={base}", f"--output={tmp_path / 'out'}")
    written = {p.name: p.read_text() for p in (tmp_path / "out").iterdir()}
    assert written == config.files(base, {})


def test_labels_are_kept_and_used(base):
    done = run("versions", "label", f"--base={base}", "canary=2", "stable=1")
    assert json.loads(done.stdout) == {"canary": 2, "stable": 1} == labels.read(base)
    run("versions", "label", f"--base={base}", "stable=2")
    assert labels.read(base) == {"canary": 2, "stable": 2}
    done = run("config", f"--base={base}")
    assert 'version_labels { key: "stable" value: 2 }' in done.stdout
    lines = run("versions", "list", f"--base={base}").stdout.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["1", "-"],
        ["2", "canary,stable"],
    ]


def test_drift_is_that_of_the_densities(base, tmp_path):
    """Normals of deviations 1 and 2: log p2 - log p1 = 3/8 |x|^2 - 2 log 2."""
    x = np.random.default_rng(1).standard_normal([500, 2]).astype(np.float32)
    x[0] = np.nan
    np.savez(tmp_path / "rows.npz", x=x)
    done = run(
        *("versions", "compare", f"--base={base}", 1, 2),
        f"--rows={tmp_path / 'rows.npz'}",
    )
    wanted = 3 / 8 * (x[1:].astype(float) ** 2).sum(axis=1) - 2 * np.log(2.0)
    words = done.stdout.split()
    mean, error = float(words[7]), float(words[9])
    assert abs(mean - wanted.mean()) < 2e-3
    assert abs(error / (wanted.std(ddof=1) / np.sqrt(499)) - 1) < 0.05
    assert "over 499 rows, 1 not valid" in done.stdout
    same = run("versions", "compare", f"--base={base}", 1, 1)
    assert "+0 +- 0 nats over 8 rows" in same.stdout


def test_pruning_spares_the_newest_and_the_labelled(tmp_path):
    for version in range(1, 7):
        (tmp_path / str(version)).mkdir()
    labels.write(tmp_path, {"stable": 2})
    assert versions.prune(tmp_path, 2) == [1, 3, 4]
    there = sorted(path.name for path in tmp_path.iterdir())
    assert there == ["2", "5", "6", "labels.json"]
    assert versions.prune(tmp_path, 1) == [5]
    with pytest.raises(ValueError, match="keep=0"):
        versions.prune(tmp_path, 0)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("config", "--label=canary=3"), "but there are 1, 2"),
        (("config", "--label=3"), "written canary=3"),
        (("versions", "label", "canary=9"), "no version 9"),
        (("versions", "label", "ca nary=1"), "written canary=3"),
        (
            ("versions", "compare", "1", "9"),
            "Version 9 must not be loaded",
        ),
        (("versions", "compare", "1", "2", "--rows=/dev/null"), "is no .npz of arrays"),
        (("versions", "compare", "1", "2", "--rows=labels.json"), "labels.json"),
        (("versions", "prune", "--keep=0"), "keep=0"),
    ],
)
def test_mistakes_are_one_line_and_status_two(base, arguments, words):
    module, *others = arguments
    done = run(module, *others, f"--base={base}")
    assert done.returncode == 2 and words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_odd_directories_are_nobodys_versions(tmp_path):
    """Files called as numbers, padded numbers and links stand beside real versions."""
    for name in ("1", "2", "3", "007", "-4", "1.5", ".tmp-x"):
        (tmp_path / name).mkdir()
    (tmp_path / "4").write_text("no directory")
    outside = tmp_path / "elsewhere"
    (outside / "weights").mkdir(parents=True)
    (tmp_path / "0").symlink_to(outside)
    before = {path.name for path in tmp_path.iterdir()}
    lines = run("versions", "list", f"--base={tmp_path}").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["0", "1", "2", "3"]
    assert all("no card that can be read" in line for line in lines)
    assert run("versions", "label", f"--base={tmp_path}", "x=4").returncode == 2
    done = run("versions", "prune", f"--base={tmp_path}", "--keep=2")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["removed 0", "removed 1"]
    # What a link pointed to is not ours.
    assert (outside / "weights").is_dir()
    assert {path.name for path in tmp_path.iterdir()} == before - {"0", "1"}


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"canary": "1"}', '{"canary": true}', '{"a\\"b": 1}', "\xff"],
)
def test_damaged_labels_are_one_line_and_nothing_is_lost(tmp_path, text):
    for version in range(1, 4):
        (tmp_path / str(version)).mkdir()
    (tmp_path / labels.FILE_NAME).write_text(text, encoding="latin-1")
    for command in (("list",), ("label", "a=1"), ("prune", "--keep=1")):
        done = run("versions", *command, f"--base={tmp_path}")
        assert done.returncode == 2 and "labels.json" in done.stderr.splitlines()[-1]
    assert len(list(tmp_path.iterdir())) == 4


def test_what_may_not_be_loaded_is_not_compared(base):
    path = base / "2" / "saved_model.pb"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = run("versions", "compare", f"--base={base}", 1, 2)
    assert done.returncode == 2
    assert "Version 2 must not be loaded: saved_model.pb" in done.stderr


def test_configurations_of_damaged_versions_are_one_line(base, tmp_path):
    path = base / "2" / "assets.extra" / "flow_card.json"
    good = json.loads(path.read_text())
    for text, words in [
        (json.dumps(good | {"library_versions": {}}), "TensorFlow 'None'"),
        (json.dumps(good | {"library_versions": {"tensorflow": "a\nb"}}), "is none"),
        (json.dumps(good | {"library_versions": 3}), "its entry 'library_versions'"),
        ("{", "Expecting"),
        (None, "flow_card.json"),
    ]:
        path.write_text(text) if text else path.unlink()
        done = run("config", f"--base={base}")
        assert done.returncode == 2 and words in done.stderr.splitlines()[-1]
    path.write_text(json.dumps(good))
    (tmp_path / "file").write_text("")
    done = run("config", f"--base={base}", f"--output={tmp_path / 'file'}")
    assert done.returncode == 2 and "file" in done.stderr.splitlines()[-1]


def test_rows_that_do_not_fit_are_one_line(base, tmp_path):
    for name, rows in {
        "wide": {"x": np.zeros([3, 5])},
        "none": {"x": np.zeros([0, 2])},
        "other": {"y": np.zeros([3, 2])},
        "text": {"x": np.array(["a", "b"])},
        "bad": {"x": np.full([3, 2], np.nan)},
        "scalar": {"x": np.float32(1.0)},
    }.items():
        path = tmp_path / f"{name}.npz"
        np.savez(path, **rows)
        done = run("versions", "compare", f"--base={base}", 1, 2, f"--rows={path}")
        assert done.returncode == 2 and "Traceback" not in done.stderr, name
