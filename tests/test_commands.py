"""The commands that documents tell their readers to run are those that there are."""

import ast
import json
import operator
import pathlib
import re
import subprocess

import pytest
import yaml

from tests import commands, pages
from train.configs import digits_glow

ROOT = pages.ROOT
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *(ROOT / "WORKSPACE_NOTES.md", ROOT / "benchmarks/RESULTS.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MODULES = sorted(
    path
    for name in ("benchmarks", "tfp_flows", "train")
    for path in ROOT.glob(f"{name}/**/*.py")
)
# Configs that a page tells its reader to write.
TO_WRITE = {"docs/extending.md": "train/configs/spiral.py"}
# Whose flags a page speaks of when it names them without a command.
SPEAKS_OF = {
    "docs/scoring.md": "tfp_flows.scoring.__main__",
    "docs/faults.md": "tests.train.faults.__main__",
}
JOBS = ("docs/results.md", "docs/scale.md", "docs/training.md")
OF_OTHERS = {"--direct_num_workers", "--"}  # Beam's


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def refused(found, page=""):
    return {
        command: wrong
        for command in found
        if TO_WRITE.get(page, "\n") not in command
        if (wrong := commands.mistake(command))
    }


def test_there_are_commands_to_judge():
    found = [c for path in PAGES for c in commands.of_page(path.read_text())]
    beginnings = [" ".join(command.split()[:3]) for command in found]
    assert beginnings.count("python -m train") > 20
    assert beginnings.count("make train") >= 2 and len(found) > 80


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_commands_of_a_page_are_known_to_what_they_call(path):
    assert not refused(commands.of_page(path.read_text()), name(path))


def test_commands_in_docstrings_are_known_to_what_they_call():
    found = [c for path in MODULES for c in commands.of_module(path.read_text())]
    assert len(found) > 20
    assert not refused(found)


@pytest.mark.parametrize("page", SPEAKS_OF)
def test_flags_that_are_named_alone_are_those_of_the_module(page):
    known = commands.parser_of(SPEAKS_OF[page]).format_help()
    named = commands.bare_flags((ROOT / page).read_text())
    assert named
    assert not [f for f in named if f not in OF_OTHERS and f"{f} " not in known]


@pytest.mark.parametrize("page", JOBS)
def test_fields_that_are_named_alone_are_those_of_the_config(page):
    named = re.findall(r"`(--config\.[^`]+)`", (ROOT / page).read_text())
    assert named
    whole = (flag if "=" in flag else f"{flag}=local" for flag in named)
    assert not refused(f"python -m train {flags}" for flags in whole)


def test_fields_of_jobs_that_are_spoken_of_are_there():
    config = digits_glow.get_config()
    spans = {
        s for p in PAGES for s in re.findall(r"`config((?:\.[a-z_]+)+)`", p.read_text())
    }
    assert len(spans) > 3
    for span in spans:
        operator.attrgetter(span[1:])(config)


def test_every_page_with_python_is_run():
    tests = "\n".join(path.read_text() for path in ROOT.glob("tests/**/*.py"))
    with_python = [p for p in PAGES if "```python\n" in p.read_text()]
    assert len(with_python) > 15
    assert not [name(p) for p in with_python if f'"{name(p)}"' not in tests]


def well_formed(language, block):
    if language == "json":
        json.loads(block)
    elif language == "yaml":
        assert list(yaml.safe_load_all(block))
    elif language == "bash":
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    else:
        ast.parse(block)


def test_blocks_that_no_test_runs_are_well_formed():
    kinds = ("bash", "json", "py", "python", "text", "yaml")
    found = set()
    for path in PAGES:
        fences = re.findall(r"```(\w+)\n(.*?)```", path.read_text(), re.S)
        for language, block in fences:
            if language in kinds:
                found.add(language)
                well_formed(language, block)
    assert found == set(kinds)


MADE_UP = """
`make nonsense`, `make bench --only glow` and `pytest tests/nowhere.py -k x`.
```bash
python -m train --config=train/configs/nobody.py        # a comment
python -m train --config.flow.options.num_stepz=8 \\
    --config.epochs=100
python -m train --config.epochs=many
python -m train --config.data.sort=yes && make test-quick
bash -c 'A="{}" python -m train --config=CONFIG --wrkdir=W'
python -m train now
python -m trian
python -m tfp_flows.serving.czeck served/moons/1
python -m tfp_flows.serving.check one two
python -m tfp_flows.serving.versions labl --base=served/moons canary=2
python -m tfp_flows.scoring ... --shuffle -- --runner=FlinkRunner
python -m benchmarks.growth pictures
python -m benchmarks.guard --fast
pip install ".[trian]"
bash .ci/nothing
```
"""


def test_made_up_commands_are_refused():
    found = commands.of_page(MADE_UP)
    assert len(found) == 19
    assert not [command for command in found if commands.mistake(command) is None]
    said = "\n".join(commands.mistake(command) for command in found)
    for word in ("nonsense", "nobody.py", "num_stepz", "many", "test-quick", "wrkdir"):
        assert word in said
    docstring = '"""Trains.\n\npython -m train --config.epoch=1   # quick\n"""'
    assert refused(commands.of_module(docstring))


def test_made_up_commands_that_are_right_are_not():
    text = """```bash
make test ARGS="-k scoring"
python -m train --config=train/configs/two_moons.py --config.epochs=1 --workdir=W
    exec python -m train --config=CONFIG --config.data.condition_on="('age',)"
python -m tfp_flows.scoring ... -- --runner=DataflowRunner --region=R
python -m benchmarks.growth images
python -m tf2onnx.convert --saved-model served/wine/1
```"""
    found = commands.of_page(text)
    assert len(found) == 6
    assert not refused(found)
