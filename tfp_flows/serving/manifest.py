"""Checksums of all files of a version: a flipped bit is found before anything is read.

`assets.extra/SHA256SUMS` has the format of `sha256sum`, so that nobody needs this
library to verify a copy: `cd served/digits/1 && sha256sum -c assets.extra/SHA256SUMS`.
"""

import hashlib
import os
import pathlib

FILE_NAME = os.path.join("assets.extra", "SHA256SUMS")


def write(directory: str | os.PathLike) -> None:
    """Writes the checksums of all files below a directory but its own."""
    path = pathlib.Path(directory) / FILE_NAME
    path.parent.mkdir(exist_ok=True)
    path.write_text(_sums(directory), encoding="utf-8")


def problem(directory: str | os.PathLike) -> str | None:
    """Returns what is wrong with a directory's files in one clause, or None.

    Everything counts: a file that changed, is missing, or was added, and any byte of
    the list itself.

    Args:
      directory: of a version.

    Raises:
      OSError: if a file cannot be read.
      ValueError: if something is no plain file, or a link to a directory or nothing.
    """
    path = pathlib.Path(directory) / FILE_NAME
    if not path.is_file():
        return f"it holds no {FILE_NAME}: export again"
    stored, found = path.read_bytes(), _sums(directory).encode()
    if stored == found:
        return None
    listed, there = _by_name(stored), _by_name(found)
    for name in sorted(listed | there):
        if name not in listed:
            return f"{name} is not in {FILE_NAME}, or that list is damaged"
        if name not in there:
            return f"{name!r} is missing, or {FILE_NAME} is damaged"
        if listed[name] != there[name]:
            return f"{name} is damaged: its sha256 is not that of {FILE_NAME}"
    return f"{FILE_NAME} is damaged"


def _sums(directory):
    root = pathlib.Path(directory)
    names = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if (path.is_symlink() or not path.is_dir()) and path != root / FILE_NAME
    )
    return "".join(f"{_sha256(root / name)}  {name}\n" for name in names)


def _by_name(sums):
    lines = [line.partition("  ") for line in sums.decode(errors="replace").split("\n")]
    return {name: digest for digest, _, name in lines if name}


def _sha256(path):
    digest = hashlib.sha256()
    if not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path.name!r} is no plain file")
    with path.open("rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()
