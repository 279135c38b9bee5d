"""Tensors that follow from weights alone, computed at once for many layers alike."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_STATE = threading.local()


def derived(owner: object, function: Callable[[], Any]) -> Any:
    """Returns `function()`, or what a surrounding `given` block has for the owner.

    Args:
      owner: whose weights the function reads.
      function: of weights alone, such as the product of a kernel and its scales.
    """
    values = getattr(_STATE, "values", {})
    return values[owner] if owner in values else function()


@contextmanager
def given(values: Mapping[Any, Any]) -> Iterator[None]:
    """Has `derived` return these values instead of computing them.

    `Repeat` computes them for all of its steps by batched operations: a few large ones
    in place of many that take longer to start than to run.

    Args:
      values: owner -> value.

    Example:
      >>> layer = object()
      >>> with given({layer: 2}):
      ...     derived(layer, lambda: 1)
      2
      >>> derived(layer, lambda: 1)
      1
    """
    before = getattr(_STATE, "values", {})
    _STATE.values = dict(values)
    try:
        yield
    finally:
        _STATE.values = before
