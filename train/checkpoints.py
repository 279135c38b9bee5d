"""What a run needs to continue as if it had not been stopped, inside an epoch too."""

import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.training import replicas
from train import callbacks, snapshots, stopping, strategies, together

# Steps after which workers ask each other whether to save: a small collective.
_ASKED_EVERY = 10


class Position(NamedTuple):
    """Where a run is.

    Attributes:
      epoch: that it is in.
      step: of that epoch, the next to do.
      best_epoch: with the best validation loss; -1 for none.
      best_loss: that loss.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = -1
    best_loss: float = float("inf")


class Length(NamedTuple):
    """How long a run goes on.

    Attributes:
      epochs: at most.
      steps: of an epoch.
      patience: epochs without a better validation loss, after which it ends.
    """

    epochs: int
    steps: int
    patience: int


class Checkpoints(keras.callbacks.Callback):
    """Saves at each epoch's end and every few minutes; stops when asked to.

    A checkpoint holds weights, optimizer, position, the running epoch's sums of
    metrics, the rows of the log, and the weights of the best validation loss, which
    are the optimizer's averages if it keeps any.

    With several workers all of them make one, and the first writes it. The last
    callback of `fit`, and the one that has the log written.

    Attributes:
      position: where the run is.
      length: how long it goes on.
      log: of its epochs.
      writes: whether this process is the one that writes.

    Args:
      model: compiled `FlowModel` with a built optimizer.
      directory: of the checkpoints.
      length: of the run.
      log: whose rows are saved and written.
      minutes: between checkpoints inside of an epoch.
      stop: whether to end after a step.
      writes: whether this process is the one that writes.
      say: prints a line.
    """

    def __init__(
        self,
        model: keras.Model,
        directory: pathlib.Path,
        length: Length,
        log: callbacks.MetricsLog,
        *,
        minutes: float = 10.0,
        stop: stopping.Stop | None = None,
        writes: bool = True,
        say: Callable[[str], Any] = print,
    ):
        super().__init__()
        self.length, self.writes, self.log = length, writes, log
        self._seconds = 60.0 * minutes
        self._stop = stop or stopping.Stop()
        self._store = snapshots.Store(directory, say)
        # `self.model` is set by `fit` only.
        self._trained, self._averages_of = model.trainable_variables, model.optimizer
        self._weights = [v.value for v in model.variables]
        self._optimizer = [v.value for v in model.optimizer.variables]
        self._strategy = model.distribute_strategy
        self._spans = replicas.spans_workers(self._strategy)
        self._sums = together.ReplicaSums(model)
        self._sums_so_far: np.ndarray | None = None
        self._best: list[np.ndarray] = []
        self._put_back: list[np.ndarray] = []
        self._saved_at = time.monotonic()
        self.position = Position()

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done, or the loss has not improved for long."""
        epoch, _, best, _ = self.position
        ran_out = best >= 0 and epoch - 1 - best >= self.length.patience
        return ran_out or epoch >= self.length.epochs

    def restore(self) -> bool:
        """Continues from the newest whole checkpoint, if there is one.

        All workers call it: the one that writes tells the others.

        Returns:
          Whether there was one.

        Raises:
          ValueError: if it is of another model, or if there were checkpoints and none
            is whole.
        """
        found = self._store.newest() if self.writes else None
        if found is not None:
            self._set(found)
        elif self.writes and self.log.is_written:
            raise ValueError(
                "The log of the run has epochs, but its checkpoints are gone. Bring "
                "them back, or begin anew with another --workdir."
            )
        if self._spans:
            self._send()
        return found is not None

    def restore_best(self) -> bool:
        """Sets the weights to those of the best validation loss, if there was one."""
        _assign(self._weights, self._best)
        return bool(self._best)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None):
        """Goes on with the sums of an epoch that was begun; Keras has reset them."""
        if self._sums_so_far is not None:
            self._sums.write(self._sums_so_far)
            self._sums_so_far = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None):
        """Saves if it is time to, or if someone was asked to stop."""
        self.position = self.position._replace(step=self.position.step + 1)
        if self.position.step == self.length.steps:
            return  # the epoch is done but for its validation, and then saved
        is_due, is_asked = self._agreed(time.monotonic() - self._saved_at)
        if is_due or is_asked:
            self._save()
        if is_asked:
            raise self._stopped()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None):
        """Saves, writes the log, and ends `fit` or the job where it has to end."""
        steps = self.length.steps
        was_begun_before = self.params.get("steps", steps) < steps
        loss = float((logs or {}).get("val_loss", float("inf")))
        if loss < self.position.best_loss:
            self.position = self.position._replace(best_epoch=epoch, best_loss=loss)
            self._best = self._averages()
        self.position = self.position._replace(epoch=epoch + 1, step=0)
        self._save()
        if self.writes:
            self.log.write()
        if self._agreed(0.0, at_epoch_end=True)[1]:
            raise self._stopped()
        self.model.stop_training = was_begun_before or self.is_done
        is_followed = was_begun_before and not self.is_done
        self._put_back = [v.numpy() for v in self._weights] if is_followed else []

    def on_train_end(self, logs: dict[str, Any] | None = None):
        """Undoes that Keras sets weights to averages, if another `fit` follows."""
        _assign(self._weights, self._put_back)
        self._put_back = []

    def _agreed(self, seconds, at_epoch_end=False):
        """Whether to save and whether to stop, the same for all workers."""
        wanted = seconds >= self._seconds and self.writes, self._stop.signal is not None
        if not self._spans:
            return wanted
        epoch, step, *_ = self.position
        if not at_epoch_end and (epoch * self.length.steps + step) % _ASKED_EVERY:
            return False, False
        return together.any_of(self._strategy, wanted)

    def _stopped(self):
        if self._stop.signal is not None:
            return stopping.stopped(self._stop.signal, is_saved=True)
        return stopping.Stopped(
            strategies.UNAVAILABLE,
            "another worker was asked to stop. Start the same command again on all of "
            "them",
        )

    def _averages(self):
        """The weights to judge the model by: averages, where the optimizer has some."""
        now = [v.numpy() for v in self._weights]
        self._averages_of.finalize_variable_values(self._trained)
        found = [v.numpy() for v in self._weights]
        _assign(self._weights, now)
        return found

    def _save(self):
        sums = self._sums.read()
        if self.writes:
            arrays = {
                "weights": [v.numpy() for v in self._weights],
                "optimizer": [v.numpy() for v in self._optimizer],
                "best": self._best,
                "sums": [sums],
            }
            state = {
                **self.position._asdict(),
                "steps": self.length.steps,
                "rows": self.log.rows,
                "seconds": self.log.seconds if self.position.step else 0.0,
            }
            self._store.save(snapshots.Snapshot(arrays, state))
        self._saved_at = time.monotonic()

    def _set(self, found):
        for name, variables in (
            ("weights", self._weights),
            ("optimizer", self._optimizer),
        ):
            _check_fit(name, found.arrays[name], variables)
            _assign(variables, found.arrays[name])
        self._best = list(found.arrays["best"])
        state = found.state
        position = Position(*(state[name] for name in Position._fields))
        if state["steps"] != self.length.steps:  # allowed by hand: steps are others now
            position = position._replace(step=0)
        self._resume(position, found.arrays["sums"][0])
        self.log.resume(state["rows"], state["seconds"])
        self.log.write()

    def _resume(self, position, sums):
        self.position = position
        fits = sums.shape == self._sums.shape  # not with another number of replicas
        self._sums_so_far = sums if position.step and fits else None

    def _send(self):
        with self._strategy.scope():
            position = tf.Variable(tf.constant(self.position, tf.float64))
            sums = tf.Variable(tf.zeros(self._sums.shape, tf.float64))
        if self._sums_so_far is not None:
            sums.assign(self._sums_so_far)
        state = [*self._weights, *self._optimizer, position, sums]
        replicas.send_from_first(self._strategy, state)
        *places, loss = position.numpy().tolist()
        self._resume(Position(*map(int, places), loss), sums.numpy())


def _check_fit(name: str, arrays: Sequence[np.ndarray], variables: Sequence) -> None:
    found = [(a.shape, a.dtype.name) for a in arrays]
    wanted = [(tuple(v.shape), v.dtype.name) for v in variables]
    if found == wanted:
        return
    place = next(
        (
            f"the first that differs is {i} with {a} in place of {b}"
            for i, (a, b) in enumerate(zip(found, wanted, strict=False))
            if a != b
        ),
        f"{len(found)} in place of {len(wanted)} arrays",
    )
    raise ValueError(
        f"The checkpoint does not fit this configuration: of its {name} {place}. Use "
        "another --workdir, or the configuration it was written with."
    )


def _assign(variables, values):
    """Assigns if there are values."""
    if values:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
