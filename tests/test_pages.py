"""The documentation says what is: its code runs, its messages and names are there."""

import ast
import pathlib
import re

import numpy as np
import pytest

import tfp_flows
from tests import pages
from tfp_flows import FlowModel
from tfp_flows.distributions import Model

ROOT = pathlib.Path(__file__).parents[1]
FAST = {
    "README.md": {
        "epochs=20": "epochs=1",
        "num_levels=2,": "num_levels=2, num_steps=1,",
    },
    "docs/index.md": {"epochs=60": "epochs=2", "num_steps=4": "num_steps=2"},
    "docs/images.md": {},
    "docs/sequences.md": {"epochs=10": "epochs=2", "n=200": "n=20"},
    "docs/conditional.md": {},
    "docs/tables.md": {"EPOCHS, SEEDS = 300, 3": "EPOCHS, SEEDS = 10, 1"}
    | {"TABLES.items()": "[*TABLES.items()][:1]", "epochs=EPOCHS,": "epochs=1,"}
    | {"MODELS.items()": "[*MODELS.items()][:3]"},
    "docs/supports.md": {
        "EPOCHS = 30": "EPOCHS = 1",
        "neural_spline((4,), 4, 8, (64, 64),": "neural_spline((4,), 1, 4, (8,),",
        "real_nvp((1,), 4, (16,)": "real_nvp((1,), 1, (4,)",
    },
    "docs/training.md": {},
    "docs/runtimes.md": {"epochs=60": "epochs=1"},
    "docs/numerics.md": {},
    "docs/tfp.md": {},
    "docs/how.md": {"epochs=60": "epochs=1", "num_steps=8": "num_steps=2"},
    "docs/others.md": {},
}


@pytest.mark.slow
# Its successor is a package of its own.
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("page", FAST)
def test_pages_run_and_leave_sound_models(page, tmp_path):
    names = pages.run(page, tmp_path, FAST[page])
    models = [v for v in names.values() if isinstance(v, (Model, FlowModel))]
    assert models
    for model in models:
        assert all(np.isfinite(np.asarray(v)).all() for v in model.variables)


def messages():
    """All fixed texts of the package and of jobs, with … for what is filled in."""
    for path in [*ROOT.glob("tfp_flows/**/*.py"), *ROOT.glob("train/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", "…") for part in node.values)
                yield "".join(p if isinstance(p, str) else "…" for p in parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_the_errors_that_are_explained_are_those_raised():
    text = (ROOT / "docs/errors.md").read_text()
    explained = re.findall(r"^\| `(.+?)` \|", text, re.M)
    raised = "\n".join(messages())
    assert len(explained) > 20
    assert not [m for m in explained if m.rstrip("…") not in raised]


def test_what_fit_is_said_to_refuse_is_refused_in_these_words():
    text = " ".join((ROOT / "docs/fit.md").read_text().split())
    quoted = re.findall(r"[Rr]efused[^|`]*: `([^`]+)`", text)
    raised = "\n".join(messages())
    assert len(quoted) >= 6
    assert not [words for words in quoted if words not in raised]


def test_the_reference_has_every_recipe():
    text = (ROOT / "docs/reference/flows.md").read_text()
    missing = [n for n in tfp_flows.flows.__all__ if not re.search(rf"\b{n}\b", text)]
    assert not missing


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_that_readers_of_the_page_have(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    shown = ROOT / "docs" if page.is_relative_to(ROOT / "docs") else ROOT
    for link in links:
        if not link.startswith("http"):
            target = (page.parent / link).resolve()
            assert target.exists() and target.is_relative_to(shown), link


def test_readme_is_one_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
