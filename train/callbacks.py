"""The log of a run: the metrics of every epoch, one JSON object a line."""

import json
import pathlib
import time
from typing import Any

import keras

from train import files


class MetricsLog(keras.callbacks.Callback):
    """Collects the metrics of each epoch.

    `Checkpoints` holds the rows, too, and writes the file after each checkpoint: what
    the file tells is always saved.

    Attributes:
      rows: one of each epoch.

    Args:
      path: of the file.
    """

    def __init__(self, path: pathlib.Path):
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self._path = path
        self._before, self._start = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Of the running epoch so far, without those of an interruption."""
        return self._before + time.perf_counter() - self._start

    def resume(self, rows: list[dict[str, Any]], seconds: float) -> None:
        """Goes on after the rows of earlier epochs.

        Args:
          rows: of the epochs that are done.
          seconds: of the epoch that was begun.
        """
        self.rows, self._before = list(rows), seconds

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None):
        """Notes the time."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None):
        """Adds a row."""
        row = {"epoch": epoch, **{k: float(v) for k, v in (logs or {}).items()}}
        self.rows.append({**row, "seconds": round(self.seconds, 3)})
        self._before = 0.0

    def write(self) -> None:
        """Writes the file."""
        text = "".join(json.dumps(row) + "\n" for row in self.rows)
        files.write_text(self._path, text)

    @property
    def is_written(self) -> bool:
        """Whether there is a file that is not empty."""
        return self._path.exists() and self._path.stat().st_size > 0


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the metrics of all epochs; none if there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]
