"""The page on serving, run as printed against an emulated server."""

import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from tests import pages


@pytest.mark.slow
def test_the_page_runs_as_printed(tmp_path):
    names = pages.run(
        "docs/serving.md",
        tmp_path,
        {
            'Client("localhost:8500"': "Client(server.rpc",
            '    "http://localhost:8501/v1': '    server.rest + "/v1',
        },
    )
    try:
        assert names["version"].name == "1"
        assert names["p_value"][1] < 0.01 < names["p_value"][0]
        assert names["samples"].shape == (100, 2) and all(names["valid"])
        _run_curl(names)
        _run_cpp(names, tmp_path)
        _run_go(names, tmp_path)
    finally:
        names["client"].close()
        names["server"].close()
        names["served"].close()


def _run_curl(names):
    if shutil.which("curl") is None:
        return
    command = _block("bash", "curl").replace(
        "http://localhost:8501", names["server"].rest
    )
    _check(names, ["bash", "-c", command])


def _run_cpp(names, folder):
    if shutil.which("g++") is None:
        return
    port = names["server"].rest.rpartition(":")[2]
    source = folder / "ask.cpp"
    source.write_text(_block("cpp", "#include").replace("8501", port))
    command = ["g++", "-Wall", "-Werror", str(source), "-o", str(folder / "ask")]
    subprocess.run(command, check=True)
    _check(names, [str(folder / "ask")])


def _run_go(names, folder):
    if shutil.which("go") is None:
        return
    source = folder / "ask.go"
    code = _block("go", "package main").replace(
        "http://localhost:8501", names["server"].rest
    )
    source.write_text(code)
    cache = {"GOCACHE": str(folder / "cache"), "GOPATH": str(folder / "go")}
    done = subprocess.run(
        ["go", "run", str(source)],
        env={**os.environ, **cache, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.fullmatch(r"\[(.*)\] \[(.*)\]\n", done.stdout)
    got = [float(number) for number in found[1].split()]
    np.testing.assert_allclose(got, names["log_prob"], rtol=1e-5)
    assert found[2] == "true true"


def _block(language, beginning):
    page = (pages.ROOT / "docs/serving.md").read_text()
    (block,) = re.findall(rf"```{language}\n({beginning}.*?)```", page, re.S)
    return block


def _check(names, command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    outputs = json.loads(done.stdout)["outputs"]
    np.testing.assert_allclose(outputs["log_prob"], names["log_prob"], rtol=1e-5)
