"""Version directories: a model appears complete, under a new number, or not at all.

TF Serving polls `<base>/` every second and loads whatever is named by an integer. So a
model is written and checked under a name that it ignores, and renamed when it is done.
"""

import contextlib
import errno
import os
import pathlib
import shutil
import uuid
from collections.abc import Callable, Iterator


def check_base(base_dir: str | os.PathLike) -> pathlib.Path:
    """Returns the base directory as a path, made if it does not exist.

    Raises:
      ValueError: if it is a file, a URL, or itself the directory of a version.
    """
    text = os.fspath(base_dir)
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
    """Returns the version numbers taken below a base directory, ascending."""
    names = (entry.name for entry in base.iterdir())
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def check_version(base: pathlib.Path, version: int | None) -> None:
    """Refuses a version that is no positive integer, or taken.

    Raises:
      ValueError: with the next free number.
    """
    if version is None:
        return
    is_integer = isinstance(version, int) and not isinstance(version, bool)
    if not is_integer or not 1 <= version < 2**63:
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
    """Gives a directory below `base` that servers ignore; gone afterwards."""
    directory = base / f".tmp-{uuid.uuid4().hex}"
    # Not tempfile.mkdtemp, which hides the model from the server's user.
    directory.mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


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
        number = version or max(versions(base), default=0) + 1
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
