"""A real export under random damage: nothing goes unnoticed, and nothing crashes."""

import numpy as np
import pytest

from tests import laws
from tests.serving.conftest import export
from tfp_flows import flows
from tfp_flows.serving import check

FLIPS = 300
FILES = {
    *("saved_model.pb", "fingerprint.pb", "batching_params.pbtxt"),
    *("variables/variables.index", "variables/variables.data-00000-of-00001"),
    *(f"assets.extra/{name}" for name in ("golden.npz", "flow_card.json")),
    *(f"assets.extra/{name}" for name in ("MODEL_CARD.md", "SHA256SUMS")),
    "assets.extra/tf_serving_warmup_requests",
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A dequantized Glow with everything beside it that an export can have."""
    flow = flows.glow((4, 4, 1), 1, 2, 4, num_values=17)
    laws.randomize(flow)
    events = np.random.default_rng(0).uniform(0, 17, [60, 4, 4, 1])
    return export(flow, tmp_path_factory.mktemp("base"), calibration=np.floor(events))


def names(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix() for path in files}


def test_every_file_of_an_export_is_flipped(exported):
    assert names(exported) == FILES


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_flipped_bit_is_one_line(exported, name, capsys):
    rng, path = np.random.default_rng(2), exported / name
    good = path.read_bytes()
    try:
        for _ in range(FLIPS):
            damaged = bytearray(good)
            damaged[rng.integers(len(good))] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            assert check.main([str(exported)]) == 1
            said = capsys.readouterr()
            (line,) = said.err.splitlines()
            # In this process nothing may be loaded: what is said is of the file.
            assert line.startswith(f"FAILED: {exported}: ") and "damaged" in line
            assert said.out == ""
    finally:
        path.write_bytes(good)
    assert check.check_unloaded(exported)
