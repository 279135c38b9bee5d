"""Where a job runs: one device, all of a machine's, many workers, a TPU."""

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from train.pipelines import Share

NAMES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
UNAVAILABLE = 75  # exit code of a job that the same command continues (EX_TEMPFAIL)
# What the collectives of the others raise when a worker dies.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class Worker(NamedTuple):
    """This process among those of a job.

    Attributes:
      number: of this worker.
      addresses: of all workers, "host:port".
    """

    number: int
    addresses: tuple[str, ...]


class Place(NamedTuple):
    """What a job runs on.

    Attributes:
      strategy: of `tf.distribute`.
      is_chief: whether this process writes what is shared; the first worker does.
    """

    strategy: tf.distribute.Strategy
    is_chief: bool

    def dealt(self, batches: Callable[[Share], tf.data.Dataset]) -> Any:
        """Returns a data set with each replica's part of each batch.

        Args:
          batches: makes the data set of the replicas that one process feeds.
        """
        count = self.strategy.num_replicas_in_sync
        if count == 1:
            return batches(Share())

        def of_worker(context):
            mine = count // context.num_input_pipelines
            return batches(Share(context.input_pipeline_id * mine, mine, count))

        return self.strategy.distribute_datasets_from_function(of_worker)


def place(config: Any) -> Place:
    """Returns what `config.strategy` asks for, or finds it.

    "auto" takes the TPU that `tpu` names, else the workers of `TF_CONFIG`, else all
    GPUs or logical CPUs if there are several, else the one device.

    Args:
      config: `name`, `tpu`, `logical_cpus`, `timeout`; see `train.configs`.

    Raises:
      ValueError: for a choice that does not fit the machine or `TF_CONFIG`.
    """
    worker = read_tf_config(os.environ.get("TF_CONFIG", ""))
    name = _chosen(config, worker)
    if config.logical_cpus > 1:
        _cut_cpu(config.logical_cpus)
    if name == "tpu":
        return Place(_tpu(config.tpu), True)
    if name == "multi_worker":
        return _multi_worker(worker, config.timeout)
    if name == "mirrored":
        devices = _several_devices()
        return Place(tf.distribute.MirroredStrategy(devices), True)
    return Place(tf.distribute.get_strategy(), True)


def read_tf_config(text: str) -> Worker | None:
    """Returns this worker as `TF_CONFIG` describes it; None if there is none.

    A cluster of one "chief" and "worker"s is taken too; the chief comes first.

    Raises:
      ValueError: for a text that describes no worker.

    Examples:
      >>> cluster = '{"worker": ["a:1", "b:1"]}'
      >>> task = '{"type": "worker", "index": 1}'
      >>> read_tf_config(f'{{"cluster": {cluster}, "task": {task}}}')
      Worker(number=1, addresses=('a:1', 'b:1'))
    """
    if not text.strip():
        return None
    try:
        found = json.loads(text)
        cluster, task = found["cluster"], found["task"]
        role, index = task["type"], int(task["index"])
        addresses = {name: list(cluster[name]) for name in cluster}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"TF_CONFIG describes no worker ({type(error).__name__}: {error})."
            ' Wanted {"cluster": {"worker": ["host:port", ...]}, "task": {"type": '
            '"worker", "index": 0}}, or no TF_CONFIG.'
        ) from None
    others = sorted({role, *addresses} - {"chief", "worker"})
    if others:
        raise ValueError(
            f"TF_CONFIG has the role {others[0]!r}. Jobs have workers, and a chief "
            "that is one of them; there are no parameter servers and no evaluators."
        )
    chiefs = addresses.get("chief", [])
    everybody = tuple([*chiefs, *addresses.get("worker", [])])
    if role not in addresses or not 0 <= index < len(addresses[role]):
        raise ValueError(
            f"TF_CONFIG names the task {role} {index}, which is not in its cluster of "
            f"{len(everybody)} workers. Number them from 0."
        )
    return Worker(index + (len(chiefs) if role == "worker" else 0), everybody)


