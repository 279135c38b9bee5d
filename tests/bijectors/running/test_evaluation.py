"""Evaluation without gradients: the same values, by faster ways."""

import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tests.bijectors.running.test_repeat import (
    everything,
    image_step,
    modes,
    pair,
    vector_step,
)
from tfp_flows import bijectors as b
from tfp_flows import flows
from tfp_flows.networks.weights.training_mode import TrainingMode

ways = pytest.mark.parametrize("xla", [False, True])


def evaluated(function, xla=False):
    @tf.function
    def call(*args, **kwargs):
        with b.evaluating(xla):
            return function(*args, **kwargs)

    return call


# Half of all choices: any three of them in every combination.
CHOICES = [
    (step, memory, xla, context_shape)
    for i, step in enumerate([vector_step, image_step])
    for j, memory in enumerate(["activations", "constant"])
    for k, xla in enumerate([False, True])
    for m, context_shape in enumerate([None, (2,)])
    if (i + j + k + m) % 2 == 0
]


@pytest.mark.parametrize(("step", "memory", "xla", "context_shape"), CHOICES)
def test_values_are_the_same(step, memory, xla, context_shape):
    _, repeat, y, kwargs = pair(step, memory, context_shape=context_shape)
    call = evaluated(lambda y, **given: everything(repeat, y, **given), xla)
    for size in (20, 17):
        given = {name: c[:size] for name, c in kwargs.items()}
        expected = everything(repeat, y[:size], **given)
        laws.assert_close(call(y[:size], **given), expected, 1e-9)


@ways
def test_a_context_of_all_events_and_a_batch_of_unknown_size(xla):
    _, repeat, y, kwargs = pair(image_step, "constant", context_shape=(2,))
    spec = tf.TensorSpec([None, *repeat.event_shape], y.dtype)
    of_context = tf.TensorSpec([None, 2], y.dtype)
    call = evaluated(lambda y, c: everything(repeat, y, context=c), xla)
    unknown = call.get_concrete_function(spec, of_context)
    context = kwargs["context"]
    for given in (context, context[:1]):
        expected = everything(repeat, y, context=given)
        laws.assert_close(call(y, given), expected, 1e-9)
        laws.assert_close(unknown(y, given), expected, 1e-9)


def calls_of_steps(function, *args):
    graph = function.get_concrete_function(*args).graph
    ops = [op for op in graph.get_operations() if "PartitionedCall" in op.type]
    return [op for op in ops if "traced_step" in op.get_attr("f").name]


@modes
def test_halves_go_side_by_side_where_a_batch_is_large_enough(memory):
    _, repeat, y, _ = pair(image_step, memory)
    call = evaluated(repeat.inverse)
    assert len(calls_of_steps(call, y)) == 2 * 3
    assert len(calls_of_steps(call, y[:7])) == 3
    assert len(calls_of_steps(call, tf.TensorSpec([None, 2, 2, 4], y.dtype))) == 3


def test_halves_share_what_follows_from_weights_alone():
    _, repeat, y, _ = pair(image_step, "constant")
    call = evaluated(repeat.inverse)

    def prepared(y):
        ops = call.get_concrete_function(y).graph.get_operations()
        calls = [op for op in ops if "PartitionedCall" in op.type]
        return [op for op in calls if "_traced_step" not in op.get_attr("f").name]

    assert len(prepared(y)) == len(prepared(y[:7])) == 1


def test_batch_statistics_in_training_are_those_of_the_whole_batch():
    _, repeat, y, _ = pair(image_step, "activations")

    @tf.function
    def in_training(y):
        with b.evaluating():
            return TrainingMode().run(lambda: repeat.inverse(y), training=True)

    assert len(calls_of_steps(in_training, y)) == 3


def is_compiled(function, *args):
    graph = function.get_concrete_function(*args).graph
    must = "_XlaMustCompile"
    return any(
        op.get_attr(must)
        for op in graph.get_operations()
        if must in [name for name in op.node_def.attr]
    )


