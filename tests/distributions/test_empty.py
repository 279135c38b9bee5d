"""Empty batches give empty results, in every mode."""

import pytest
import tensorflow as tf

from tests.training.test_recipes import RECIPES

_KINDS = ("maf", "iaf", "glow of 5 bits", "recurrent", "recurrent of symbols")
_KINDS += ("wavenet", "pixel cnn", "pixel rnn", "reversible", "padded glow")


@pytest.mark.parametrize("kind", _KINDS)
def test_no_events_have_no_results(kind):
    model = RECIPES[kind]()
    given = {}
    if model.context_shape is not None:
        given["context"] = tf.zeros([0, *model.context_shape])
    events = tf.zeros([0, *model.event_shape], model.dtype)
    shape = tf.TensorShape([None, *model.event_shape])
    in_graph = tf.function(
        lambda x: model.log_prob(x, **given),
        input_signature=[tf.TensorSpec(shape, model.dtype)],
    )
    assert model.log_prob(events, **given).shape == [0]
    assert in_graph(events).shape == [0]
    x = model.sample([] if given else 0, seed=1, **given)
    assert x.shape == [0, *model.event_shape]
    if model.flow is not None:
        z = model.encode(events, **given)
        assert model.decode(z, **given).shape == events.shape
