"""WaveNet and recurrent flows: causal, exact, and told by a context."""

import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import flows

_WAVENET = {"num_layers": 3, "filters": 6, "dilation_cycle": 3}
DISCRETE = {
    "wavenet": lambda **kwargs: flows.wavenet((3, 1), **_WAVENET, **kwargs),
    "recurrent": lambda **kwargs: flows.recurrent((3, 1), (4,), **kwargs),
}
CONTINUOUS = {
    "wavenet": lambda **kwargs: flows.wavenet((6, 2), **_WAVENET, **kwargs),
    "recurrent": lambda **kwargs: flows.recurrent((6, 2), (4,), **kwargs),
}


def each(table):
    return pytest.mark.parametrize("make", table.values(), ids=table.keys())


@each(DISCRETE)
@pytest.mark.parametrize("one_hot", [False, True])
def test_the_probabilities_of_all_sequences_sum_to_one(make, one_hot):
    model = make(num_values=3, one_hot=one_hot)
    laws.randomize(model, scale=1.0)
    everything = np.stack(np.meshgrid(*[range(3)] * 3), axis=-1).reshape(27, 3, 1)
    log_prob = model.log_prob(everything)
    assert np.std(log_prob) > 0.1
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, atol=1e-5)


@each(DISCRETE)
def test_sampled_symbols_have_their_probabilities(make):
    model = make(num_values=2, context_shape=(2,))
    laws.randomize(model, scale=1.5)
    context = np.array([0.5, -1.0], np.float32)
    everything = np.stack(np.meshgrid(*[range(2)] * 3), axis=-1).reshape(8, 3, 1)
    wanted = np.exp(model.log_prob(everything, context=context))
    drawn = tf.function(lambda: model.sample(4000, seed=1, context=context))().numpy()
    found = (drawn[:, None] == everything).all(axis=(2, 3)).mean(axis=0)
    # Five standard errors of each of the eight shares.
    assert (np.abs(found - wanted) < 5 * np.sqrt(wanted / 4000)).all()


@each(CONTINUOUS)
@pytest.mark.parametrize("num_steps", [1, 2])
def test_latents_depend_on_the_past_alone(make, num_steps):
    flow = make(num_steps=num_steps, dtype="float64")
    laws.randomize(flow)
    x = tf.random.normal([2, 6, 2], seed=0, dtype=tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z = flow.encode(x)
    seen = np.abs(tape.batch_jacobian(z, x, experimental_use_pfor=False))
    by_step = seen.max(axis=(0, 2, 4))
    np.testing.assert_array_equal(by_step > 0, np.tri(6, dtype=bool))


@each(CONTINUOUS)
def test_the_steps_of_a_flow_mix_the_channels(make):
    one, two = make(num_steps=1, dtype="float64"), make(num_steps=2, dtype="float64")
    x = tf.random.normal([1, 6, 2], seed=0, dtype=tf.float64)
    for flow, mixed in ((one, False), (two, True)):
        laws.randomize(flow)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            z = flow.encode(x)
        now = np.abs(tape.batch_jacobian(z, x, experimental_use_pfor=False))[0, 3, :, 3]
        assert (now[0, 1] > 0) == (now[1, 0] > 0) == mixed


@each(CONTINUOUS)
@pytest.mark.parametrize("scalar_map", ["affine", "mixture", "spline"])
def test_a_sequence_is_a_context(make, scalar_map):
    flow = make(scalar_map=scalar_map, context_shape=(6, 3))
    laws.randomize(flow)
    rng = np.random.default_rng(0)
    x, context = rng.normal(size=(2, 6, 2)), rng.normal(size=(2, 6, 3))
    z = flow.encode(x, context)
    np.testing.assert_allclose(flow.decode(z, context), x, atol=1e-4)
    later = context.copy()
    later[:, 4] += 1.0
    changed = (flow.encode(x, later).numpy() != z.numpy()).any(axis=(0, 2))
    assert changed[4] and not changed[:4].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flows.wavenet((8,)), r"Series of numbers have one channel"),
        (lambda: flows.recurrent((8, 1), num_steps=0), "num_steps >= 1"),
        (lambda: flows.recurrent((8, 1), cell="rnn"), "gru"),
        (lambda: flows.wavenet((8, 1), scalar_map="cubic"), "affine, mixture, spl"),
        (lambda: flows.wavenet((8, 1), num_values=1), "num_values >= 2"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
