"""The floors of the house: imports point downward only."""

import ast
import importlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
# Floor of each package; a module may import lower floors and its own package.
FLOORS = {
    "tfp_flows.progress": 0,
    "tfp_flows.purpose": 0,
    "tfp_flows.quiet": 0,
    "tfp_flows.version": 0,
    "tfp_flows.tables": 1,
    "tfp_flows.networks": 1,
    "tfp_flows.scalar_maps": 1,
    "tfp_flows.bijectors": 2,
    "tfp_flows.distributions": 2,
    "tfp_flows.flows": 3,
    "tfp_flows.training": 4,
    "tfp_flows.serving": 4,
    "tfp_flows.scoring": 4,
    "tfp_flows.diagnostics": 4,
    "tfp_flows.plots": 4,
    "tfp_flows.tasks": 5,  # which trains
    "tfp_flows": 6,  # the root, which offers them all
    "train": 7,
}
FILES = sorted([*ROOT.glob("tfp_flows/**/*.py"), *ROOT.glob("train/**/*.py")])


def home(module: str) -> str | None:
    first, *others = module.split(".")
    inside = ".".join([first, *others[:1]])
    return next((name for name in (inside, first) if name in FLOORS), None)


def imported(path: pathlib.Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by the full name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downward(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    here = home(module)
    for name in imported(path):
        there = home(name)
        if here and there and here != there:
            assert FLOORS[there] < FLOORS[here], f"{module} imports {name}"


def test_scoring_knows_models_by_their_exports_alone():
    files = [path for path in FILES if "scoring" in path.parts]
    homes = {home(name) for path in files for name in imported(path)}
    assert files
    assert homes <= {"tfp_flows.scoring", "tfp_flows.quiet", None}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_networks_know_nothing_of_probability_and_keras_2_is_nowhere(path):
    names = imported(path)
    assert not any(n.startswith("tf_keras") for n in names)
    if "networks" in path.parts:
        assert not any("tensorflow_probability" in n for n in names)


@pytest.mark.parametrize(
    ("internals", "files"),
    [
        ("tensorflow_probability", {"graph_cache.py"}),
        (
            "tensorflow",
            {"tracing.py", "prepared_once.py", "default_signature.py"},
        ),
    ],
)
def test_internals_are_touched_in_few_files(internals, files):
    prefix = f"{internals}.python"
    touching = {p.name for p in FILES if any(n.startswith(prefix) for n in imported(p))}
    assert touching == files


@pytest.mark.parametrize(
    "name",
    [
        "tfp_flows",
        "tfp_flows.serving",
        "tfp_flows.tables",
        "tfp_flows.tasks",
        "tfp_flows.diagnostics",
        "tfp_flows.plots",
    ],
)
def test_completion_offers_public_names_only(name):
    module = importlib.import_module(name)
    offered = set(dir(module)) - {"__version__"}
    assert offered == set(module.__all__)
    assert all(getattr(module, public) is not None for public in offered)


def public_arguments(node, path):
    """Name and annotation of what public functions and methods take."""
    for part in node.body:
        name = getattr(part, "name", "_")
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(part, ast.ClassDef):
            yield from public_arguments(part, f"{path}.{name}")
        elif isinstance(part, ast.FunctionDef):
            given = [*part.args.posonlyargs, *part.args.args, *part.args.kwonlyargs]
            for argument in given:
                if argument.arg not in ("self", "cls"):
                    yield f"{path}.{name}({argument.arg})", argument.annotation


def test_public_arguments_are_typed():
    found = []
    for path in (p for p in FILES if "tfp_flows" in p.parts):
        found += public_arguments(ast.parse(path.read_text()), path.stem)
    assert len(found) > 1000
    assert not [name for name, annotation in found if annotation is None]
