"""The page on optimisation runs as printed, with fewer steps."""

import numpy as np
import pytest

from tests import pages

SHORTER = {
    "epochs=20": "epochs=3",
    "n=16, num_steps=300": "n=16, num_steps=60",
    "high, num_steps=300": "high, num_steps=60",
    "range(1, 17)": "range(1, 3)",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the page's blocks define, run from top to bottom."""
    folder = tmp_path_factory.mktemp("optimize")
    names = pages.run("docs/optimize.md", folder, SHORTER)
    assert {"digits.png", "wine.png"} == {path.name for path in folder.iterdir()}
    return names


@pytest.mark.slow
def test_the_density_keeps_the_search_with_the_data(page):
    found, best = page["found"], page["best"]
    assert found.feasible[0] and found.objective[0] > page["less_ink"](page["rows"])[0]
    assert page["quantile"](page["free"])[0] < 0.01 < page["quantile"](found.x)[0]
    assert best.feasible.all() and best.objective[0] > page["cheap"](page["real"])[0]
    loose = page["chemistry"].log_prob(page["loose"])
    assert np.max(loose) < best.log_prob.min() - 5.0
