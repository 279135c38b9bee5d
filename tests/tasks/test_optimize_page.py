"""The page on optimisation runs as printed, with fewer steps."""

import pathlib
import re

import numpy as np
import pytest

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "optimize.md"
SHORTER = {
    "epochs=20": "epochs=3",
    "num_steps=300": "num_steps=60",
    "range(1, 17)": "range(1, 3)",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the page's blocks define, run from top to bottom."""
    text = PAGE.read_text()
    for printed, short in SHORTER.items():
        assert printed in text
        text = text.replace(printed, short)
    names: dict = {"__name__": "optimize"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("optimize"))
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.S)):
            exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
        assert {"digits.png", "wine.png"} == {p.name for p in pathlib.Path().iterdir()}
    return names


@pytest.mark.slow
def test_the_density_keeps_the_search_with_the_data(page):
    found, best = page["found"], page["best"]
    assert found.feasible[0] and found.objective[0] > page["less_ink"](page["rows"])[0]
    assert page["quantile"](page["free"])[0] < 0.01 < page["quantile"](found.x)[0]
    assert best.feasible.all() and best.objective[0] > page["cheap"](page["real"])[0]
    loose = page["chemistry"].log_prob(page["loose"])
    assert np.max(loose) < best.log_prob.min() - 5.0
