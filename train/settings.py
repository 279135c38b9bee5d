"""What may change in the settings of a run that continues, and what may not."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from train import files

_FILE, _CHANGES = "config.json", "changes.json"
# Change no number. All fields that are not here or below do.
_FREE = (
    *("data.data_dir", "data.path", "data.cache"),
    *("export", "diagnosed", "strategy.timeout"),
)
_FREE_GROUPS = ("checkpoint.",)


class Change(NamedTuple):
    """A field that has another value than before.

    Attributes:
      field: of the config, such as "data.batch_size".
      before: its value; "(none)" of a field that was not there.
      now: its value.
    """

    field: str
    before: Any
    now: Any

    def __str__(self):
        return f"config.{self.field} was {self.before!r} and is {self.now!r}"


def check(config: Any, workdir: pathlib.Path) -> list[Change]:
    """Compares the settings with those of the run that is continued; writes nothing.

    More epochs are taken: steps that are done stay as they are, and the rate of the
    others follows the longer schedule. As such a run is not the one that would have
    begun with as many, the report notes it, as it notes all changes that
    `config.checkpoint.allow_changes` let through.

    Args:
      config: of the job.
      workdir: of the run. One without checkpoints may have any settings.

    Returns:
      All changes so far that the report has to note.

    Raises:
      ValueError: for a change of what the numbers depend on.
    """
    if not _has_checkpoints(workdir):
        return []
    found = _differences(_stored(workdir / _FILE, config), _plain(config))
    found = [change for change in found if not _is_free(change)]
    refused = [str(change) for change in found if not _is_longer(change)]
    if refused and not config.checkpoint.allow_changes:
        raise ValueError(
            f"{workdir} holds a run with other settings: {'; '.join(refused)}. Use "
            "another --workdir, or the settings of that run, or "
            "--config.checkpoint.allow_changes to mix them."
        )
    path = workdir / _CHANGES
    before = json.loads(path.read_text()) if path.exists() else []
    noted = [Change(*change) for change in before]
    return noted + [change for change in found if change not in noted]


def save(config: Any, changes: list[Change], workdir: pathlib.Path) -> None:
    """Writes the settings, and first the changes, which nothing else knows."""
    if changes:
        files.write_text(workdir / _CHANGES, json.dumps(changes, indent=1) + "\n")
    files.write_text(workdir / _FILE, config.to_json_best_effort(indent=2) + "\n")


def noted(changes: Sequence[Change]) -> str:
    """Returns a sentence for the report; empty if nothing has changed."""
    if not changes:
        return ""
    return f"Changed while the run was going on: {'; '.join(map(str, changes))}."


def _has_checkpoints(workdir):
    return any(
        path.is_dir()
        for pattern in ("checkpoints/*", "*/checkpoints/*")
        for path in workdir.glob(pattern)
    )


def _stored(path, config):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        if config.checkpoint.allow_changes:
            return _plain(config)
        raise ValueError(
            f"{path}, the settings of the run to continue, cannot be read "
            f"({type(error).__name__}). Restore it, use another --workdir, or "
            "--config.checkpoint.allow_changes if you know that they are the same."
        ) from None


def _plain(config):
    return json.loads(config.to_json_best_effort())


def _differences(before, now):
    one, two = _flat(before), _flat(now)
    return [
        Change(field, one.get(field, "(none)"), two.get(field, "(none)"))
        for field in sorted(one.keys() | two.keys())
        if one.get(field, "(none)") != two.get(field, "(none)")
    ]


def _flat(value, prefix=""):
    if not isinstance(value, dict) or not value:
        return {prefix.rstrip("."): value}
    found = {}
    for name, inner in value.items():
        found |= _flat(inner, f"{prefix}{name}.")
    return found


def _is_free(change):
    return change.field in _FREE or change.field.startswith(_FREE_GROUPS)


def _is_longer(change):
    return (
        change.field.split(".")[-1] == "epochs"
        and isinstance(change.before, int)
        and change.now > change.before
    )
