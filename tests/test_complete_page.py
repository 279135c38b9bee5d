"""The page on completions runs as printed, with a fraction of the data."""

import warnings

import numpy as np
import pytest

from tests import pages

matplotlib = pytest.importorskip("matplotlib")
pytestmark = pytest.mark.slow
SHORTER = {
    "EPOCHS = 60": "EPOCHS = 2",
    "filters=32, num_blocks=5": "filters=4, num_blocks=1",
    "digits[:1500], digits[1500:]": "digits[:64], digits[64:74]",
    "(8, 8, 1), 4, 24,": "(8, 8, 1), 1, 4,",
    "(32, 1), 5, 16": "(32, 1), 5, 4",
    "waves[:2000]": "waves[:64]",
    "n=200": "n=20",
    "(2,), 6, (32, 32)": "(2,), 2, (4,)",
    "n=1000, num_steps=2000": "n=10, num_warm_up=100, num_steps=100",
    "sample(200, seed=2)": "sample(30, seed=2)",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the page's blocks define, run from top to bottom."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "docs" / "complete").mkdir(parents=True)
    matplotlib.use("Agg")
    with warnings.catch_warnings():
        names = pages.run("docs/complete.md", folder, SHORTER)
    names["folder"] = folder
    return names


def test_every_half_is_completed_and_what_is_known_is_kept(page):
    for name, drawn in page["draws"].items():
        mask = np.broadcast_to(page["masks"][name], (8, 8, 1))
        assert drawn.shape == (5, 4, 8, 8, 1)
        known = np.broadcast_to(page["test"][:4][:, mask], drawn[:, :, mask].shape)
        np.testing.assert_array_equal(drawn[:, :, mask], known)


def test_the_pictures_and_numbers_are_there(page):
    drawn = page["folder"] / "docs" / "complete"
    pages.assert_pictures(drawn, "complete", ("digits", "forecast"))
    assert (pages.ROOT / "docs/complete/mnist.png").exists()
    assert len(page["found"]) == 11 and np.isfinite(list(page["found"].values())).all()
    assert page["upper"].x.shape == (20, 10, 8, 8, 1)
    assert page["futures"].shape == (20, 300, 32, 1)
    assert page["chains"].x.shape == (10, 2)
