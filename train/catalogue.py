"""The configs that there are, and what each reaches, by their own words."""

import ast
import pathlib
import re
import textwrap

CONFIGS = pathlib.Path(__file__).parent / "configs"


def described(folder: pathlib.Path = CONFIGS) -> dict[str, tuple[str, str]]:
    """Returns for each config what it trains and what to expect, without running it.

    Args:
      folder: of config files, each with a docstring whose first line says what it
        trains and which has a sentence that begins with "Expect".
    """
    found = {}
    for path in sorted(folder.glob("*.py")):
        text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
        expected = re.search(r"Expect(?: \w+)*[:,].*?(?=\.(?: [A-Z]|$)|$)", text)
        if expected:
            first = re.split(r"\. |: ", text)[0].rstrip(".")
            found[path.stem] = (first, expected.group())
    return found


def page() -> str:
    """Returns the list as text for a terminal."""
    lines = ["Configs, each by python -m train --config=train/configs/<name>.py:", ""]
    for name, (trains, expected) in described().items():
        lines += [_wrapped(f"{name}: {trains}", 2), _wrapped(expected, 4)]
    return "\n".join(lines)


def _wrapped(text, indent):
    """Lines that no terminal cuts; what goes on is indented like the second."""
    following = " " * 4
    return textwrap.fill(
        text, 88, initial_indent=" " * indent, subsequent_indent=following
    )
