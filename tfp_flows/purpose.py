"""What code runs for, or is being traced for: some of it then does better.

A purpose is one of

- "training": gradients will be taken, or nothing is known;
- "evaluation": nobody asks for gradients;
- "xla": the same, and XLA may compile the steps;
- "export": what follows from weights will be computed once, see `prepared_once`.

Traced functions get it as an argument, see `bijectors.running.tracing`.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STATE = threading.local()


def purpose() -> str:
    """Returns what the code that runs, or is being traced, is for."""
    return getattr(_STATE, "purpose", "training")


@contextmanager
def running_for(purpose: str) -> Iterator[None]:
    """Runs or traces code for a purpose.

    Examples:
      >>> with running_for("evaluation"):
      ...     print(purpose())
      evaluation
    """
    before = getattr(_STATE, "purpose", "training")
    _STATE.purpose = purpose
    try:
        yield
    finally:
        _STATE.purpose = before
