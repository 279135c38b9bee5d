"""Every kind of recipe: a step of `fit`, what it logs, and its Keras file."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.replicas import mirrored
from tfp_flows import FlowModel, flows

_MADE = {"num_steps": 2, "hidden_units": (8,)}
_RNN = {"num_layers": 1, "units": 4}
RECIPES = {
    "glow": lambda: flows.glow((4, 4, 1), 2, 1, 4, context_shape=(2,)),
    "glow of integers": lambda: flows.glow(
        *((4, 4, 1), 1, 2, 4),
        num_values=5,
        coupling="spline",
        coupling_options={"num_bins": 4},
        histogram="channel",
        initial="permutation",
        memory="activations",
    ),
    "glow of 5 bits": lambda: flows.glow(
        *((4, 4, 2), 1, 1, 4),
        num_values=32,
        coupling="mixture",
        dequantization="variational",
        context_shape=(2,),
    ),
    "padded glow": lambda: flows.glow(
        *((3, 3, 1), 1, 1, 4), num_values=5, pad_to=(4, 4)
    ),
    "neural spline couplings": lambda: flows.neural_spline((4,), **_MADE, num_bins=4),
    "flow++": lambda: flows.flow_pp((4,), **_MADE, num_components=2),
    "maf": lambda: flows.maf((4,), **_MADE, context_shape=(2,)),
    "maf, batch norms, mixtures": lambda: flows.maf(
        (4,), **_MADE, normalization="batch_norm", num_components=2
    ),
    "maf of integers": lambda: flows.maf((2, 2, 1), **_MADE, num_values=5),
    "iaf": lambda: flows.iaf((4,), **_MADE),
    "neural spline": lambda: flows.neural_spline(
        (4,), **_MADE, num_bins=4, autoregressive=True
    ),
    "gaussian": lambda: flows.gaussian((4,)),
    "gaussian mixture of integers": lambda: flows.gaussian_mixture(
        (4,), 2, num_values=5, covariance_floor=0.01
    ),
    "nice": lambda: flows.nice((4,), **_MADE),
    "real nvp": lambda: flows.real_nvp((4,), **_MADE),
    "reversible": lambda: flows.reversible((4,), **_MADE),
    "wavenet": lambda: flows.wavenet((4, 2), 2, 4, num_steps=2),
    "wavenet of integers": lambda: flows.wavenet((4, 1), 2, 4, num_values=5),
    "recurrent": lambda: flows.recurrent((4, 1), (4,), scalar_map="spline"),
    "recurrent of symbols": lambda: flows.recurrent(
        (4, 1), (4,), "gru", num_values=5, context_shape=(2,)
    ),
    "pixel cnn": lambda: flows.pixel_cnn((2, 2, 2), 1, 4, num_values=5, dropout=0.1),
    "pixel cnn of mixtures": lambda: flows.pixel_cnn(
        (2, 2, 2), 1, 4, num_values=5, element="mixture", num_components=2
    ),
    "pixel cnn by columns": lambda: flows.pixel_cnn(
        (2, 3, 1), 1, 4, num_values=5, order="columns"
    ),
    "any order": lambda: flows.any_order(
        (4,), num_values=5, hidden_units=(8, 8), context_shape=(2,)
    ),
    "any order of mixtures": lambda: flows.any_order(
        (2, 2, 2),
        num_values=5,
        element="mixture",
        num_components=2,
        filters=4,
        num_blocks=1,
        dropout=0.1,
    ),
    "tabular": lambda: flows.tabular(
        dict.fromkeys("abcdef", "real"), condition_on=["e", "f"], hidden_units=(8,)
    ),
    "pixel rnn": lambda: flows.pixel_rnn((2, 2, 1), **_RNN, num_values=5),
    "pixel rnn of bits": lambda: flows.pixel_rnn(
        (2, 2, 1), **_RNN, layer="diagonal", num_values=2, element="bernoulli"
    ),
}


def data(flow, count=32):
    rng = np.random.default_rng(0)
    shape = (count, *flow.event_shape)
    if flow.num_values is None:
        x = rng.normal(size=shape).astype(np.float32)
    else:
        x = rng.integers(0, flow.num_values, shape)
    if flow.context_shape is None:
        return (x,), {}
    context = rng.normal(size=(count, *flow.context_shape)).astype(np.float32)
    return (context, x), {"context": context}


@pytest.mark.parametrize("make", RECIPES.values(), ids=RECIPES)
def test_one_step_of_fit_and_a_keras_file(make, tmp_path):
    flow = make()
    model = FlowModel(flow)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    args, given = data(flow)
    if not flow.is_exact:
        given["seed"] = 0
    flow.adapt(args[-1], *args[:-1])
    score = lambda: model.evaluate(*args, batch_size=16, verbose=0, return_dict=True)  # noqa: E731
    before = score()
    history = model.fit(*args, epochs=1, batch_size=32, verbose=0).history
    assert set(history) == {"loss", "nll", "bits_per_dim"}
    scores = score()
    # What is fitted in closed form has nothing left to gain, and a step may lose what
    # another draw of the noise would have gained.
    assert scores["nll"] < before["nll"] + (1e-4 if flow.is_exact else 0.1)
    size = flow.event_shape.num_elements()
    np.testing.assert_allclose(
        scores["bits_per_dim"], scores["nll"] / size / np.log(2), rtol=1e-5
    )
    if "seed" not in given:
        nll = -np.mean(flow.log_prob(args[-1], **given))
        np.testing.assert_allclose(scores["nll"], nll, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").flow
    assert type(again) is type(flow) and again.recipe == flow.recipe
    copies = (again, copy.deepcopy(flow), pickle.loads(pickle.dumps(flow)))
    log_prob = flow.log_prob(args[-1], **given)
    for variable in flow.trainable_variables:  # theirs are their own
        variable.assign(variable + 1)
    for one in copies:
        np.testing.assert_allclose(one.log_prob(args[-1], **given), log_prob, rtol=1e-5)
        assert repr(one) == repr(flow)


@pytest.mark.parametrize("normalization", ["act_norm", "batch_norm"])
def test_two_replicas_train_a_flow(normalization, tmp_path):
    (x,), _ = data(flows.maf((4,), 1, (4,)), 64)
    weights = []
    for strategy in (tf.distribute.get_strategy(), mirrored()):
        keras.utils.set_random_seed(1)
        with strategy.scope():
            flow = flows.maf((4,), 2, (8,), normalization=normalization)
            model = FlowModel(flow)
            model.compile(keras.optimizers.SGD(3e-2), jit_compile=False)
        model.fit(x, batch_size=16, epochs=2, shuffle=False, verbose=0)
        weights.append([v.numpy() for v in model.variables])
    for variable in flow.variables:  # of both replicas, running averages as well
        first, second = (v.numpy() for v in variable.values)
        np.testing.assert_array_equal(first, second)
    model.save_weights(tmp_path / "model.weights.h5")
    again = flows.maf((4,), 2, (8,), normalization=normalization)
    FlowModel(again).load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(again.log_prob(x), flow.log_prob(x), rtol=1e-5)
    if normalization == "batch_norm":
        return  # on two replicas its statistics are those of half of the batch
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)
