"""Flows over integers: what holds for every noise, padding and shape, in float64."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests import laws
from tfp_flows import flows

VALUES = 5
_GLOW = {"num_levels": 1, "num_steps": 1, "filters": 4}
_VARIATIONAL = {"dequantization": "variational"}
CASES = {
    "vector": ("real_nvp", (4,), {"num_steps": 2, "hidden_units": (8,)}),
    "vector, learned noise": (
        *("real_nvp", (4,)),
        {"num_steps": 2, "hidden_units": (8,), **_VARIATIONAL},
    ),
    "image": ("glow", (4, 4, 1), _GLOW),
    "image, learned noise": ("glow", (4, 4, 1), {**_GLOW, **_VARIATIONAL}),
    "colours, learned noise": ("glow", (2, 4, 3), {**_GLOW, **_VARIATIONAL}),
    "padded": ("glow", (3, 3, 1), {**_GLOW, "pad_to": (4, 4)}),
    "padded colours": ("glow", (2, 3, 3), {**_GLOW, "pad_to": (2, 4)}),
    "padded, learned noise": (
        *("glow", (3, 4, 1)),
        {**_GLOW, **_VARIATIONAL, "pad_to": (4, 4)},
    ),
}
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def build(case, dtype="float64"):
    name, shape, options = case
    model = flows.build(
        name, event_shape=shape, num_values=VALUES, dtype=dtype, **options
    )
    laws.randomize(model)
    x = np.random.default_rng(1).integers(0, VALUES, (6, *shape))
    return model, x


@each
def test_the_bound_is_a_function_of_the_seed_eager_and_traced(case):
    model, x = build(case)
    bound = functools.partial(model.log_prob, x)
    eager = bound(seed=(1, 2))
    assert eager.dtype == tf.float64 and eager.shape == [6]
    assert np.isfinite(eager).all()
    np.testing.assert_allclose(tf.function(bound)(seed=(1, 2)), eager, rtol=1e-9)
    assert not np.allclose(bound(seed=(1, 3)), eager)


@each
def test_every_weight_gets_a_gradient(case):
    model, x = build(case)
    laws.assert_both_sides_see_the_weights(model, model.keras_layers)
    laws.assert_every_weight_gets_gradient(
        model, lambda: tf.reduce_mean(model.log_prob(x, seed=(1, 2)) ** 2)
    )


@each
def test_samples_are_integers_of_the_event_and_have_a_bound(case):
    model, _ = build(case)
    drawn = model.sample(5, seed=(3, 4)).numpy()
    assert drawn.shape == (5, *case[1]) and len(np.unique(drawn)) > 1
    np.testing.assert_array_equal(drawn, np.clip(np.floor(drawn), 0, VALUES - 1))
    assert np.isfinite(model.log_prob(drawn, seed=(1, 2))).all()


@each
def test_no_other_row_changes_with_a_row(case):
    model, x = build(case)
    clean = model.log_prob(x, seed=(1, 2)).numpy()
    other = np.concatenate([(x[:1] + 1) % VALUES, x[1:]])
    dirty = model.log_prob(other, seed=(1, 2)).numpy()
    assert dirty[0] != clean[0]
    np.testing.assert_allclose(dirty[1:], clean[1:], rtol=1e-9)


@each
def test_a_checkpoint_restores_the_numbers(case, tmp_path):
    model, x = build(case, "float32")
    before = model.log_prob(x, seed=(1, 2)).numpy()
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "ckpt"))
    other, _ = build(case, "float32")
    laws.randomize(other, seed=9)
    assert not np.allclose(other.log_prob(x, seed=(1, 2)), before)
    tf.train.Checkpoint(model=other).restore(path).assert_consumed()
    np.testing.assert_array_equal(other.log_prob(x, seed=(1, 2)), before)