@pytest.mark.parametrize(
    "side, size, compiled",
    [(8, 16, True), (8, 64, False), (4, 64, True), (16, 4, False)],
)
def test_xla_compiles_small_images_only(side, size, compiled):
    norms = b.Repeat(lambda i: b.ActNorm((side, side, 2)), 2)
    y = tf.zeros([size, side, side, 2])
    assert is_compiled(evaluated(norms.inverse, xla=True), y) is compiled
    assert not is_compiled(evaluated(norms.inverse), y)


def gradient(function, y):
    with tf.GradientTape() as tape:
        tape.watch(y)
        value = tf.reduce_sum(tf.sin(function(y)))
    return tape.gradient(value, y)


def test_gradients_are_right_all_the_same():
    chain, repeat, y, _ = pair(image_step, "constant")
    found = gradient(evaluated(repeat.inverse), y)
    laws.assert_close(found, gradient(chain.inverse, y), 1e-9)


def test_gradients_through_what_xla_compiled_are_refused():
    _, repeat, y, _ = pair(image_step, "constant")
    with pytest.raises(LookupError, match="xla=False"):
        gradient(evaluated(repeat.inverse, xla=True), y)


def test_outside_of_the_block_all_is_as_before():
    _, repeat, y, _ = pair(image_step, "constant")
    with pytest.raises(RuntimeError), b.evaluating():
        raise RuntimeError
    call = tf.function(repeat.inverse)
    assert not calls_of_steps(call, y)  # they are in a loop


def kinds_inside(function, *args):
    definition = function.get_concrete_function(*args).graph.as_graph_def()
    inside = [node for f in definition.library.function for node in f.node_def]
    return {node.op for node in [*definition.node, *inside]}


def test_a_repeat_inside_of_another_decides_again():
    norms = lambda i: b.Repeat(lambda j: b.ActNorm((4, 4, 2)), 2, "constant")  # noqa: E731
    nested = b.Repeat(norms, 2)
    y = tf.zeros([16, 4, 4, 2])
    assert "While" in "".join(kinds_inside(tf.function(nested.inverse), y))
    inside = kinds_inside(evaluated(nested.inverse), y)
    assert "While" not in "".join(inside)
    assert is_compiled(evaluated(b.Repeat(norms, 2).inverse, xla=True), y)
    assert "While" in "".join(kinds_inside(tf.function(nested.inverse), y))


def test_a_batch_is_halved_once_for_all_levels():
    glow = flows.glow((8, 8, 1), 2, 2, filters=4)
    call = evaluated(lambda x: glow.bijector.inverse(x))
    graph = call.get_concrete_function(tf.zeros([16, 8, 8, 1])).graph
    joined = [op.outputs[0] for op in graph.get_operations() if op.type == "ConcatV2"]
    # Where the two halves meet: their latents, their log-dets.
    assert sum(tensor.shape[0] == 16 for tensor in joined) == 2


@pytest.mark.parametrize(("xla", "context_shape"), [(False, (3,)), (True, None)])
def test_a_glow_of_several_levels(xla, context_shape):
    glow = flows.glow(
        (16, 16, 3), 2, 2, filters=8, num_values=256, context_shape=context_shape
    )
    laws.randomize(glow)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (9, 16, 16, 3)), tf.int32)
    given = {}
    if context_shape is not None:
        given = {"context": tf.constant(rng.normal(size=(9, 3)), tf.float32)}
    log_prob = evaluated(lambda x, **c: glow.log_prob(x, seed=1, **c), xla)
    plain = glow.log_prob(images, seed=1, **given)
    np.testing.assert_allclose(log_prob(images, **given), plain, rtol=1e-5)
    size = 9 if context_shape is None else ()
    sample = evaluated(lambda **c: glow.sample(size, seed=2, **c), xla)
    drawn = np.abs(sample(**given).numpy() - glow.sample(size, seed=2, **given).numpy())
    assert drawn.max() <= 1 and (drawn > 0).mean() < 1e-3  # one ulp at an edge
