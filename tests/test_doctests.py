"""The examples in the docstrings run and give what they say."""

import doctest
import importlib
import importlib.util
import inspect
import pathlib
import re

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


def offered(package):
    """Public classes and functions of a package, by name."""
    module = importlib.import_module(package)
    names = [n for n in module.__all__ if HAS_BEAM or package != "tfp_flows.scoring"]
    found = {name: getattr(module, name) for name in names}
    return {name: part for name, part in found.items() if callable(part)}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_example(package):
    found = offered(package)
    assert not [name for name in found if ">>>" not in (found[name].__doc__ or "")]


def unexplained(part):
    """Arguments that a docstring does not have, unless it refers to another one."""
    text = inspect.getdoc(part) or ""
    if inspect.isclass(part) and issubclass(part, Exception):
        return []  # made by the package, not by its users
    if re.search(r"Arguments: see\s", text):
        return []
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    names = [
        name
        for name, parameter in inspect.signature(part).parameters.items()
        if parameter.kind not in several and name[0] != "_"
    ]
    return [n for n in names if not re.search(rf"^\s+{n}: ", text, re.M)]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_argument_of_a_public_name_is_explained(package):
    missing = {name: unexplained(part) for name, part in offered(package).items()}
    assert not {name: args for name, args in missing.items() if args}
