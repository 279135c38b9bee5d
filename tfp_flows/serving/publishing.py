"""Version directories: a model appears complete, under a new number, or not at all.

TF Serving polls `<base>/` every second and loads whatever is named by an integer. So a
model is written and checked under a name that it ignores, and renamed when it is done.
"""

import contextlib
import errno
import fcntl
import os
import pathlib
import platform
import shutil
import time
import uuid
from collections.abc import Callable, Iterator

_LARGEST = 2**63 - 1  # that a server can parse
_PREFIX = ".tmp-"
_STALE_SECONDS = 24 * 3600


def check_base(base_dir: str | os.PathLike) -> pathlib.Path:
    """Returns the base directory as a path, made if it does not exist.

    Raises:
      ValueError: if it is a file, a URL, or itself the directory of a version.
    """
    text = os.fspath(base_dir)
    if not isinstance(text, str) or not text:
        raise ValueError(f"base_dir must name a directory, got {text!r}.")
    if "://" in text:
        raise ValueError(
            f"base_dir must be on a local file system, whose rename is atomic, got "
            f"{text!r}. Export locally and copy the finished version directory."
        )
    base = pathlib.Path(text)
    if base.exists() and not base.is_dir():
        raise ValueError(f"base_dir must be a directory, got the file {text!r}.")
    if (base / "saved_model.pb").exists():
        raise ValueError(
            f"base_dir {text!r} is a version directory already. Pass its parent: the "
            "next version gets its number there."
        )
    base.mkdir(parents=True, exist_ok=True)
    return base


def versions(base: pathlib.Path) -> list[int]:
    """Returns the version numbers taken below a base directory, ascending.

    Numbers beyond 64 bits are none: no server can parse them.
    """
    names = (entry.name for entry in base.iterdir())
    numbers = (int(name) for name in names if name.isascii() and name.isdigit())
    return sorted(number for number in numbers if number <= _LARGEST)


def directories(base: pathlib.Path) -> list[int]:
    """Returns the versions that are directories under their plain number, ascending.

    Others may take a number, a file of that name or 007, but are nobody's to manage.
    """
    return [v for v in versions(base) if (base / str(v)).is_dir()]


def next_version(base: pathlib.Path) -> int:
    """Returns the number after the highest below a base directory."""
    return max(versions(base), default=0) + 1


def check_version(base: pathlib.Path, version: int | None) -> None:
    """Refuses a version that is no positive integer, or taken.

    Raises:
      ValueError: with what to do.
    """
    if version is None:
        if versions(base)[-1:] == [_LARGEST]:
            raise ValueError(
                f"The versions below {str(base)!r} have reached the largest number, "
                f"{_LARGEST}. Pass version=, one that is free."
            )
        return
    is_integer = isinstance(version, int) and not isinstance(version, bool)
    if not is_integer or not 1 <= version <= _LARGEST:
        raise ValueError(
            f"version must be a positive integer or None for the next one, got "
            f"{version!r}."
        )
    taken = versions(base)
    if version in taken:
        raise ValueError(
            f"Version {version} exists below {str(base)!r} and is never overwritten. "
            f"Leave version out, or pass {taken[-1] + 1}."
        )


@contextlib.contextmanager
def workspace(base: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a directory below `base` that servers ignore; gone afterwards.

    Those that killed exports left are removed. An export holds a lock on its own as
    long as its process lives, which other hosts cannot see: what they left goes when
    nothing has changed in it for a day.
    """
    for left in base.glob(f"{_PREFIX}*"):
        _remove_stale(left)
    handle = None
    # Not tempfile.mkdtemp, which hides the model from the server's user.
    directory = base / f"{_PREFIX}{platform.node()}-{uuid.uuid4().hex}"
    try:
        while handle is None:
            directory.mkdir()
            handle = _locked(directory)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _locked(directory, flags=0):
    """Returns a handle with the directory's lock, or None if it cannot be had."""
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | flags)
        if directory.exists():  # else somebody took it for stale meanwhile
            return handle
    except OSError:
        pass
    os.close(handle)
    return None


def _remove_stale(directory):
    """Removes a work directory in which no process works any more."""
    if not directory.name.startswith(f"{_PREFIX}{platform.node()}-"):
        times = [_changed(path) for path in [directory, *directory.rglob("*")]]
        if time.time() - max(times) > _STALE_SECONDS:
            shutil.rmtree(directory, ignore_errors=True)
        return
    handle = _locked(directory, fcntl.LOCK_NB)
    if handle is not None:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(handle)


def _changed(path):
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # gone, by its own export


def publish(
    directory: pathlib.Path,
    base: pathlib.Path,
    version: int | None,
    prepare: Callable[[int], None],
) -> pathlib.Path:
    """Renames a finished directory to a version number.

    Args:
      directory: the finished model, below `base`.
      base: the base directory.
      version: the number, or None for one more than the highest.
      prepare: called with the number before the rename, and again if somebody else
        took that number meanwhile; the last to write into the directory.

    Returns:
      The version's directory.

    Raises:
      ValueError: if the version that was asked for is taken.
    """
    while True:
        check_version(base, version)
        number = version or next_version(base)
        prepare(number)
        sync(directory)
        target = base / str(number)
        try:
            directory.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            continue  # taken while we wrote: look again
        _sync_one(base)
        return target


def sync(directory: pathlib.Path) -> None:
    """Writes a directory and all below it through to the disk."""
    for path in [*directory.rglob("*"), directory]:
        _sync_one(path)


def _sync_one(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
