"""One job at a time in a work directory."""

import contextlib
import json
import os
import pathlib
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

NAME = "lock.json"
REFRESHED = 5.0  # seconds between two signs of life
STALE = 60.0  # seconds without one, after which the owner is taken for dead
LOST = 2  # exit code of a job whose lock another one has taken


@contextlib.contextmanager
def held(workdir: pathlib.Path, say: Callable[[str], Any] = print) -> Iterator[None]:
    """Keeps other jobs out of a directory while the block runs.

    The lock is a file that says who holds it; its time of change is a sign of life. It
    works over a network file system whose hosts have about the same time.

    Args:
      workdir: of the job, which exists.
      say: prints a line, when the lock of a job that is gone is taken over.

    Raises:
      ValueError: if another job holds it.
    """
    path = workdir / NAME
    text = json.dumps(_myself()) + "\n"
    _take(path, text, say)
    done = threading.Event()
    refresh = threading.Thread(target=_refresh, args=(path, text, done), daemon=True)
    refresh.start()
    try:
        yield
    finally:
        done.set()
        refresh.join()
        if _read(path) == text:
            path.unlink()


def _myself():
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started": _process_started(os.getpid()),
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()) + " UTC",
        "id": uuid.uuid4().hex,
    }


def _take(path, text, say):
    while not _create(path, text):
        found = _read(path)
        if found is None:
            continue  # given back in this moment
        reason = _why_stale(path, found)
        if reason is None:
            raise ValueError(
                f"Another job runs in {path.parent} ({_owner(found)}). Wait for it or "
                f"stop it, or use another --workdir. If it is gone, {path} is taken "
                f"over {STALE:.0f} s after its last sign of life."
            )
        if _remove(path, found):
            say(f"The lock of a job that is gone ({_owner(found)}; {reason}) is taken.")


def _create(path, text):
    """Makes the file; returns whether it was not there."""
    try:
        file = path.open("x")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(text)
    except OSError:
        path.unlink()  # of a full disk
        raise
    return True


def _remove(path, found):
    """Removes a stale lock, unless another job was faster and has it anew."""
    aside = path.with_name(f".{uuid.uuid4().hex}-{path.name}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    if _read(aside) == found:
        aside.unlink()
        return True
    aside.rename(path)
    return False


def _read(path):
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return None


def _why_stale(path, found):
    """Why the owner of a lock is taken for dead; None if it is alive."""
    try:
        silent = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
    if silent > STALE:
        return f"no sign of life for {silent:.0f} s"
    owner = _parsed(found)
    if owner.get("host") != socket.gethostname():
        return None
    if owner.get("process_started") == _process_started(owner.get("pid")):
        return None
    return "its process is gone"


def _owner(found):
    owner = _parsed(found)
    if "pid" not in owner:
        return "its lock is unreadable"
    return f"process {owner['pid']} on {owner.get('host')}, since {owner['started']}"


def _parsed(found):
    try:
        return dict(json.loads(found))
    except (TypeError, ValueError):
        return {}


def _process_started(pid):
    """What tells a process from a later one of the same number; None if it is gone."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # another user's
    except (OSError, TypeError):
        return None
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "unknown"  # not on Linux
    return stat.rpartition(")")[2].split()[19]  # clock ticks since the boot


def _refresh(path, text, done):
    """Shows signs of life; ends the process if another job has taken the lock."""
    while not done.wait(REFRESHED):
        try:
            if path.read_text() == text:
                os.utime(path)
                continue
        except FileNotFoundError:
            pass
        except OSError:
            continue  # the file system may come back
        if not done.is_set():
            print(
                f"train: {path} is another job's now, so this one was silent for long. "
                "It ends",
                file=sys.stderr,
                flush=True,
            )
            os._exit(LOST)
