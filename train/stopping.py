"""SIGTERM and Ctrl-C: a step under way ends and is saved, all else ends at once."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """Ends the job; no error, so that nothing on the way takes it for one.

    Args:
      code: exit code of the process.
      sentence: what happened, for people.
    """

    def __init__(self, code: int, sentence: str):
        super().__init__(sentence)
        self.code = code


class Stop:
    """Whether this process was asked to end.

    Attributes:
      signal: the one that asked; None so far.

    Args:
      listens: whether to take the signals of the process, see `listening`.
    """

    def __init__(self, listens: bool = False):
        self.signal: signal.Signals | None = None
        self._listens, self._is_saving = listens, False

    @contextlib.contextmanager
    def saved_first(self) -> Iterator[None]:
        """Leaves it to the block to look at `signal` between steps, and to save."""
        self._is_saving = True
        try:
            yield
        finally:
            self._is_saving = False

    def listen(self) -> None:
        """Takes the signals, once more if another has taken them meanwhile.

        TensorFlow takes SIGTERM when workers meet, and then does nothing with it.
        """
        if self._listens:
            for number in SIGNALS:
                signal.signal(number, self.ask)

    def reason(self, error: BaseException) -> Stopped | None:
        """Returns why the job ends if it was stopped; None if an error ended it.

        Libraries that are being loaded make an error of their own of what a signal's
        handler raises.
        """
        if isinstance(error, Stopped):
            return error
        return None if self.signal is None else stopped(self.signal, is_saved=False)

    def ask(self, number: int, frame: Any = None) -> None:
        """Handles a signal."""
        self.signal = signal.Signals(number)
        if not self._is_saving:
            raise stopped(self.signal, is_saved=False)


def stopped(by: signal.Signals, is_saved: bool) -> Stopped:
    """Returns what to raise when a signal asks for it.

    Args:
      by: the signal.
      is_saved: whether the running step is saved.
    """
    what = "saved and stopped" if is_saved else "stopped"
    # The code that shells report.
    return Stopped(128 + by, f"{what} by {by.name}. The same command continues.")


@contextlib.contextmanager
def listening(grace: float) -> Iterator[Stop]:
    """Takes SIGTERM and SIGINT while the block runs.

    Python handles a signal when the main thread is out of TensorFlow again, which may
    be never if it waits for other workers. So another thread ends the process when the
    time is up, or at a second Ctrl-C.

    Args:
      grace: seconds from the signal to the end of the process.
    """
    stop = Stop(listens=True)
    mine, woken = socket.socketpair()
    woken.setblocking(False)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_in_time, args=(mine, grace), daemon=True).start()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    stop.listen()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        woken.close()


def _end_in_time(mine, grace):
    number = 0
    while number not in SIGNALS:  # others wake, too
        received = mine.recv(1)
        if not received:
            return  # the job has ended
        number = received[0]
    name = signal.Signals(number).name
    mine.settimeout(grace)
    message = f"stopped by {name}, not saved within {grace:g} s"
    with contextlib.suppress(TimeoutError):
        while True:
            received = mine.recv(1)
            if not received:
                return
            if received[0] == signal.SIGINT:
                message = "stopped by a second Ctrl-C, not saved"
                break
    text = f"train: {message}. The same command continues\n"
    os.write(2, text.encode())
    os._exit(128 + number)
