"""The page on serving, run as printed against an emulated server."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from tests import pages

_SERVED = """\
print(version)
from tests.serving.emulator.model import Model
from tests.serving.emulator.server import Server

served = Model(version)
server = Server(served, "moons")
"""


@pytest.mark.slow
def test_the_page_runs_as_printed(tmp_path):
    names = pages.run(
        "serving.md",
        tmp_path,
        {
            "print(version)\n": _SERVED,
            'Client("localhost:8500"': "Client(server.rpc",
            '    "http://localhost:8501/v1': '    server.rest + "/v1',
        },
    )
    try:
        assert names["version"].name == "1"
        assert names["p_value"][1] < 0.01 < names["p_value"][0]
        assert names["samples"].shape == (100, 2) and all(names["valid"])
        _run_curl(names)
    finally:
        names["client"].close()
        names["server"].close()
        names["served"].close()


def _run_curl(names):
    (command,) = re.findall(
        r"```bash\n(curl.*?)```", (pages.DOCS / "serving.md").read_text(), re.S
    )
    if shutil.which("curl") is None:
        return
    command = command.replace("http://localhost:8501", names["server"].rest)
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=True
    )
    outputs = json.loads(done.stdout)["outputs"]
    np.testing.assert_allclose(outputs["log_prob"], names["log_prob"], rtol=1e-5)
