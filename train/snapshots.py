"""Checkpoints on disk: whole, with checksums, the damaged ones set aside.

A checkpoint is a directory `<number>/` with arrays in `.npz` files, plain data in
`state.json`, and a manifest with size and SHA-256 of each of them. It says nothing of
what the arrays are; that is for `train.checkpoints`.
"""

import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from train import files

_MANIFEST, _STATE, _DAMAGED = "manifest.json", "state.json", "damaged-"
_KEPT = 3


class Snapshot(NamedTuple):
    """What one checkpoint holds.

    Attributes:
      arrays: lists of arrays, each list under a name and in a file of its own.
      state: what JSON can hold.
    """

    arrays: Mapping[str, Sequence[np.ndarray]]
    state: Mapping[str, Any]


class Store:
    """The checkpoints below a directory; the newest three are kept.

    Args:
      directory: of the checkpoints, made when the first is saved.
      say: prints a line.
    """

    def __init__(self, directory: pathlib.Path, say: Callable[[str], Any] = print):
        self._directory, self._say = directory, say

    def save(self, snapshot: Snapshot) -> pathlib.Path:
        """Writes a checkpoint, then removes the oldest beyond three.

        Returns:
          Its directory.

        Raises:
          OSError: if it cannot be written; those that are there stay.
        """
        number = 1 + max(map(_number, self._entries()), default=0)
        path = self._directory / f"{number:08d}"
        with files.whole_directory(path) as part:
            for name, arrays in snapshot.arrays.items():
                np.savez(part / f"{name}.npz", *arrays)
            (part / _STATE).write_text(json.dumps(snapshot.state))
            names = sorted(file.name for file in part.iterdir())
            facts = {name: _facts(part / name) for name in names}
            (part / _MANIFEST).write_text(_manifest(facts))
        for old in self._whole()[:-_KEPT]:
            files.remove_directory(old)
        return path

    def newest(self) -> Snapshot | None:
        """Returns the newest whole checkpoint; newer, damaged ones are set aside.

        Returns:
          The checkpoint; None if there never was one.

        Raises:
          ValueError: if there were some and none is whole.
        """
        files.remove_parts(self._directory)
        for path in reversed(self._whole()):
            damage = damage_of(path)
            if damage is None:
                return _read(path)
            aside = path.with_name(_DAMAGED + path.name)
            path.rename(aside)
            self._say(
                f"The checkpoint {path} is damaged: {damage}. It is set aside as "
                f"{aside.name}; the one before is used."
            )
        if self._entries():
            raise ValueError(
                f"No checkpoint below {self._directory} is whole. Restore one from a "
                "backup, or begin anew with another --workdir."
            )
        return None

    def _whole(self):
        return [p for p in self._entries() if not p.name.startswith(_DAMAGED)]

    def _entries(self):
        """All checkpoints in the order of their numbers, those set aside too."""
        found = [p for p in self._directory.glob("*") if _number(p)]
        return sorted(found, key=_number)


def _number(path):
    """The number in the name of a checkpoint; 0 of anything else."""
    name = path.name.removeprefix(_DAMAGED)
    return int(name) if name.isascii() and name.isdigit() else 0


def damage_of(path: pathlib.Path) -> str | None:
    """Returns what is wrong with a checkpoint; None if it is whole."""
    try:
        text = (path / _MANIFEST).read_text()
        files_of = json.loads(text)
        is_readable = text == _manifest(files_of)
    except FileNotFoundError:
        return f"{_MANIFEST} is missing"
    except (AttributeError, OSError, ValueError):
        is_readable = False
    if not is_readable:
        return f"{_MANIFEST} is not as it was written"
    del files_of[_MANIFEST]
    for name, wanted in files_of.items():
        try:
            found = _facts(path / name)
        except OSError as error:
            return f"{name} is missing or unreadable ({error.strerror})"
        if found != wanted:
            return f"{name} has {found} in place of {wanted}"
    return None


def _manifest(facts):
    """The manifest's text, with a checksum of its own."""
    lines = {name: text for name, text in facts.items() if name != _MANIFEST}
    digest = hashlib.sha256(json.dumps(lines).encode()).hexdigest()
    return json.dumps({**lines, _MANIFEST: digest}, indent=1) + "\n"


def _facts(path):
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
            size += len(piece)
    return f"{size} bytes with SHA-256 {digest.hexdigest()}"


def _read(path):
    arrays = {}
    for file in path.glob("*.npz"):
        with np.load(file, allow_pickle=False) as found:
            arrays[file.stem] = [found[f"arr_{i}"] for i in range(len(found.files))]
    return Snapshot(arrays, json.loads((path / _STATE).read_text()))
