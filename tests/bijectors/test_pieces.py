"""What is particular to each: act norm, pixels, squeeze, multiscale, chain."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import laws
from tfp_flows import FlowModel, flows
from tfp_flows import bijectors as b
from tfp_flows.networks import MLP, masks

tfb = tfp.bijectors


@pytest.mark.parametrize("shape", [(5,), (4, 4, 3)])
def test_act_norm_normalises_the_batch_it_is_adapted_to(shape):
    y = tf.random.normal([200, *shape], mean=3.0, stddev=5.0)
    norm = b.ActNorm(shape)
    assert not norm.is_adapted
    norm.adapt(y)
    assert norm.is_adapted
    x = norm.inverse(y)
    axes = list(range(x.shape.rank - 1))
    np.testing.assert_allclose(tf.reduce_mean(x, axes), 0.0, atol=1e-5)
    np.testing.assert_allclose(tf.math.reduce_std(x, axes), 1.0, atol=1e-5)


def test_every_act_norm_of_a_chain_sees_normalised_data():
    flow = flows.real_nvp((4,), 3, (8,), activation="tanh")
    laws.randomize(flow)
    x = tf.random.normal([300, 4], mean=-2.0, stddev=3.0)
    flow.adapt(x)
    after = {name: value for name, value, _ in flow.trace(x) if "act_norm" in name}
    assert len(after) == 3
    for value in after.values():
        np.testing.assert_allclose(tf.reduce_mean(value, 0), 0.0, atol=1e-4)
        np.testing.assert_allclose(tf.math.reduce_std(value, 0), 1.0, atol=1e-4)


def test_every_act_norm_of_an_image_flow_is_adapted():
    flow = flows.real_nvp((4, 4, 1), 2, filters=4, num_blocks=1)
    assert not flow.is_adapted
    flow.adapt(tf.random.normal([50, 4, 4, 1]))
    assert flow.is_adapted


ADAPTING = {
    "real nvp": functools.partial(flows.real_nvp, (4,), 2, (8,)),
    "glow": functools.partial(flows.glow, (4, 4, 1), 2, 2, 4),
}


@pytest.mark.parametrize("make", ADAPTING.values(), ids=ADAPTING)
def test_act_norm_is_touched_by_adapting_alone(make, tmp_path):
    """Not by sampling or log_prob, and not by a fit of what comes from a file."""
    flow = make()
    data = np.random.default_rng(0).normal(size=(40, *flow.event_shape))
    data = data.astype(np.float32)

    def values():
        return [v.numpy() for v in flow.trainable_variables]

    def use():
        before = values()
        flow.sample(5, seed=1)
        flow.log_prob(data * 100)
        for old, new in zip(before, values(), strict=True):
            np.testing.assert_array_equal(old, new)

    use()
    assert not flow.is_adapted
    flow.adapt(data)
    use()
    FlowModel(flow).save_weights(tmp_path / "w.weights.h5")
    adapted, flow = values(), make()
    model = FlowModel(flow)
    model.load_weights(tmp_path / "w.weights.h5")
    assert flow.is_adapted
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    model.fit(data * 10, epochs=1, verbose=0)
    for old, new in zip(adapted, values(), strict=True):
        np.testing.assert_array_equal(old, new)


@settings(max_examples=15, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    dtype=st.sampled_from(["float32", "float64"]),
    mean=st.floats(-1e3, 1e3),
    scale=st.floats(1e-2, 1e3),
)
def test_act_norm_normalises_any_shape(shape, dtype, mean, scale):
    rng = np.random.default_rng(0)
    y = tf.constant(mean + scale * rng.normal(size=(30, *shape)), dtype)
    norm = b.ActNorm(shape, dtype=dtype)
    norm.adapt(y)
    x = np.asarray(norm.inverse(y), np.float64)
    axes = tuple(range(x.ndim - 1))
    # What float32 loses of a small scale on a large mean is lost before.
    atol = 1e-9 if dtype == "float64" else 1e-4 + 1e-6 * abs(mean) / scale
    np.testing.assert_allclose(x.mean(axes), 0.0, atol=atol)
    np.testing.assert_allclose(x.var(axes), 1.0, atol=max(atol, 1e-9))


def test_the_adapted_flag_survives_a_checkpoint(tmp_path):
    saved, restored = (flows.real_nvp((4,), 2, (8,)) for _ in range(2))
    saved.adapt(np.random.default_rng(0).normal(size=(50, 4)))
    path = tf.train.Checkpoint(flow=saved).save(str(tmp_path / "c"))
    tf.train.Checkpoint(flow=restored).restore(path)
    assert restored.is_adapted


def test_adapting_keeps_units_that_do_not_vary_and_refuses_too_little():
    norm = b.ActNorm((2,))
    norm.adapt(tf.constant([[1e6, 1.0], [1e6, 3.0]]))
    x = norm.inverse(tf.constant([[1e6, 1.0]]))
    np.testing.assert_allclose(x, [[0.0, -1.0]], atol=1e-6)
    for bad in (tf.ones([1, 2]), tf.fill([3, 2], np.nan)):
        with pytest.raises(ValueError, match="at least 2 finite events"):
            b.ActNorm((2,)).adapt(bad)


def test_the_gaussian_adapts_to_the_sample_moments():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3)) + [1.0, 2.0, 3.0]
    flow = flows.gaussian((3,), dtype="float64")
    flow.adapt(rows)
    expected = tfp.distributions.MultivariateNormalFullCovariance(
        rows.mean(0), np.cov(rows.T, bias=True)
    )
    np.testing.assert_allclose(flow.log_prob(rows), expected.log_prob(rows), atol=1e-9)
    with pytest.raises(ValueError, match="full rank"):
        flows.gaussian((3,)).adapt(np.ones((10, 3)) * np.arange(10)[:, None])


def test_pixel_logit_is_the_papers_formula_inside_its_range():
    y = np.linspace(0.0, 17.0, 50)[:, None]
    p = 0.05 + 0.9 * y / 17
    pixels = b.PixelLogit((1,), 17, dtype="float64")
    np.testing.assert_allclose(pixels.inverse(y), np.log(p / (1 - p)), atol=1e-12)


def test_pixel_logit_increases_on_the_whole_line():
    y = np.linspace(-40.0, 60.0, 2001)[:, None]
    x = b.PixelLogit((1,), 17, dtype="float64").inverse(y).numpy()
    assert (np.diff(x[:, 0]) > 0).all()


@pytest.mark.parametrize(
    "options", [{"num_values": 1}, {"num_values": 8, "alpha": 0.5}]
)
def test_pixel_logit_refuses(options):
    with pytest.raises(ValueError, match="num_values"):
        b.PixelLogit((1,), **options)


def test_squeeze_orders_channels_as_tensorflow_does():
    y = tf.reshape(tf.range(16.0), [1, 4, 4, 1])
    x = b.Squeeze((4, 4, 1)).inverse(y)
    np.testing.assert_array_equal(x[0, 0, 0], [0.0, 1.0, 4.0, 5.0])
    with pytest.raises(ValueError, match="multiples of 2"):
        b.Squeeze((3, 4, 1))


def test_multiscale_without_steps_that_act_leaves_every_variable_in_its_place():
    shapes = b.Multiscale.level_shapes((8, 8, 1), 3)
    assert shapes == [(4, 4, 4), (2, 2, 8), (1, 1, 16)]
    flow = b.Multiscale([[b.ActNorm(s)] for s in shapes], (8, 8, 1))
    y = tf.random.normal([2, 8, 8, 1])
    np.testing.assert_array_equal(flow.inverse(y), y)
    with pytest.raises(ValueError, match="multiples of 8"):
        b.Multiscale.level_shapes((28, 28, 1), 3)


def test_deep_levels_act_on_half_of_the_variables_only():
    shapes = b.Multiscale.level_shapes((4, 4, 1), 2)
    scale = b.DiagonalScale(shapes[1])
    scale.trainable_variables[0].assign(tf.ones(shapes[1]))
    flow = b.Multiscale([[b.ActNorm(shapes[0])], [scale]], (4, 4, 1))
    changed = flow.inverse(tf.ones([1, 4, 4, 1])) != 1.0
    assert int(tf.reduce_sum(tf.cast(changed, tf.int32))) == 8


def test_chain_has_the_order_of_tfps():
    parts = [tfb.Scale(2.0), tfb.Shift(1.0)]
    x = tf.ones([3, 4])
    np.testing.assert_array_equal(
        b.Chain(parts, event_shape=(4,)).forward(x), tfb.Chain(parts).forward(x)
    )


def test_chain_refuses_neighbours_that_do_not_fit():
    with pytest.raises(ValueError, match="part 1, 'act_norm', wants .*squeeze"):
        b.Chain([b.Squeeze((4, 4, 1)), b.ActNorm((4, 4, 1))])
    with pytest.raises(ValueError, match="at least one"):
        b.Chain([])
    with pytest.raises(ValueError, match="Pass event_shape"):
        b.Chain([tfb.Exp()])
    with pytest.raises(ValueError, match="one dtype"):
        b.Chain([b.ActNorm((2,)), b.ActNorm((2,), dtype="float64")])
    with pytest.raises(ValueError, match="one context_shape"):
        b.Chain(
            [
                b.AffineCoupling((2,), MLP((4,)), masks.half((2,)), context_shape=(n,))
                for n in (1, 2)
            ]
        )
