"""The notebooks run, in a short form, and what is committed is what they say."""

import json
import pathlib
import re

import matplotlib
import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "docs/notebooks"
SMALL = {"num_steps": 1, "hidden_units": (8,)}
SHORTER = {
    "quickstart": {"EPOCHS = 40": "EPOCHS = 1"}
    | {"num_steps=4, hidden_units=(64, 64)": "num_steps=1, hidden_units=(8,)"},
    "images": {"EPOCHS = 40": "EPOCHS = 1", "num_steps=4": "num_steps=1"},
    "anomalies": {"DIVISIONS, RATE = 150, 50,": "DIVISIONS, RATE = 1, 2,"},
    "simulation": {"EPOCHS = 20_000, 20": "EPOCHS = 400, 1"}
    | {"2000, seed=1": "20, seed=1", "prior, 500": "prior, 50"}
    | {"drop_invalid=True\n": "drop_invalid=True, options=SMALL\n"},
    "funnel": {"STEPS, DRAWS = 3000, 4000": "STEPS, DRAWS = 20, 400"}
    | {"num_steps=4, hidden_units=(32, 32)": "num_steps=1, hidden_units=(4,)"},
    "sound": {
        "from IPython.display import Audio": "def Audio(sound, rate): ...",
        "LENGTH, NOTES, EPOCHS = 4000, 512, 600, 12": "LENGTH, NOTES, EPOCHS = "
        "4000, 256, 60, 1",
        "num_layers=14": "num_layers=2",
    },
}


def cells(text):
    """(kind, text) of each cell of a script whose cells begin with `# %%`."""
    for part in re.split(r"^# %%", text, flags=re.M)[1:]:
        head, body = part.split("\n", 1)
        body = body.strip()
        if "markdown" in head:
            yield "markdown", "\n".join(s[2:] for s in body.splitlines())
        else:
            yield "code", body.replace("# %matplotlib", "%matplotlib")


def test_every_notebook_is_here():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SHORTER)


@pytest.mark.parametrize("name", SHORTER)
def test_what_is_committed_is_what_the_script_says(name):
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text())
    found = [(c["cell_type"], "".join(c["source"])) for c in notebook["cells"]]
    assert found == list(cells((FOLDER / f"{name}.py").read_text()))
    outputs = [o for c in notebook["cells"] for o in c.get("outputs", ())]
    assert any("image/png" in o.get("data", ()) for o in outputs)
    assert not any(o["output_type"] == "error" for o in outputs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the chains are bad:UserWarning")
@pytest.mark.parametrize("name", SHORTER)
def test_notebooks_run(name, tmp_path, monkeypatch):
    text = (FOLDER / f"{name}.py").read_text()
    for printed, instead in SHORTER[name].items():
        assert text.count(printed) == 1, printed
        text = text.replace(printed, instead)
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    exec(compile(text, name, "exec"), {"__name__": "notebook", "SMALL": SMALL})
