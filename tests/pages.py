"""Runs the Python of a documentation page, from top to bottom."""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def run(
    name: str, folder: pathlib.Path, shorter: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Runs a page's blocks in a folder and returns the names that they define.

    Args:
      name: of the page's file.
      folder: where its pictures go.
      shorter: what is printed -> what is run in its place; each stands there once.
    """
    text = (ROOT / name).read_text()
    for printed, instead in (shorter or {}).items():
        assert text.count(printed) == 1, printed
        text = text.replace(printed, instead)
    names: dict[str, Any] = {"__name__": "page"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.S)):
            exec(compile(block, f"{name}, block {number}", "exec"), names)
    return names


def assert_pictures(folder: pathlib.Path, page: str, names: Sequence[str]) -> None:
    """Asserts that a page drew pictures, and that the documentation has them.

    Args:
      folder: where the page drew.
      page: its name, that of the folder of its pictures in docs.
      names: of the pictures.
    """
    for name in names:
        assert (folder / f"{name}.png").stat().st_size > 2000
        assert (ROOT / "docs" / page / f"{name}.png").exists()
