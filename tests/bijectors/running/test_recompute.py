"""Recomputed backward passes: the plain graph's gradients in memory that stays."""

import functools
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows import bijectors as b
from tfp_flows.bijectors.running.loop import fold
from tfp_flows.networks import MLP, masks
from tfp_flows.networks.weights.training_mode import TrainingMode

tfb = tfp.bijectors
ROOT = pathlib.Path(__file__).parents[3]
MODES = ("activations", "constant")
SMALL = {"hidden_units": (16,), "activation": "tanh"}
CONV = {"filters": 8, "num_blocks": 1, "activation": "tanh"}

# For each its builder, event shape and context shape.
FLOWS = {
    "glow": (functools.partial(flows.glow, (8, 8, 1), 2, 3, 8), (8, 8, 1), None),
    "glow context": (
        functools.partial(*(flows.glow, (4, 4, 2), 2, 2, 8), context_shape=(3,)),
        (4, 4, 2),
        (3,),
    ),
    "glow mixture": (
        functools.partial(
            *(flows.glow, (4, 4, 1), 1, 2, 8),
            coupling="mixture",
            coupling_options={"num_components": 2},
            linear="householder",
        ),
        (4, 4, 1),
        None,
    ),
    "glow spline": (
        functools.partial(
            *(flows.glow, (4, 4, 1), 1, 2, 8), coupling="spline", linear="plain"
        ),
        (4, 4, 1),
        None,
    ),
    "real nvp": (functools.partial(flows.real_nvp, (5,), 4, **SMALL), (5,), None),
    "real nvp context": (
        functools.partial(flows.real_nvp, (5,), 2, context_shape=(2,), **SMALL),
        (5,),
        (2,),
    ),
    "real nvp image": (
        functools.partial(flows.real_nvp, (4, 4, 1), 2, **CONV),
        (4, 4, 1),
        None,
    ),
    "neural spline": (
        functools.partial(flows.neural_spline, (4,), 2, 5, **SMALL),
        (4,),
        None,
    ),
    "flow++": (functools.partial(flows.flow_pp, (4,), 2, 3, **SMALL), (4,), None),
    "nice": (functools.partial(flows.nice, (4,), 3, **SMALL), (4,), None),
}
# Once each way to run: steps in a loop and apart, with a context, splines.
ONCE = ("glow context", "real nvp image", "neural spline")


def events(shape, context_shape, dtype, batch=6):
    rng = np.random.default_rng(3)
    x = tf.constant(rng.standard_normal((batch, *shape)), dtype)
    if context_shape is None:
        return x, {}
    context = rng.standard_normal((batch, *context_shape))
    return x, {"context": tf.constant(context, dtype)}


def built(make, memory, **kwargs):
    """A flow with the same weights at every call."""
    keras.utils.set_random_seed(1)
    flow = make(memory=memory, **kwargs)
    laws.randomize(flow)
    return flow


def both(make, **kwargs):
    """The same flow twice, with equal weights, one for each way to go back."""
    return [built(make, memory, **kwargs) for memory in MODES]


def gradients(flow, x, kwargs, direction="log_prob", training=None):
    """Gradients with respect to every weight, the events and the context."""
    inputs = [x, *kwargs.values()]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        if direction == "log_prob":
            run = lambda: tf.reduce_mean(flow.log_prob(x, **kwargs))  # noqa: E731
        else:
            run = lambda: tf.reduce_mean(tf.sin(flow.decode(x, **kwargs)))  # noqa: E731
        loss = TrainingMode().run(run, training)
    return [loss, *tape.gradient(loss, [*flow.trainable_variables, *inputs])]


