"""Repeated steps: the chain of the same steps, in every respect."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows import bijectors as b
from tfp_flows.distributions import Flow
from tfp_flows.networks import MLP, GlowNet, masks, zero_conv

modes = pytest.mark.parametrize("memory", ["activations", "constant"])


def vector_step(i, context_shape=None, dtype="float64"):
    return b.Chain(
        [
            b.ActNorm((4,), dtype=dtype),
            b.InvertibleLinear((4,), seed=i, dtype=dtype),
            b.AffineCoupling(
                (4,),
                MLP((8,), "tanh", dtype=dtype),
                masks.half((4,)),
                context_shape=context_shape,
                dtype=dtype,
            ),
        ]
    )


def image_step(i, context_shape=None, dtype="float64"):
    shape = (2, 2, 4)
    return b.Chain(
        [
            b.ActNorm(shape, dtype=dtype),
            b.InvertibleConv1x1(shape, seed=i, dtype=dtype),
            b.AffineCoupling(
                shape,
                GlowNet(4, dtype=dtype),
                masks.half(shape),
                head=zero_conv(dtype),
                context_shape=context_shape,
                dtype=dtype,
            ),
        ]
    )


def pair(step, memory, count=3, context_shape=None):
    """A chain of steps with random weights, and its repetition; events and context."""
    steps = [step(i, context_shape) for i in range(count)]
    for i, part in enumerate(steps):
        laws.randomize(part, seed=i)
    chain = b.Chain(steps)
    repeat = b.Repeat(lambda i: steps[i], count, memory)
    rng = np.random.default_rng(1)
    y = tf.constant(rng.normal(1.0, 2.0, (20, *chain.event_shape)))
    if context_shape is None:
        return chain, repeat, y, {}
    return chain, repeat, y, {"context": tf.constant(rng.normal(size=(20, 2)))}


def everything(bijector, y, **kwargs):
    ndims = len(bijector.event_shape)
    x = tf.identity(bijector.inverse(y, **kwargs))
    return [
        x,
        bijector.inverse_log_det_jacobian(y, ndims, **kwargs),
        bijector.forward(tf.identity(y), **kwargs),
        bijector.forward_log_det_jacobian(tf.identity(y), ndims, **kwargs),
    ]


@modes
@pytest.mark.parametrize("step", [vector_step, image_step])
@pytest.mark.parametrize("context_shape", [None, (2,)])
def test_it_is_the_chain_of_the_same_steps(step, memory, context_shape):
    chain, repeat, y, kwargs = pair(step, memory, context_shape=context_shape)
    laws.assert_close(
        everything(repeat, y, **kwargs), everything(chain, y, **kwargs), 1e-9
    )
    sizes = [
        sum(v.shape.num_elements() for v in flow.trainable_variables)
        for flow in (chain, repeat)
    ]
    assert sizes[0] == sizes[1]
    assert len(repeat.trainable_variables) == len(chain.trainable_variables) // 3


@modes
@pytest.mark.parametrize("step", [vector_step, image_step])
def test_it_is_adapted_as_the_chain_is(step, memory):
    chain, repeat, y, _ = pair(step, memory)
    assert not repeat.is_adapted
    chain.adapt(y)
    repeat.adapt(y)
    assert repeat.is_adapted
    laws.assert_close(everything(repeat, y), everything(chain, y), 1e-8)


def test_one_step_that_is_not_adapted_is_enough():
    norms = [b.ActNorm((2,)) for _ in range(3)]
    norms[0].adapt(tf.random.normal([10, 2]))
    norms[1].adapt(tf.random.normal([10, 2]))
    assert not b.Repeat(lambda i: norms[i], 3).is_adapted
    norms[2].adapt(tf.random.normal([10, 2]))
    assert b.Repeat(lambda i: norms[i], 3).is_adapted


@modes
def test_any_rank_of_batch(memory):
    _, repeat, y, kwargs = pair(vector_step, memory, context_shape=(2,))
    together = repeat.inverse(y[:, None], **kwargs)
    assert together.shape == [20, 20, 4]
    alone = repeat.inverse(y[3], context=kwargs["context"][5])
    np.testing.assert_allclose(together[3, 5], alone, atol=1e-10)


@pytest.mark.parametrize("step", [vector_step, image_step])
def test_weights_and_the_adapted_fact_are_saved(step, tmp_path):
    flows = [
        Flow(b.Chain([b.Repeat(lambda i: step(i, None, "float32"), 2)]))
        for _ in range(3)
    ]
    y = np.random.default_rng(0).normal(size=(8, *flows[0].event_shape))
    y = y.astype(np.float32)
    laws.randomize(flows[0])
    flows[0].adapt(y)
    wanted = flows[0].log_prob(y)
    models = [FlowModel(flow) for flow in flows]
    models[0].save_weights(tmp_path / "model.weights.h5")
    models[1].load_weights(tmp_path / "model.weights.h5")
    path = tf.train.Checkpoint(flow=flows[0]).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(flow=flows[2]).restore(path).assert_consumed()
    for flow in flows[1:]:
        assert flow.is_adapted
        np.testing.assert_array_equal(flow.log_prob(y), wanted)


def test_a_copy_with_other_steps_or_another_count_has_weights_of_its_own():
    _, repeat, y, _ = pair(vector_step, "activations")
    for change in ({"step": vector_step}, {"count": 2}):
        clone = repeat.copy(**change)
        own = {id(v) for v in repeat.trainable_variables}
        assert not own & {id(v) for v in clone.trainable_variables}
    clones = [repeat.copy(memory=memory) for memory in ("constant", "activations")]
    laws.randomize(repeat, seed=9)
    for clone in clones:
        np.testing.assert_allclose(clone.inverse(y), repeat.inverse(y), atol=1e-10)


def test_a_step_computes_no_products_of_weights_when_activations_are_kept():
    norms = [b.InvertibleLinear((4,), seed=i) for i in range(3)]
    repeat = b.Repeat(lambda i: b.Chain([b.ActNorm((4,)), norms[i]]), 3)
    function = tf.function(repeat.inverse).get_concrete_function(tf.ones([2, 4]))
    functions = function.graph.as_graph_def().library.function
    (step,) = (f for f in functions if "traced_step" in f.signature.name)
    # That of the events; L U and P L U are computed for all steps together.
    assert sum("MatMul" in node.op for node in step.node_def) == 1


@modes
def test_each_network_runs_once_for_a_log_prob(memory):
    """Counted while it runs, not while it is traced."""
    calls = []

    class Counting(keras.layers.Layer):
        def call(self, x):
            def count(value):
                calls.append(1)
                return value

            y = tf.numpy_function(count, [x], x.dtype)
            return tf.ensure_shape(y, x.shape)

    def step(i):
        network = keras.Sequential([keras.layers.Dense(3), Counting()])
        return b.AffineCoupling((4,), network, masks.half((4,)))

    flow = Flow(b.Repeat(step, 3, memory))
    flow.log_prob(tf.ones([2, 4]))
    calls.clear()
    flow.log_prob(tf.zeros([2, 4]))
    assert len(calls) == 3
    calls.clear()
    flow.experimental_sample_and_log_prob(5, seed=1)
    assert len(calls) == 3
    calls.clear()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(flow.log_prob(tf.ones([2, 4]) * 2))
    head = flow.trainable_variables[-1]
    assert len(calls) == 3
    if memory == "activations":
        return  # numpy_function has no gradient, and none is needed to count
    tape.gradient(loss, head)
    assert len(calls) == 6  # each once more, to go back


@modes
def test_a_training_step_reads_each_weight_once_and_moves_no_axes(memory):
    flow = flows.glow((8, 8, 2), 2, 3, 8, memory=memory)
    variables = flow.trainable_variables

    @tf.function(autograph=False)
    def gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(flow.log_prob(x))
        return tape.gradient(loss, variables)

    function = gradients.get_concrete_function(tf.ones([2, 8, 8, 2]))
    definition = function.graph.as_graph_def()
    inside = [node for f in definition.library.function for node in f.node_def]
    kinds = [node.op for node in [*definition.node, *inside]]
    assert len(variables) <= kinds.count("ReadVariableOp") <= len(flow.variables)
    # To go back, each of the two levels inverts its matrices: a permutation's inverse.
    assert kinds.count("Transpose") == (2 if memory == "constant" else 0)


@modes
@pytest.mark.parametrize("step", [vector_step, image_step])
def test_xla_takes_no_weight_for_a_constant(step, memory):
    # It would compile anew at every training step.
    _, repeat, y, kwargs = pair(step, memory, context_shape=(2,))

    @tf.function(jit_compile=True)
    def gradients(y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(repeat.inverse(y, **kwargs) ** 2)
        return tape.gradient(loss, list(repeat.trainable_variables))

    hlo = gradients.experimental_get_compiler_ir(y)(stage="hlo")
    assert "parameter(" in hlo
    constants = [line for line in hlo.splitlines() if " constant(" in line]
    assert not [line for line in constants if "ReadVariableOp" in line]
