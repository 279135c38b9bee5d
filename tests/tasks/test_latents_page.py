"""The page on latent tools runs as printed, with a flow that is trained for less."""

import numpy as np
import pytest

from tests import pages

SHORTER = {
    "EPOCHS = 60": "EPOCHS = 2",
    "4, filters=32, num_blocks=1": "2, filters=8, num_blocks=1",
}


@pytest.mark.slow
def test_the_page_runs(tmp_path):
    names = pages.run("docs/latents.md", tmp_path, SHORTER)
    pages.assert_pictures(tmp_path, "latents", ("ways", "ink", "means", "typical"))
    assert names["way"].shape == (10, 5, 8, 8, 1)
    np.testing.assert_array_equal(names["way"][0], names["test"][:5])
    np.testing.assert_array_equal(names["way"][-1], names["test"][5:10])
    np.testing.assert_array_equal(names["shown"][3], names["test"][:5])
    assert np.mean(names["shown"][6]) > np.mean(names["shown"][0])