def assert_relative(actual, expected, bound):
    """Largest difference in units of the largest entry of all gradients together."""
    for a, e in zip(actual, expected, strict=True):
        assert (a is None) == (e is None)
    present = [i for i, e in enumerate(expected) if e is not None]
    assert len(present) > 2
    scale = max(float(tf.reduce_max(abs(expected[i]))) for i in present)
    for i in present:
        error = float(tf.reduce_max(abs(actual[i] - expected[i])))
        assert error < bound * scale, f"{i}: {error} of {scale}"


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        # One process for all modes of a flow, which are compared to the same gradients.
        pytest.param(name, mode, marks=pytest.mark.xdist_group(name))
        for name in FLOWS
        for mode in (("eager", "graph", "XLA") if name in ONCE else ("graph",))
    ],
)
@pytest.mark.parametrize("direction", ["log_prob", "decode"])
def test_gradients_are_the_plain_graphs(name, mode, direction):
    make, shape, context_shape = FLOWS[name]
    recomputed = built(make, "constant", dtype="float64")
    x, kwargs = events(shape, context_shape, "float64")
    run = lambda flow: gradients(flow, x, kwargs, direction)  # noqa: E731
    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "XLA", autograph=False)
    assert_relative(run(recomputed), plain_gradients(name, direction), 1e-8)


@functools.cache
def plain_gradients(name, direction):
    """Those of a flow that stores its activations, in a graph."""
    make, shape, context_shape = FLOWS[name]
    x, kwargs = events(shape, context_shape, "float64")
    run = tf.function(lambda flow: gradients(flow, x, kwargs, direction))
    return run(built(make, "activations", dtype="float64"))


def test_gradients_of_pairs():
    plain, recomputed = both(
        functools.partial(flows.reversible, (3,), 3, dtype="float64", **SMALL)
    )
    x, _ = events((3,), None, "float64")

    def run(flow):
        variables = flow.joint.trainable_variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(flow.joint.log_prob([x, x[::-1]]))
        return [loss, *tape.gradient(loss, variables)]

    assert_relative(run(recomputed), run(plain), 1e-8)


DEEP = {
    "glow": functools.partial(flows.glow, (8, 8, 1), 1, 32, 16),
    "real nvp": functools.partial(flows.real_nvp, (8,), 32, **SMALL),
}


@pytest.mark.parametrize("make", DEEP.values(), ids=DEEP)
def test_deep_float32_gradients_and_reconstructions(make):
    plain, recomputed = both(make)
    x, _ = events(plain.event_shape, None, "float32")
    run = tf.function(lambda flow: gradients(flow, x, {}))
    for actual, expected in zip(run(recomputed), run(plain), strict=True):
        assert np.linalg.norm(actual - expected) < 1e-3 * np.linalg.norm(expected)
    again = recomputed.decode(recomputed.encode(x))
    assert 0 < float(tf.reduce_max(abs(again - x))) < 1e-3


@pytest.mark.parametrize("name", ["glow spline", "real nvp"])
def test_the_custom_gradient_against_finite_differences(name):
    make, shape, _ = FLOWS[name]
    flow = make(memory="constant", dtype="float64")
    laws.randomize(flow)
    x, _ = events(shape, None, "float64")
    loss, *found = gradients(flow, x, {})
    rng = np.random.default_rng(5)
    targets = [*flow.trainable_variables, tf.Variable(x)]
    for target, gradient in zip(targets, found, strict=True):
        direction = rng.standard_normal(target.shape)
        values, step = [], 1e-5
        start = target.numpy()
        for sign in (1, -1):
            target.assign(start + sign * step * direction)
            at = targets[-1].read_value() if target is targets[-1] else x
            values.append(float(tf.reduce_mean(flow.log_prob(at))))
        target.assign(start)
        numeric = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(
            np.sum(gradient * direction), numeric, rtol=1e-5, atol=1e-8
        )


DROPPING = {
    "repeat": functools.partial(
        flows.glow,
        (4, 4, 2),
        1,
        3,
        network=lambda: keras.Sequential(
            [keras.layers.Conv2D(8, 1, activation="tanh"), keras.layers.Dropout(0.5)]
        ),
    ),
    "glow net": functools.partial(flows.glow, (4, 4, 2), 2, 2, 8, dropout=0.5),
    "chain": functools.partial(flows.real_nvp, (5,), 3, dropout=0.5, **SMALL),
}


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((n, "graph") for n in DROPPING), ("repeat", "eager"), ("repeat", "XLA")],
)
def test_dropout_draws_the_same_mask_again(name, mode):
    plain, recomputed = both(DROPPING[name])
    x, _ = events(plain.event_shape, None, "float32")
    run = lambda flow, training: gradients(flow, x, {}, training=training)  # noqa: E731
    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "XLA", autograph=False)
    with_dropout = run(recomputed, True)
    assert_relative(with_dropout, run(plain, True), 1e-4)
    # The next draw is another one, and inference mode has none.
    assert abs(float(run(recomputed, True)[0] - with_dropout[0])) > 1e-3
    np.testing.assert_allclose(run(recomputed, False)[0], run(plain, False)[0], 1e-5)


