"""The page on diagnoses runs as printed, with a model that is trained for less."""

import pytest

from tests import pages

SHORTER = {
    "EPOCHS = 30": "EPOCHS = 1",
    "(8, 8, 1), 4, 24,": "(8, 8, 1), 1, 8,",
}


@pytest.mark.slow
def test_the_page_runs_and_finds_what_it_says(tmp_path):
    names = pages.run("docs/diagnose.md", tmp_path, SHORTER)
    drawn = ("latent", "coverage", "shares", "linear", "nearest")
    pages.assert_pictures(tmp_path, "diagnose", drawn)
    assert {"latent normality", "c2st"} <= set(names["found"]["Gaussian"].doubts())
    assert "invertibility" in names["found"]["PixelCNN"].left_out
    # The last model of the table copies.
    assert "memorisation" in names["diagnosis"].doubts()
