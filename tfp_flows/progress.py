"""Bars for what takes more than three seconds, on terminals and in notebooks only."""

from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")
_OPTIONS: dict[str, Any] = {"delay": 3.0, "disable": None, "leave": False}


def steps(items: Iterable[_Item], title: str) -> Iterable[_Item]:
    """Yields the items; a bar on stderr counts them once three seconds have passed.

    Args:
      items: of known length, best.
      title: what is done to them.

    Examples:
      >>> [2 * i for i in steps(range(3), "doubling")]
      [0, 2, 4]
    """
    return tqdm(items, title, **_OPTIONS)


def parts(title: str, count: int) -> tqdm:
    """Returns a bar for work of several parts, each of which says `update()`.

    Args:
      title: what is done.
      count: number of parts.

    Examples:
      >>> with parts("cooking", 2) as bar:
      ...     _ = bar.update(), bar.update()
    """
    return tqdm(desc=title, total=count, **_OPTIONS)