def _normalized():
    return keras.Sequential(
        [keras.layers.Dense(8, "tanh"), keras.layers.BatchNormalization()]
    )


@pytest.mark.parametrize(
    ("make", "jit_compile"),
    [
        (functools.partial(flows.real_nvp, (5,), 3, network=_normalized), False),
        (functools.partial(flows.glow, (4, 4, 1), 1, 3, network=_normalized), True),
    ],
    ids=["chain-graph", "repeat-XLA"],
)
def test_training_ends_at_the_same_weights_and_statistics(make, jit_compile):
    results = []
    for flow in both(make):
        x, _ = events(flow.event_shape, None, "float32", batch=64)
        model = FlowModel(flow, adapt_examples=32)
        model.compile(keras.optimizers.Adam(1e-3), jit_compile=jit_compile)
        model.fit(x.numpy(), batch_size=16, epochs=2, verbose=0, shuffle=False)
        results.append([v.numpy() for v in model.variables])
    moved = 0
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, atol=2e-3, rtol=2e-3)
        moved += one.size
    assert moved > 100


@pytest.mark.parametrize("name", ["glow context", "real nvp"])
def test_half_precision_networks(name):
    make, shape, context_shape = FLOWS[name]
    plain, recomputed = both(make, network_dtype="mixed_bfloat16")
    x, kwargs = events(shape, context_shape, "float32")
    assert recomputed.log_prob(x, **kwargs).dtype == tf.float32
    found = gradients(recomputed, x, kwargs)
    assert all(gradient.dtype == tf.float32 for gradient in found)
    assert_relative(found, gradients(plain, x, kwargs), 3e-2)
    whole, _ = both(make)  # without half precision: the two must differ
    assert abs(float(gradients(whole, x, kwargs)[0] - found[0])) > 1e-6


def test_the_graph_does_not_grow_with_depth():
    sizes = []
    for depth in (2, 9):
        flow = flows.glow((4, 4, 1), 1, depth, 4)
        x = tf.zeros([2, 4, 4, 1])
        graph = tf.function(gradients).get_concrete_function(flow, x, {}).graph
        sizes.append(len(graph.get_operations()))
    assert sizes[1] <= sizes[0] + 5  # a few constants


_PEAKS = """
import sys
import tensorflow as tf
from tfp_flows import bijectors as b
from tfp_flows.networks import MLP, masks
# One operation after the other, so that memory does not depend on what overlaps.
tf.config.threading.set_inter_op_parallelism_threads(1)
kind = sys.argv[1]
x = tf.random.stateless_normal([2048, 64], [1, 2])
def step(i):
    mask = masks.half((64,), flip=kind == "chain" and bool(i % 2))
    return b.AffineCoupling((64,), MLP((256, 256)), mask)
def peak(memory, depth):
    if kind == "repeat":
        chain = b.Repeat(step, depth, memory)
    else:
        chain = b.chain_of([step(i) for i in range(depth)], memory)
    @tf.function
    def gradients(x):
        with tf.GradientTape() as tape:
            z = chain.inverse(x)
            loss = tf.reduce_sum(z**2)
            loss -= tf.reduce_sum(chain.inverse_log_det_jacobian(x, 1))
        found = tape.gradient(loss, chain.trainable_variables)
        return tf.add_n([tf.reduce_sum(g) for g in found])
    gradients.get_concrete_function(x)
    before = tf.config.experimental.get_memory_info("CPU:0")["current"]
    tf.config.experimental.reset_memory_stats("CPU:0")
    for _ in range(2):
        gradients(x).numpy()
    return tf.config.experimental.get_memory_info("CPU:0")["peak"] - before
for memory, depth in (("constant", 4), ("constant", 16), ("activations", 16)):
    print("PEAK", peak(memory, depth) / 2**20)
"""


