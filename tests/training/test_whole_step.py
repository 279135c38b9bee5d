"""The whole training step of every recipe is one XLA program of static shapes."""

import re

import keras
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

from tests.training.test_recipes import RECIPES, data
from tfp_flows import FlowModel

# One of each recipe, with what it has of its own.
NAMES = (
    *("padded glow", "real nvp", "nice", "neural spline couplings", "flow++"),
    *("maf", "iaf", "gaussian", "gaussian mixture of integers", "reversible"),
    *("wavenet of integers", "recurrent", "pixel cnn", "pixel rnn"),
)
_XLA = {"XLA_CPU_JIT", "XLA_GPU_JIT"}
_NOT_RUN = {"Placeholder", "NoOp"}


def operations(graph):
    found = {node.op for node in graph.node}
    for function in graph.library.function:
        found |= {node.op for node in function.node_def}
    return found - _NOT_RUN


def for_all_of_xla(name):
    """Whether an operation has a kernel for every device of XLA that is here.

    TensorFlow registers a kernel for all backends at once, those of TPUs too, unless it
    calls a library of one device.
    """
    devices = {
        k.device_type for k in kernels.get_registered_kernels_for_op(name).kernel
    }
    return devices >= _XLA


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_loss_gradient_guard_and_update_are_one_program(name):
    """What a TPU needs, as far as it shows without one."""
    flow = RECIPES[name]()
    model = FlowModel(flow)
    model.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0), jit_compile=False)
    (x, *more), _ = data(flow, count=8)
    batch = tf.nest.map_structure(tf.constant, (x, *more) if more else x)
    step = tf.function(model.train_step, jit_compile=True)
    graph = step.get_concrete_function(batch).graph.as_graph_def()
    assert not [op for op in operations(graph) if not for_all_of_xla(op)]
    program = step.experimental_get_compiler_ir(batch)(stage="hlo")
    assert "custom-call" not in program
    assert not re.search(r"\[[^\]]*<=", program)  # sizes known at run time only
