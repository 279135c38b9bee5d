"""PixelCNN and PixelRNN: every network with every element sums to one and trains."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tests.distributions.test_autoregressive import all_states, assert_frequencies
from tfp_flows import FlowModel, flows
from tfp_flows.networks import MADE, MaskedConv

_CNN = {"num_blocks": 1, "filters": 6}
_RNN = {"num_layers": 1, "units": 6}
NETWORKS = {
    "gated": (flows.pixel_cnn, _CNN),
    "plain": (flows.pixel_cnn, {**_CNN, "gated": False}),
    "row": (flows.pixel_rnn, _RNN),
    "diagonal": (flows.pixel_rnn, {**_RNN, "layer": "diagonal"}),
}
ELEMENTS = {
    "categorical": {"num_values": 3},
    "mixture": {"num_values": 3, "element": "mixture", "num_components": 2},
    "bernoulli": {"num_values": 2, "element": "bernoulli"},
}
SHAPES = {"grey": (2, 2, 1), "two channels": (1, 2, 2)}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_log_prob_sums_to_one_and_samples_agree(network, element, shape):
    recipe, options = NETWORKS[network]
    model = recipe(SHAPES[shape], **options, **ELEMENTS[element], dtype="float64")
    laws.randomize(model, scale=1.0)
    states = all_states(model)
    probabilities = np.exp(model.log_prob(states))
    np.testing.assert_allclose(probabilities.sum(), 1.0, atol=1e-9)
    assert probabilities.std() > 1e-3
    samples = model.sample(4000, seed=1).numpy()
    assert_frequencies(samples, states, probabilities)


def test_mixtures_take_the_channels_of_a_pixel_together():
    model = flows.pixel_cnn((2, 2, 3), **_CNN, num_values=8, element="mixture")
    assert model.network.num_positions == 4 and model.element.block_size == 3
    model = flows.pixel_cnn((2, 2, 3), **_CNN, num_values=8)
    assert model.network.num_positions == 12


def test_networks_can_be_built_by_the_user():
    def made(event_shape, num_params, num_features, channels):
        assert channels == "ordered"
        return MADE(event_shape, num_params, num_features, hidden_units=(16,))

    model = flows.pixel_cnn((2, 2, 1), num_values=3, network=made)
    laws.randomize(model)
    np.testing.assert_allclose(
        np.exp(model.log_prob(all_states(model))).sum(), 1.0, atol=1e-5
    )
    assert model.recipe is None


@pytest.mark.slow
@pytest.mark.parametrize("make", [flows.pixel_cnn, flows.pixel_rnn])
def test_they_learn_fit_into_keras_files_and_come_back(make, tmp_path):
    options = {**_CNN, "dropout": 0.1} if make is flows.pixel_cnn else _RNN
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, (256, 3, 1, 1))
    x = np.concatenate([first, first, first], axis=2)  # log 3 nats a row, not 3 log 3
    model = FlowModel(make((3, 3, 1), **options, num_values=3))
    model.compile(keras.optimizers.Adam(3e-2))
    model.fit(x, epochs=12, batch_size=32, verbose=0)
    scores = model.evaluate(x, verbose=0, return_dict=True)
    assert 3 * np.log(3) * 0.98 < scores["nll"] < 3 * np.log(3) + 0.7
    samples = model.flow.sample(50, seed=1).numpy()
    assert np.mean(samples == samples[:, :, :1]) > 0.85
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.flow.log_prob(x), model.flow.log_prob(x))


def test_what_they_cannot_model_is_refused():
    for make, (arguments, match) in itertools.product(
        [flows.pixel_cnn, flows.pixel_rnn],
        [
            ({"event_shape": (4,), "num_values": 3}, "needs images"),
            ({"event_shape": (2, 2, 1)}, "needs num_values >= 2, got None"),
            ({"event_shape": (2, 2, 1), "num_values": 1}, "got 1"),
            (
                {"event_shape": (2, 2, 1), "num_values": 3, "element": "bernoulli"},
                "num_values 2 .binarised images., got 3",
            ),
            (
                {"event_shape": (2, 2, 1), "num_values": 3, "element": "poisson"},
                "no element 'poisson'",
            ),
        ],
    ):
        with pytest.raises(ValueError, match=match):
            make(**arguments)
    with pytest.raises(ValueError, match="no layer 'column'"):
        flows.pixel_rnn((2, 2, 1), num_values=3, layer="column")


def test_half_precision_networks_leave_masses_that_nearly_sum_to_one():
    model = flows.pixel_cnn(
        (2, 2, 1), **_CNN, num_values=3, network_dtype="mixed_bfloat16"
    )
    laws.randomize(model, scale=1.0)
    assert isinstance(model.network, MaskedConv)
    assert model.network.compute_dtype == "bfloat16"
    log_prob = model.log_prob(all_states(model))
    assert log_prob.dtype == tf.float32
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1.0, atol=0.02)