def peaks(kind):
    """MiB of tensors at the worst moment of two training steps, in a new process."""
    out = subprocess.run(
        [sys.executable, "-c", _PEAKS, kind],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_CPU_ALLOCATOR_USE_BFC": "1",  # the allocator that counts
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.returncode == 0, out.stderr[-2000:]
    return [float(text.split()[0]) for text in out.stdout.split("PEAK")[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["repeat", "chain"])
def test_memory_does_not_grow_with_depth(kind):
    shallow, deep, kept = peaks(kind)
    # What is of weights alone grows: 0.4 MiB a step.
    assert deep - 12 * 0.4 < 1.3 * shallow
    assert kept > 2 * deep


def test_what_cannot_be_recomputed_is_refused():
    with pytest.raises(ValueError, match="memory"):
        flows.real_nvp((4,), memory="none")
    with pytest.raises(ValueError, match="memory"):
        flows.glow((4, 4, 1), 1, 1, 4, memory="none")
    shift = tfb.Shift(tf.Variable([1.0, 2.0, 3.0, 4.0]))
    with pytest.raises(ValueError, match='memory="activations"'):
        b.ReversibleChain([shift, b.ActNorm((4,))])

    def network():
        return keras.layers.Dense(4, activity_regularizer="l2")

    for flow in (
        flows.real_nvp((4,), 2, network=network, memory="constant"),
        flows.glow((4, 4, 1), 1, 2, network=network),
    ):
        with pytest.raises(ValueError, match="adds a loss"):
            flow.log_prob(tf.zeros([2, *flow.event_shape]))


def test_steps_of_another_kind_are_refused():
    make = {
        "scale": lambda i: b.AffineCoupling(
            (4,), MLP((8,)), masks.half((4,)), scale_bound=1.0 + i
        ),
        "mask": lambda i: b.AffineCoupling(
            (4,), MLP((8,)), masks.half((4,), flip=bool(i))
        ),
        "type": lambda i: b.ActNorm((4,)) if i else b.DiagonalScale((4,)),
        "width": lambda i: b.AffineCoupling((4,), MLP((8 + i,)), masks.half((4,))),
    }
    for step in make.values():
        with pytest.raises(ValueError, match="repeat"):
            b.Repeat(step, 2)
    with pytest.raises(ValueError, match="count"):
        b.Repeat(lambda i: b.ActNorm((4,)), 0)
    with pytest.raises(ValueError, match="event shape"):
        b.Repeat(lambda i: b.Squeeze((4, 4, 1)), 2)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("count", [1, 4])
def test_fold_gathers_by_number(count, backwards):
    def function(k, order):
        return [order * 10 + k], [None, tf.cast(k, tf.float32)]

    @tf.function
    def run():
        return fold(
            function,
            [tf.constant(0)],
            [None, tf.TensorSpec([], tf.float32)],
            count,
            backwards,
        )

    (order,), (none, found) = run()
    digits = range(count)[:: -1 if backwards else 1]
    assert int(order) == int("".join(map(str, digits)))
    assert none is None
    np.testing.assert_array_equal(found, range(count))


@pytest.mark.parametrize("name", ["glow", "glow context", "real nvp image"])
@pytest.mark.parametrize("memory", MODES)
def test_an_export_gives_the_same_numbers_without_solving(name, memory):
    make, shape, context_shape = FLOWS[name]
    flow = make(memory=memory, dtype="float64")
    laws.randomize(flow)
    x, kwargs = events(shape, context_shape, "float64")

    def both_ways(x, *contexts):
        given = dict(zip(kwargs, contexts, strict=True))
        return flow.encode(x, **given), flow.decode(x, **given)

    run = laws.exported(both_ways, x, *kwargs.values())
    there, back = run(x, *kwargs.values())
    laws.assert_close(there, flow.encode(x, **kwargs), 1e-9)
    laws.assert_close(back, flow.decode(x, **kwargs), 1e-9)
    kinds = {op.type for op in run.get_concrete_function().graph.get_operations()}
    assert not any("Solve" in kind or "Call" in kind for kind in kinds)
