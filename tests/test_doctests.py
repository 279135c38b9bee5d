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

PACKAGES = [
    "tfp_flows",
    *(f"tfp_flows.{name}" for name in ("bijectors", "distributions", "networks")),
    *(f"tfp_flows.{name}" for name in ("flows", "scalar_maps", "training", "tasks")),
    *(f"tfp_flows.{name}" for name in ("diagnostics", "plots", "serving", "scoring")),
    *("tfp_flows.distributions.elements", "tfp_flows.serving.client"),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(module, optionflags=flags)
    assert result.failed == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_example(package):
    module = importlib.import_module(package)
    names = [n for n in module.__all__ if HAS_BEAM or package != "tfp_flows.scoring"]
    offered = {name: getattr(module, name) for name in names}
    without = [
        name
        for name, found in offered.items()
        if callable(found) and ">>>" not in (found.__doc__ or "")
    ]
    assert not without
