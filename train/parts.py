"""What a job is doing, and how long it takes."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras


class Parts:
    """Says which part of a job begins and, when it is done, how long it took.

    Args:
      titles: of all parts, in their order.
      say: prints a line.

    Examples:
      >>> parts = Parts(["data", "glow"], print)
      The job has 2 parts: data; glow.
      >>> with parts.next():
      ...     pass
      [1/2] data
      [1/2] took 0 s
    """

    def __init__(self, titles: Sequence[str], say: Callable[[str], Any]):
        self._titles, self._say, self._begun = list(titles), say, 0
        say(f"The job has {len(titles)} parts: {'; '.join(titles)}.")

    @contextlib.contextmanager
    def next(self) -> Iterator[None]:
        """The part that comes next runs inside of this."""
        place = f"[{self._begun + 1}/{len(self._titles)}]"
        self._say(f"{place} {self._titles[self._begun]}")
        self._begun += 1
        start = time.monotonic()
        yield
        self._say(f"{place} took {duration(time.monotonic() - start)}")


class Remaining(keras.callbacks.Callback):
    """Says once how long the epochs will take, from the second one done here.

    The first one also traces and compiles.

    Args:
      epochs: at most, of the run.
      say: prints a line.
    """

    def __init__(self, epochs: int, say: Callable[[str], Any]):
        super().__init__()
        self._epochs, self._say = epochs, say
        self._done, self._start = 0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None):
        """Notes the time."""
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None):
        """Speaks after the second epoch."""
        self._done += 1
        left = self._epochs - epoch - 1
        if self._done == 2 and left:
            seconds = left * (time.monotonic() - self._start)
            self._say(f"{left} epochs are left, about {duration(seconds)} at most")


def duration(seconds: float) -> str:
    """Returns a time in words.

    Examples:
      >>> duration(7.4), duration(190), duration(7300)
      ('7 s', '3 min 10 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
