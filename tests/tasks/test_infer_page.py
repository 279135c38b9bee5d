"""The page on inference runs as printed, with fewer simulations and steps."""

import numpy as np
import pytest

from tests import pages

SHORTER = {
    "by_posterior = tasks.posterior(simulator, prior, 2000)": (
        "by_posterior = tasks.posterior(simulator, prior, 200, epochs=2)"
    ),
    'prior, 2000, method="likelihood")': (
        'prior, 1000, method="likelihood", recipe="maf", epochs=20, learning_rate=5e-3,'
        'options={"num_steps": 2, "hidden_units": (16,)})'
    ),
    "10_000, batch_size=200, options=sharp": "500, epochs=2, recipe='maf'",
    "both, 4000, ": "both, 200, epochs=2, ",
    "num_steps=3000": "num_steps=600",
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
    assert names["chains"]["NeuTra"].r_hat[0] < names["chains"]["without a flow"].r_hat[0]
    assert abs(names["near"].log_normalizer) < 1.0
