"""Files appear whole under their name, or not at all, and survive a power cut."""

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

PART = ".part-"  # begins the name of what is not whole yet
_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_whole(path: pathlib.Path, write: Callable[[pathlib.Path], Any]) -> None:
    """Writes a file under another name beside its own, syncs and renames it.

    Whatever goes wrong, the file that was there stays as it was.

    Args:
      path: of the file.
      write: writes it to the path that it is given, which ends as `path` does.

    Raises:
      OSError: if the disk is full, whatever `write` raised for it.
    """
    part = path.with_name(PART + path.name)
    try:
        with full_disk_as_oserror(path):
            write(part)
            sync(part)
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file whole, see `write_whole`."""
    write_whole(path, lambda part: part.write_text(text))


@contextlib.contextmanager
def whole_directory(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a directory to write into, which gets its name when it is done.

    Args:
      path: of the directory, which does not exist.

    Raises:
      OSError: if the disk is full.
    """
    part = path.with_name(PART + path.name)
    part.mkdir(parents=True)
    try:
        with full_disk_as_oserror(path):
            yield part
            for file in [*part.rglob("*"), part]:
                sync(file)
            part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync(path.parent)


def remove_directory(path: pathlib.Path) -> None:
    """Removes a directory that is whole, so that no half of it keeps its name."""
    part = path.with_name(PART + path.name)
    path.rename(part)
    shutil.rmtree(part)


def remove_parts(directory: pathlib.Path) -> None:
    """Removes what a process that was killed has left half written or removed."""
    for path in directory.glob(PART + "*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def sync(path: pathlib.Path) -> None:
    """Writes a file or the names in a directory through to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_full(error: BaseException | None) -> bool:
    """Returns whether an error, or what it came from, is that of a full disk.

    TensorFlow and HDF5 have errors of their own for it, with the system's words in
    them.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(os.strerror(number) in str(error) for number in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def full_disk_as_oserror(path: pathlib.Path) -> Iterator[None]:
    """Turns every library's error of a full disk into one `OSError`.

    Args:
      path: of what was to be written, for the message.
    """
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        text = os.strerror(errno.ENOSPC)
        raise OSError(errno.ENOSPC, text, str(path)) from None
