"""The page on detection runs as printed, and finds what it says."""

import pytest

from tests import pages


@pytest.mark.slow
def test_the_page_runs(tmp_path):
    names = pages.run("docs/detect.md", tmp_path)
    pages.assert_pictures(tmp_path, "detect", ["strangers"])
    mean, turned = names["strangers"]["mean digit"], names["strangers"]["on their side"]
    plain, states = (names["detectors"][m] for m in ("log_prob", "density_of_states"))
    assert not plain.detect(mean).any() and states.detect(mean).all()
    for detector in names["detectors"].values():
        assert detector.detect(turned).all()
        assert 0.01 < detector.detect(names["test"]).mean() < 0.1
    assert names["where"].shape == (3, 8, 8, 1)
