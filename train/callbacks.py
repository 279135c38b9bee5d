"""What a run writes while it trains, so that it can be stopped at any moment."""

import json
import pathlib
import time
from typing import Any

import keras
import tensorflow as tf

from tfp_flows.training import replicas


class MetricsLog(keras.callbacks.Callback):
    """Appends the metrics of each epoch to a file, one JSON object a line.

    A run that continues drops the lines of epochs that it is about to repeat, and a
    last line cut short by a crash.

    Args:
      path: of the file.
      first_epoch: of this run.
    """

    def __init__(self, path: pathlib.Path, first_epoch: int):
        super().__init__()
        self._path = path
        self._start = time.perf_counter()
        kept = [row for row in read_metrics(path) if row["epoch"] < first_epoch]
        # Whole under another name first: a stop in the middle of it loses no line.
        whole = path.with_suffix(".tmp")
        whole.write_text("".join(json.dumps(row) + "\n" for row in kept))
        whole.replace(path)

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the time."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Writes one line."""
        row = {"epoch": epoch, **{k: float(v) for k, v in (logs or {}).items()}}
        row["seconds"] = round(time.perf_counter() - self._start, 3)
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the metrics of all epochs; a line that is no JSON ends the list."""
    rows: list[dict[str, Any]] = []
    if not path.exists():
        return rows
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


class Checkpoints(keras.callbacks.Callback):
    """Saves everything a run needs to continue, and the weights that were best.

    Two kinds of checkpoint, each written whole under a new name before the old one is
    removed (`tf.train.CheckpointManager`), so that a stop in the middle of a write
    loses nothing: `last` holds weights, optimizer and the state of this callback after
    each epoch, `best` the weights of the best validation loss, which are the
    optimizer's averages if it keeps any. Training stops when that loss has not
    improved for `patience` epochs.

    Args:
      model: compiled `FlowModel` with a built optimizer.
      directory: of the checkpoints.
      patience: epochs without improvement.
      writes: whether this process is the one that writes; all read.
    """

    def __init__(
        self,
        model: keras.Model,
        directory: pathlib.Path,
        patience: int,
        writes: bool = True,
    ):
        super().__init__()
        self._patience, self._writes = patience, writes
        self._state = {
            "epoch": tf.Variable(0, dtype=tf.int64),
            "best_epoch": tf.Variable(-1, dtype=tf.int64),
            "best_loss": tf.Variable(float("inf"), dtype=tf.float64),
        }
        # `self.model` is set by `fit` only.
        self._trained, self._optimizer = model.trainable_variables, model.optimizer
        self._weights = weights = [v.value for v in model.variables]
        optimizer = self._of_optimizer = [v.value for v in model.optimizer.variables]
        self._strategy = model.distribute_strategy
        last = tf.train.Checkpoint(
            weights=weights, optimizer=optimizer, state=self._state
        )
        best = tf.train.Checkpoint(weights=weights)
        self._last = tf.train.CheckpointManager(last, str(directory / "last"), 2)
        self._best = tf.train.CheckpointManager(best, str(directory / "best"), 1)

    @property
    def next_epoch(self) -> int:
        """Epoch to continue with; 0 for a new run."""
        return int(self._state["epoch"].numpy())

    @property
    def is_finished(self) -> bool:
        """Whether patience ran out before."""
        best = int(self._state["best_epoch"].numpy())
        return best >= 0 and self.next_epoch - 1 - best >= self._patience

    def restore_last(self) -> bool:
        """Continues where the last whole checkpoint was written, if there is one.

        All workers call it: the one that writes tells the others.
        """
        found = self._writes and self._restore(self._last)
        if replicas.spans_workers(self._strategy):  # the others have no such file
            state = [*self._weights, *self._of_optimizer, *self._state.values()]
            replicas.send_from_first(self._strategy, state)
        return found

    def restore_best(self) -> bool:
        """Loads the weights of the best validation loss, where they were written."""
        return self._writes and self._restore(self._best)

    def _restore(self, manager):
        path = manager.latest_checkpoint
        if path is None:
            return False
        try:
            manager.checkpoint.restore(path).assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise ValueError(
                f"{path} does not fit this configuration ({type(error).__name__}). "
                "Use another --workdir, or the configuration it was written with."
            ) from None
        return True

    def on_epoch_end(self, epoch, logs=None):
        """Saves; the best weights first, as `last` remembers that they are there."""
        loss = float((logs or {}).get("val_loss", float("inf")))
        if loss < float(self._state["best_loss"].numpy()):
            self._state["best_loss"].assign(loss)
            self._state["best_epoch"].assign(epoch)
            if self._writes:
                self._save_best(epoch)
        self._state["epoch"].assign(epoch + 1)
        if self._writes:
            self._last.save(checkpoint_number=epoch + 1)
        if self.is_finished:
            self.model.stop_training = True

    def _save_best(self, epoch):
        now = [v.numpy() for v in self._weights]
        # Puts the averages in the weights' place; nothing without `use_ema`.
        self._optimizer.finalize_variable_values(self._trained)
        self._best.save(checkpoint_number=epoch + 1)
        for weight, value in zip(self._weights, now, strict=True):
            weight.assign(value)
