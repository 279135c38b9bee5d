"""Names of versions, such as "stable" and "canary": `labels.json` beside the versions.

A server reads its labels from `models.config`; this file is what that one is made from,
and what keeps a version from being pruned. Servers ignore it: its name is no number.
"""

import json
import os
import pathlib
import re
from collections.abc import Iterable, Mapping

FILE_NAME = "labels.json"
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def read(base: str | os.PathLike) -> dict[str, int]:
    """Returns label to version, empty if nothing was labelled.

    Raises:
      ValueError: if the file is none of this module's.
    """
    try:
        found = json.loads(pathlib.Path(base, FILE_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{FILE_NAME} of {str(base)!r} is damaged: {error}") from error
    is_map = isinstance(found, dict) and all(map(_LABEL.fullmatch, found))
    if not is_map or not all(type(v) is int for v in found.values()):
        raise ValueError(f"{FILE_NAME} of {str(base)!r} holds no versions by label.")
    return found


def write(base: str | os.PathLike, labelled: Mapping[str, int]) -> None:
    """Replaces the labels of a base directory, all at once."""
    path = pathlib.Path(base, FILE_NAME)
    beside = path.with_name(f".{FILE_NAME}-{os.getpid()}")
    beside.write_text(json.dumps(dict(labelled), indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def parse(entries: Iterable[str]) -> dict[str, int]:
    """Returns label to version of entries such as "canary=3".

    Raises:
      ValueError: for another form.

    Examples:
      >>> parse(["canary=3", "stable=2"])
      {'canary': 3, 'stable': 2}
    """
    found = {}
    for entry in entries:
        label, _, version = entry.partition("=")
        is_number = version.isascii() and version.isdigit()
        if not _LABEL.fullmatch(label) or not is_number:
            raise ValueError(f"A label is written canary=3, got {entry!r}.")
        found[label] = int(version)
    return found
