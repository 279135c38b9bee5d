"""Several scales: places of latent variables, any steps, learned priors."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import laws
from tfp_flows import bijectors as b
from tfp_flows import flows
from tfp_flows.networks import ConvResNet, masks

tfb = tfp.bijectors


def of_pixels(shape, num_levels, dtype="float64"):
    """Steps that mix the channels of a squeezed pixel and no pixels."""
    shapes = b.Multiscale.level_shapes(shape, num_levels)
    steps = [
        [b.InvertibleConv1x1(s, seed=i, dtype=dtype)] for i, s in enumerate(shapes)
    ]
    return b.Multiscale(steps, shape)


def moved(function, x):
    """Which outputs depend on which inputs: bool `[*event, *event]`."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = function(x)
    return np.abs(tape.batch_jacobian(y, x, experimental_use_pfor=False)[0]) > 1e-9


def test_level_k_ends_in_blocks_of_two_to_the_k_pixels():
    """A finished latent variable lies among the pixels that it is made of."""
    flow = of_pixels((8, 8, 1), 3)
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 8, 8, 1)))
    depends = moved(flow.inverse, x)[:, :, 0, :, :, 0]
    rows, columns = np.indices((8, 8))
    # One channel: the first half of a squeezed pixel is the upper row of its block.
    level = np.ones((8, 8), int)
    level[rows % 2 == 1] = 2
    # At level 2 its channels are 2 of each of 4 blocks; the upper blocks are finished.
    level[(rows % 2 == 1) & (rows // 2 % 2 == 1)] = 3
    for (i, j), k in np.ndenumerate(level):
        block = 2**k
        same = (rows // block == i // block) & (columns // block == j // block)
        np.testing.assert_array_equal(depends[i, j] & ~same, False)
        assert depends[i, j].sum() > (block // 2) ** 2  # and no smaller block


@settings(max_examples=12, deadline=None)
@given(
    num_levels=st.integers(1, 3),
    height=st.integers(1, 2),
    width=st.integers(1, 2),
    channels=st.integers(1, 3),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_latents_of_any_shape_make_the_round_trip(
    num_levels, height, width, channels, dtype
):
    block = 2**num_levels
    shape = (height * block, width * block, channels)
    flow = of_pixels(shape, num_levels, dtype)
    laws.randomize(flow, scale=0.3)
    z = tf.constant(np.random.default_rng(0).normal(size=(2, *shape)), dtype)
    assert flow.latent_shape == shape
    y = tf.identity(flow.forward(z))
    np.testing.assert_allclose(flow.inverse(y), z, atol=laws.tolerance(dtype) * 10)
    there = flow.inverse_log_det_jacobian(tf.identity(y), 3)
    back = flow.forward_log_det_jacobian(tf.identity(z), 3)
    np.testing.assert_allclose(there, -back, atol=laws.tolerance(dtype) * 10)


def test_any_steps_fit_in():
    """Ours, TFP's, repeated ones and chains; with fine steps before the squeeze."""
    first, second = b.Multiscale.level_shapes((4, 4, 1), 2)
    inner = b.Chain([b.ActNorm(second, dtype="float64"), tfb.Scale(np.float64(2.0))])
    conv = ConvResNet(4, 1, "tanh", dtype="float64")
    flow = b.Multiscale(
        [
            [
                b.Repeat(lambda i: b.DiagonalScale(first, dtype="float64"), 2),
                b.SplineCoupling(first, conv, masks.half(first), dtype="float64"),
            ],
            [b.TriangularAffine(second, dtype="float64"), inner],
        ],
        (4, 4, 1),
        fine=[[b.ActNorm((4, 4, 1), dtype="float64")], []],
    )
    laws.randomize(flow, scale=0.2)
    y = tf.constant(np.random.default_rng(0).normal(size=(2, 4, 4, 1)))
    laws.assert_round_trip(flow, y)
    laws.assert_log_det_matches_autodiff(flow, y)
    laws.assert_every_weight_gets_gradient(
        flow,
        lambda: (
            tf.reduce_sum(tf.sin(flow.inverse(y)))
            + tf.reduce_sum(flow.inverse_log_det_jacobian(y, 3))
        ),
    )


def test_a_prior_moves_the_finished_half_given_the_other_one():
    shapes = b.Multiscale.level_shapes((4, 4, 1), 2)
    prior = b.AffineCoupling(
        shapes[0],
        ConvResNet(4, 1, "tanh", dtype="float64"),
        masks.half(shapes[0], flip=True),
        dtype="float64",
    )
    laws.randomize(prior)
    steps = [[b.ActNorm(s, dtype="float64")] for s in shapes]
    flow = b.Multiscale(steps, (4, 4, 1), priors=[prior])
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 4, 4, 1)))
    depends = moved(flow.inverse, x)[:, :, 0, :, :, 0]
    rows, columns = np.indices((4, 4))
    for (i, j), lower in np.ndenumerate(rows % 2 == 1):
        itself = (rows == i) & (columns == j)
        if lower:  # goes on, and nothing was done to it
            np.testing.assert_array_equal(depends[i, j], itself)
        else:  # itself, and the half that went on, as far as the convolutions see
            wanted = itself | (rows % 2 == 1)
            np.testing.assert_array_equal(depends[i, j], wanted)


def test_learned_priors_add_these_weights_and_no_others():
    with_prior = flows.glow((4, 4, 1), 2, 1, 4, dtype="float64")
    names = [layer.name for layer in with_prior.keras_layers]
    assert names.count("top_prior_weights") == 1 and names.count("zero_conv") == 1
    without = flows.glow((4, 4, 1), 2, 1, 4, learned_prior=False, dtype="float64")
    difference = len(with_prior.trainable_variables) - len(without.trainable_variables)
    assert difference == 4  # shift and log-scale on top, kernel and bias before


def test_what_does_not_fit_is_refused():
    shapes = b.Multiscale.level_shapes((4, 4, 1), 2)
    steps = [[b.ActNorm(s)] for s in shapes]
    with pytest.raises(ValueError, match="multiples of 4, got"):
        b.Multiscale(steps, (4, 6, 1))
    with pytest.raises(ValueError, match="number of them >= 1"):
        b.Multiscale.level_shapes((4, 4, 1), 0)
    with pytest.raises(ValueError, match="height, width, channels"):
        b.Multiscale.level_shapes((4,), 1)
    with pytest.raises(ValueError, match="zip"):
        b.Multiscale(steps, (4, 4, 1), priors=[])
    with pytest.raises(ValueError, match="memory"):
        b.Multiscale(steps, (4, 4, 1), memory="little")
    with pytest.raises(ValueError, match="wants events"):
        b.Multiscale(steps[::-1], (4, 4, 1))