def _chosen(config, worker):
    if config.name not in NAMES:
        raise ValueError(
            f"config.strategy.name must be one of {', '.join(NAMES)}, got "
            f"{config.name!r}."
        )
    name = config.name
    if name == "auto":
        name = "multi_worker" if worker else _found(config)
    if worker and name != "multi_worker":
        raise ValueError(
            f"TF_CONFIG names {len(worker.addresses)} workers, but "
            f"config.strategy.name is {name!r}. Unset TF_CONFIG, or choose "
            "multi_worker."
        )
    if name == "multi_worker" and worker is None:
        raise ValueError(
            "config.strategy.name is 'multi_worker', but TF_CONFIG is not set. Set it "
            "for every worker, see docs/scale.md."
        )
    if config.tpu and name != "tpu":
        raise ValueError(
            f"config.strategy.tpu is {config.tpu!r}, but config.strategy.name is "
            f"{name!r}. Drop one of them."
        )
    if name == "tpu" and not config.tpu:
        raise ValueError(
            "config.strategy.name is 'tpu', but config.strategy.tpu names none. Give "
            "its name, or 'local' on a TPU machine."
        )
    if config.logical_cpus > 1 and name in ("tpu", "one_device"):
        raise ValueError(
            f"config.strategy.logical_cpus is {config.logical_cpus}, but "
            f"config.strategy.name is {name!r}. It is for mirrored and multi_worker."
        )
    return name


def _found(config):
    if config.tpu:
        return "tpu"
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return "mirrored" if several or config.logical_cpus > 1 else "one_device"


def _cut_cpu(count):
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    try:
        tf.config.set_logical_device_configuration(cpu, parts)
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) != count:
            raise ValueError(
                f"config.strategy.logical_cpus is {count}, but TensorFlow has begun "
                "with another number in this process. Start a new one."
            ) from None


def _several_devices():
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    return gpus or [device.name for device in tf.config.list_logical_devices("CPU")]


def _tpu(name):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(name)
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(
            f"config.strategy.tpu is {name!r}, and no such TPU was found ({error})."
        ) from None
    return tf.distribute.TPUStrategy(resolver)


def _multi_worker(worker, timeout):
    _wait_for_others(worker, timeout)
    message = f"the {len(worker.addresses)} workers did not meet within {timeout:g} s"
    with ended_after(timeout, message, UNAVAILABLE):
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Place(strategy, worker.number == 0)


def _wait_for_others(worker, timeout):
    """Waits in Python: where TensorFlow waits, no other thread can end the process."""
    mine = worker.addresses[worker.number]
    host, _, port = mine.rpartition(":")
    if not port.isdigit():
        raise ValueError(f"TF_CONFIG has the address {mine!r}, wanted host:port.")
    try:
        server = socket.create_server(("", int(port)))
    except OSError as error:
        raise ValueError(
            f"The port of {mine}, this worker's own in TF_CONFIG, cannot be used "
            f"({error.strerror}). Stop what uses it, or choose another."
        ) from None
    with server:
        until = time.monotonic() + timeout
        for address in worker.addresses:
            while address != mine and not _listens(address):
                if time.monotonic() > until:
                    raise ValueError(
                        f"Not all of {len(worker.addresses)} workers came within "
                        f"{timeout:g} s, {address} did not. Start all of them."
                    )
                time.sleep(0.1)


def _listens(address):
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, port), 2.0):
        return True
    return False


@contextlib.contextmanager
def ended_after(seconds: float, message: str, exit_code: int) -> Iterator[None]:
    """Ends the process, with one line, if the block takes longer.

    What waits for other machines waits in C++, where no exception reaches it.

    Args:
      seconds: at most.
      message: what to say.
      exit_code: of the process.
    """

    def end():
        print(f"train: {message}", file=sys.stderr, flush=True)
        os._exit(exit_code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Watch(keras.callbacks.Callback):
    """Ends this worker when a step does not end, since another one is gone or stopped.

    Args:
      seconds: that a batch may take, the first one's compilation included.
    """

    def __init__(self, seconds: float):
        super().__init__()
        self._seconds = seconds
        self._running = contextlib.ExitStack()

    def _again(self, *_, **__):
        self._running.close()
        message = (
            f"no step ended within {self._seconds:g} s: a worker is gone or hangs. "
            "Start the same command again on all of them"
        )
        self._running.enter_context(ended_after(self._seconds, message, UNAVAILABLE))

    on_train_begin = on_epoch_begin = on_train_batch_end = on_test_batch_end = _again

    def on_train_end(self, logs=None):
        """Stops watching."""
        self._running.close()


def wait_for_all(there: Place) -> None:
    """Returns when every worker has come here; a collective may not lose a worker."""
    strategy = there.strategy
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return

    @tf.function
    def count():
        def one():
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.constant(1.0))

        return strategy.run(one)

    count()
