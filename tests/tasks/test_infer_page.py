"""The page on inference runs as printed, with fewer simulations and steps."""

import numpy as np
import pytest

from tests import pages

SMALL = 'epochs=2, recipe="maf", options={"num_steps": 1, "hidden_units": (16,)}'
SHORTER = {
    "tasks.posterior(simulator, prior, 2000)": (
        f"tasks.posterior(simulator, prior, 200, {SMALL})"
    ),
    'prior, 2000, method="likelihood"': f'prior, 2000, method="likelihood", {SMALL}',
    "10_000, batch_size=200, options=sharp": f"500, {SMALL}",
    "square, 10, seed=7": "square, 1, seed=7",
    "both, 4000, ": f"both, 200, {SMALL}, ",
    "num_steps=4, hidden_units=(32, 32)": "num_steps=3, hidden_units=(16,)",
    "num_steps=3000": "num_steps=1000",
    "4000, seed=1),\n}": "1000, seed=1),\n}",
    "flows.gaussian((10,)), 4000": "flows.gaussian((10,)), 1000",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("default:The chains have not met")
def test_the_page_runs(tmp_path):
    pytest.importorskip("arviz_stats")
    names = pages.run("docs/infer.md", tmp_path, SHORTER)
    assert {"moons.png", "funnel.png"} == {path.name for path in tmp_path.iterdir()}
    theta = names["reference"][0]
    assert theta.shape == (4000, 2)
    # Exact draws give back the observation but for the noise, |.| in (0.06, 0.14).
    apart = names["observed"][0] - names["two_moons"](theta)
    assert np.abs(apart).max() < 0.3
    assert (
        names["chains"]["NeuTra"].r_hat[0] < names["chains"]["without a flow"].r_hat[0]
    )
    assert abs(names["near"].log_normalizer) < 1.0
