"""The seam between Keras networks and TFP: weights, calls, caches, graphs, training."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests import laws
from tfp_flows import flows
from tfp_flows.bijectors import AffineCoupling, Chain
from tfp_flows.distributions import Flow
from tfp_flows.networks import MLP, masks

tfb, tfd = tfp.bijectors, tfp.distributions


class CountingMLP(MLP):
    """Counts how often its Python code runs: once a call, eager or traced."""

    calls = 0

    def call(self, x, context=None):
        CountingMLP.calls += 1
        return super().call(x, context)


def coupling(dtype="float32", **kwargs):
    made = AffineCoupling(
        (4,),
        CountingMLP((8,), "tanh", dtype=dtype),
        masks.half((4,)),
        dtype=dtype,
        **kwargs,
    )
    laws.randomize(made)
    return made


def base():
    return tfd.Sample(tfd.Normal(0.0, 1.0), 4)


HOMES = {
    "alone": lambda b: tfd.TransformedDistribution(base(), b),
    "tfb.Chain": lambda b: tfd.TransformedDistribution(
        base(), tfb.Chain([tfb.Scale(2.0), b])
    ),
    "our Chain": lambda b: Flow(Chain([tfb.Scale(2.0), b])),
    "tfb.Invert": lambda b: tfd.TransformedDistribution(base(), tfb.Invert(b)),
    "our Chain of tfb.Invert": lambda b: Flow(Chain([tfb.Invert(b)], event_shape=(4,))),
    "Flow": Flow,
    "joint": lambda b: tfd.JointDistributionSequential([Flow(b), tfd.Normal(0.0, 1.0)]),
}
homes = pytest.mark.parametrize("home", HOMES.values(), ids=HOMES.keys())


def event(distribution, batch=3):
    x = tf.random.stateless_normal([batch, 4], (1, 2))
    if isinstance(distribution.dtype, (list, tuple)):
        return [x, tf.zeros([batch])]
    return x


def calls_of(function, traced):
    """Network calls of one use, after a first use that TFP may need to look around."""
    function()
    CountingMLP.calls = 0
    (tf.function(function) if traced else function)()
    return CountingMLP.calls


@homes
def test_all_weights_are_seen_before_any_call(home):
    bijector = coupling()
    distribution = home(bijector)
    layers = bijector.keras_layers
    laws.assert_both_sides_see_the_weights(distribution, layers, expected=4)


@homes
@pytest.mark.parametrize("traced", [False, True], ids=["eager", "tf.function"])
def test_one_network_call_for_each_use(home, traced):
    distribution = home(coupling())
    x = event(distribution)

    def sample_then_log_prob():
        return distribution.log_prob(distribution.sample(3, seed=(1, 2)))

    uses = {
        "log_prob": lambda: distribution.log_prob(
            tf.nest.map_structure(tf.identity, x)
        ),
        "sample": lambda: distribution.sample(3, seed=(1, 2)),
        "sample then log_prob": sample_then_log_prob,
        "sample and log_prob": lambda: distribution.experimental_sample_and_log_prob(
            3, seed=(1, 2)
        ),
    }
    assert {name: calls_of(use, traced) for name, use in uses.items()} == dict.fromkeys(
        uses, 1
    )


@pytest.mark.parametrize("memory", ["activations", "constant"])
@pytest.mark.parametrize("name", ["nice", "neural_spline", "flow_pp"])
def test_one_network_call_for_each_step_of_every_kind(name, memory):
    flow = flows.build(
        name, event_shape=(4,), num_steps=2, network=CountingMLP, memory=memory
    )
    x = tf.random.stateless_normal([3, 4], (1, 2))
    assert calls_of(lambda: flow.log_prob(tf.identity(x)), traced=False) == 2
    assert calls_of(lambda: flow.sample(3, seed=(1, 2)), traced=False) == 2

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(flow.log_prob(tf.identity(x)))
        return tape.gradient(loss, flow.trainable_variables)

    again = 2 if memory == "constant" else 0  # to go back
    assert calls_of(gradients, traced=False) == 2 + again


@homes
def test_a_finished_graph_is_freed(home):
    distribution = home(coupling())
    x = event(distribution)
    graphs = []

    @tf.function(autograph=False)  # AutoGraph keeps what it could not convert
    def both(x):
        graphs.append(weakref.ref(tf.compat.v1.get_default_graph()))
        drawn = distribution.sample(2, seed=(1, 2))
        return distribution.log_prob(x), distribution.log_prob(drawn)

    both(x)
    assert graphs[0]() is not None
    del both
    gc.collect()
    assert graphs[0]() is None


def test_an_eager_value_is_freed_with_its_last_user():
    bijector = coupling()
    x = tf.ones([3, 4])
    y = bijector.forward(x)
    kept = weakref.ref(x)
    del x
    gc.collect()
    assert kept() is not None  # the inverse of y is remembered while y lives
    del y
    gc.collect()
    assert kept() is None


@homes
def test_a_gradient_tape_loop_with_a_keras_optimizer_trains(home):
    distribution = home(coupling())
    x = event(distribution, batch=64)
    optimizer = keras.optimizers.Adam(1e-2)
    losses = []
    for _ in range(20):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(
                distribution.log_prob(tf.nest.map_structure(tf.identity, x))
            )
        variables = distribution.trainable_variables
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.05


class Descent:
    """TFP's minimize wants the update as a value; Keras 3 optimizers return None."""

    def __init__(self, optimizer):
        self._optimizer = optimizer

    def apply_gradients(self, pairs):
        self._optimizer.apply_gradients(list(pairs))
        return self._optimizer.iterations.value


