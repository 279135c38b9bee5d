"""Every recipe exported once, and a C++ runtime in another process to ask."""

import dataclasses
import functools
import os
import pathlib
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests import laws
from tfp_flows import flows, serving
from tfp_flows.distributions import Autoregressive
from tfp_flows.distributions.elements import NormalMixture
from tfp_flows.networks import MADE

ROOT = pathlib.Path(__file__).parents[2]
CLASSES = 3  # of the class-conditional model
_SMALL = {"num_steps": 2, "hidden_units": (8,)}
RECIPES = {
    "vector": lambda: flows.real_nvp((4,), **_SMALL, dropout=0.1),
    "conditional": lambda: flows.real_nvp(
        (4,), **_SMALL, memory="constant", context_shape=(3,)
    ),
    "float64": lambda: flows.real_nvp((4,), **_SMALL, dtype="float64"),
    "conditional discrete": lambda: flows.real_nvp(
        (4,), **_SMALL, num_values=17, context_shape=(3,)
    ),
    "glow": lambda: flows.glow(
        (4, 4, 1), 2, 2, 4, num_values=17, histogram="pixel", context_shape=(3,)
    ),
    "padded": lambda: flows.glow(
        (3, 3, 1), 1, 2, 4, num_values=17, pad_to=(4, 4), dequantization="variational"
    ),
    "neural spline": lambda: flows.neural_spline((4,), **_SMALL, num_bins=4),
    "flow++ image": lambda: flows.flow_pp(
        (4, 4, 1), 2, 3, num_values=17, num_levels=1, filters=4, num_blocks=1
    ),
    "supports": lambda: flows.neural_spline(
        (4,),
        **_SMALL,
        num_bins=4,
        support=["real", (-3, None), (-3, 5), ("periodic", -4, 4)],
        base="student_t",
    ),
    "nice logistic": lambda: flows.nice((4,), **_SMALL, base="logistic"),
    "gaussian": lambda: flows.gaussian((3,)),
    "gaussian mixture": lambda: flows.gaussian_mixture((3,), 2, num_values=17),
    # One direction of each of these is a loop over the positions.
    "maf": lambda: flows.maf(
        *((3,), 1, (8,)),
        num_values=17,
        context_shape=(3,),
        normalization="batch_norm",
        num_components=2,
    ),
    "iaf": lambda: flows.iaf((3,), 1, (8,)),
    "wavenet": lambda: flows.wavenet((4, 1), 2, 4, scalar_map="spline"),
    "recurrent": lambda: flows.recurrent((4, 1), (4,)),
    # Autoregressive models over 81 or 16 integer states, and one over real numbers.
    "pixel cnn": lambda: flows.pixel_cnn(
        (2, 2, 1), 1, 4, num_values=3, first_kernel_size=3, context_shape=(3,)
    ),
    "any order in one": lambda: flows.any_order(
        (3,), num_values=3, hidden_units=(8,)
    ).in_order(),
    "pixel cnn mixture": lambda: flows.pixel_cnn(
        *((1, 2, 2), 1, 4), num_values=3, element="mixture", num_components=2
    ),
    "pixel rnn of bits": lambda: flows.pixel_rnn(
        *((2, 2, 1), 1, 4),
        layer="diagonal",
        num_values=2,
        element="bernoulli",
        first_kernel_size=3,
    ),
    "wavenet of integers": lambda: flows.wavenet((4, 1), 2, 4, num_values=3),
    "recurrent of symbols": lambda: flows.recurrent((4, 1), (4,), num_values=3),
    "real elements": lambda: Autoregressive(
        MADE((3,), 6, hidden_units=(8,)), NormalMixture(2), dtype="float64"
    ),
}


# Weights are random: no data are needed, and none were seen.
export = functools.partial(serving.export, allow_unadapted=True)


