"""The examples in the docstrings run and give what they say."""

import doctest
import importlib
import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SCORING = ROOT / "tfp_flows" / "scoring"
# Apache Beam is an extra, and has an environment of its own.
HAS_BEAM = importlib.util.find_spec("apache_beam") is not None
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("tfp_flows", "train")
    for path in ROOT.glob(f"{folder}/**/*.py")
    if path.name not in ("__init__.py", "__main__.py")
    if HAS_BEAM or path.parent not in (SCORING, *SCORING.iterdir())
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(module, optionflags=flags)
    assert result.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    count = sum(
        bool(test.examples)
        for name in MODULES
        for test in finder.find(importlib.import_module(name))
    )
    assert count >= 25