def test_minimize_trains():
    flow = Flow(coupling())
    x = event(flow, batch=64)
    optimizer = keras.optimizers.Adam(1e-2)
    optimizer.build(flow.trainable_variables)
    losses = tfp.math.minimize(
        lambda: -tf.reduce_mean(flow.log_prob(x)),
        num_steps=20,
        optimizer=Descent(optimizer),
        trainable_variables=flow.trainable_variables,
    )
    assert losses[-1] < losses[0] - 0.05


@homes
def test_checkpoint_round_trip(home, tmp_path):
    saved, restored = home(coupling()), home(coupling())
    for i, variable in enumerate(restored.trainable_variables):
        variable.assign(tf.fill(variable.shape, 0.1 * i))
    x = event(saved)

    def checkpoint(distribution):
        # TFP's joint distributions keep a dictionary that no checkpoint accepts.
        joint = isinstance(distribution.dtype, (list, tuple))
        return tf.train.Checkpoint(
            model=list(distribution.variables) if joint else distribution
        )

    path = checkpoint(saved).save(str(tmp_path / "c"))
    checkpoint(restored).restore(path).assert_consumed()
    np.testing.assert_array_equal(restored.log_prob(x), saved.log_prob(x))


def test_encode_is_computed_anew_after_the_weights_change():
    flow = Flow(coupling())
    x = tf.ones([3, 4])
    before = flow.encode(x)
    laws.randomize(flow, seed=9)
    after = flow.encode(x)
    assert not np.allclose(before, after)


def test_frozen_layers_are_frozen_on_both_sides():
    network = MLP((8,))
    network.trainable = False
    bijector = AffineCoupling((4,), network, masks.half((4,)))
    laws.assert_both_sides_see_the_weights(bijector, bijector.keras_layers, expected=2)


def test_layers_without_weights_yet_are_refused():
    class Bad(AffineCoupling):
        def __init__(self):
            super().__init__((4,), MLP((8,)), masks.half((4,)))
            self._show_layers({"late": keras.layers.Dense(3)})

    with pytest.raises(ValueError, match="late"):
        Bad()


def test_half_precision_networks_leave_the_algebra_alone():
    flows = {
        policy: AffineCoupling(
            (6,), MLP((32, 32), "tanh", dtype=policy), masks.half((6,))
        )
        for policy in ("float32", "mixed_bfloat16")
    }
    exact, rounded = flows.values()
    laws.randomize(exact)
    for v, w in zip(
        rounded.trainable_variables, exact.trainable_variables, strict=True
    ):
        v.assign(w)
    assert rounded.keras_layers[0].compute_dtype == "bfloat16"
    y = tf.constant(np.random.default_rng(0).normal(size=(7, 6)), tf.float32)
    x = rounded.inverse(y)
    log_det = rounded.inverse_log_det_jacobian(y)
    assert x.dtype == log_det.dtype == tf.float32
    # What bfloat16's 8 bits allow, against the autodiff of the float32 network.
    expected = laws.autodiff_log_det(exact.inverse, y)
    np.testing.assert_allclose(log_det, expected, atol=0.05)
    assert np.abs(log_det - expected).max() > 1e-6  # it was computed in bfloat16
    # Nothing else is rounded: passive units to the bit, the inverse to float32.
    np.testing.assert_array_equal(x[:, :3], y[:, :3])
    np.testing.assert_allclose(rounded.forward(laws.fresh(x)), y, atol=1e-5)


def test_a_float64_flow_keeps_float64_under_a_half_precision_policy():
    from tfp_flows import flows

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        flow = flows.real_nvp((4,), 2, (8,), dtype="float64")
        half = flows.real_nvp((4,), 2, (8,))
    finally:
        keras.config.set_dtype_policy("float32")
    laws.randomize(flow)
    laws.assert_log_det_matches_autodiff(
        flow.bijector, tf.random.normal([3, 4], dtype=tf.float64)
    )
    assert {v.dtype for v in flow.variables if v.dtype.is_floating} == {tf.float64}
    assert half.bijector.bijectors[1].keras_layers[0].compute_dtype == "bfloat16"