class Runtime:
    """A model in the C++ runtime."""

    def __init__(self, directory):
        self.directory = directory
        worker = pathlib.Path(__file__).with_name("runtime_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, str(worker), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )

    def ask(self, signature, inputs):
        """Returns the outputs, or the code of the error."""
        pickle.dump((signature, inputs), self._process.stdin)
        self._process.stdin.flush()
        answer = pickle.load(self._process.stdout)
        return answer[1]

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


@dataclasses.dataclass
class Served:
    """A flow, its version directory, and the runtime that serves it."""

    name: str
    flow: Any
    directory: pathlib.Path
    ask: Any

    @property
    def is_autoregressive(self):
        return isinstance(self.flow, Autoregressive)

    @property
    def inner(self):
        """The flow below the integers; an autoregressive model has none."""
        whole = self.is_autoregressive or self.flow.num_values is None
        return self.flow if whole else self.flow.flow

    def beginnings(self, num_rows):
        """Masks of which row i knows i positions."""
        order = self.flow.network.order
        known = np.zeros([num_rows, order.size], np.int32)
        for row in range(num_rows):
            known[row, order[:row]] = 1
        return known.reshape([num_rows, *self.flow.event_shape])

    def requests(self, num_rows=5, seed=3):
        """Returns inputs for every signature, none of them golden rows."""
        rng = np.random.default_rng(seed)
        event, num_values = self.inner.event_shape.as_list(), self.flow.num_values
        x = rng.standard_normal([num_rows, *event])
        if num_values is not None:
            x = rng.uniform(0.0, num_values, x.shape)
        middle = tuple(slice(n) for n in self.flow.event_shape)
        integers = x[(slice(None), *middle)].astype(np.int32)
        is_exact = self.is_autoregressive and num_values is not None
        data = {"x": integers if is_exact else x.astype(np.float32)}
        inputs = {
            "log_prob": data,
            "serving_default": data,
            "sample": {
                "seed": serving.seeds(11, num_rows),
                "temperature": rng.uniform(0.5, 1.2, num_rows).astype(np.float32),
            },
        }
        if not self.is_autoregressive:
            z = rng.standard_normal(x.shape).astype(np.float32)
            inputs |= {"encode": data, "decode": {"z": z}}
        else:
            inputs["complete"] = data | {
                "known": self.beginnings(num_rows),
                "seed": serving.seeds(13, num_rows),
            }
        if num_values is not None:
            noise = {} if is_exact else {"seed": serving.seeds(12, num_rows)}
            inputs["bits_per_dim"] = {"x": integers, **noise}
        if self.flow.context_shape is not None:
            shape = [num_rows, *self.flow.context_shape]
            context = rng.standard_normal(shape).astype(np.float32)
            inputs = {k: {**v, "context": context} for k, v in inputs.items()}
        return inputs


def environment():
    """Returns the environment of a process that finds the library."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def make(name):
    """Builds a recipe with random weights."""
    flow = RECIPES[name]()
    laws.randomize(flow)
    return flow


@pytest.fixture(scope="session", params=RECIPES)
def served(request, tmp_path_factory):
    base = tmp_path_factory.mktemp("served") / "model"
    flow = make(request.param)
    directory = export(flow, base)
    runtime = Runtime(directory)
    yield Served(request.param, flow, directory, runtime.ask)
    runtime.close()


@pytest.fixture(scope="session")
def classes(tmp_path_factory):
    """A model of 2 x 2 pixels of 3 values and 3 classes, calibrated by its samples."""
    model = make("pixel cnn")
    labels = np.arange(199) % CLASSES
    context = np.eye(CLASSES, dtype=np.float32)[labels]
    events = model.sample(context=context, seed=3).numpy()
    directory = export(
        model,
        tmp_path_factory.mktemp("served") / "classes",
        labels=True,
        calibration=events,
        calibration_contexts=context,
    )
    runtime = Runtime(directory)
    yield model, runtime.ask, directory, (events, context)
    runtime.close()


@pytest.fixture(scope="session")
def batching(classes):
    """The class-conditional model as a server with batching asks it."""
    from tests.serving.emulator.model import Model  # which imports this module

    model = Model(classes[2], max_batch_size=32, allowed_batch_sizes=(1, 8, 32))
    yield model
    model.close()
