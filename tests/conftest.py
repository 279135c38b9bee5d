"""Every process of tests: quiet, on CPU, with two logical devices."""

import gc
import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

# Before TensorFlow starts: two CPU devices, so that one process can mirror a model.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
if "PYTEST_XDIST_WORKER" in os.environ:  # another process has the other core
    tf.config.threading.set_intra_op_parallelism_threads(1)


@pytest.fixture(autouse=True)
def seeded():
    """Gives every test the same random state, whatever ran before it."""
    keras.utils.set_random_seed(0)


def pytest_collection_finish(session):
    """Lets Python look for cycles less often: tracing makes many objects, few of them.

    A fifth of the time of tests that trace went into it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


_finished = itertools.count(1)


def pytest_runtest_logfinish():
    """Sets aside what stays, as cached cases: `Repeat` has all else looked through."""
    if next(_finished) % 20 == 0:
        gc.collect()
        gc.freeze()
