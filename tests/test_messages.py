"""Every ValueError says what came, what was wanted and what to do."""

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[1]
_VERBS = """
add ask batch build calibrate call check choose complete draw drop fit flatten give
leave make mark mend name pass put reduce repeat reshape resize sample state take train
use wrap write
""".split()
# A remedy is a sentence that begins with a verb, or one that is filled in; an argument
# out of its range has one in what the message says that it needs.
_REMEDY = re.compile(
    rf" needs? | must |[.:;,] (?:{'|'.join(_VERBS)})\b|\. …$", re.IGNORECASE
)


def raised():
    """(place, text) of each ValueError whose text is written where it is raised."""
    for path in ROOT.glob("tfp_flows/**/*.py"):
        if path.parent.name in ("scoring", "readers", "serving", "client"):
            continue  # reasons of single rows and files, which a line around them tells
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            name = getattr(node.exc.func, "id", "")
            if name != "ValueError" or not node.exc.args:
                continue
            text = node.exc.args[0]
            if isinstance(text, ast.Constant):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", str(text.value)
            elif isinstance(text, ast.JoinedStr):
                parts = (getattr(part, "value", "…") for part in text.values)
                words = (p if isinstance(p, str) else "…" for p in parts)
                yield f"{path.relative_to(ROOT)}:{node.lineno}", "".join(words)


def test_every_value_error_names_a_remedy():
    found = list(raised())
    assert len(found) > 200
    without = [f"{place}: {text}" for place, text in found if not _REMEDY.search(text)]
    assert not without, "\n".join(without)
