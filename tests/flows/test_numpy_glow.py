"""Glow's log-density against another Glow, of NumPy alone, written from the paper.

Kingma, Dhariwal. Glow: Generative flow with invertible 1x1 convolutions. NeurIPS 2018.
It leaves open how s stays positive and which half is which. Here, as the library says:
s = exp(-2 tanh(raw)), the first half of the channels stays and is factored out first.
"""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows import flows

LEVELS = 2


def squeeze(x):
    batch, height, width, channels = x.shape
    blocks = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(
        batch, height // 2, width // 2, -1
    )


def unsqueeze(x):
    batch, height, width, channels = x.shape
    blocks = x.reshape(batch, height, width, 2, 2, channels // 4)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, -1)


def convolve(x, kernel):
    height, width = x.shape[1:3]
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    return sum(
        padded[:, i : i + height, j : j + width] @ kernel[i, j]
        for i in range(3)
        for j in range(3)
    )


def zero_convolve(x, w):
    kernel = w["kernel"] * gain(128.0, 9 * x.shape[-1])
    return convolve(x - w["mean"], kernel) + w["bias"]


def gain(most, fan_in):
    return min(1.0, most / fan_in)


def relu(x):
    return np.maximum(x, 0.0)


def network(x, w, context, norms):
    h = convolve(x, w["conv_kernel"] * gain(32.0, 9 * x.shape[-1]))
    if context is not None:
        h = h + (context @ w["context_kernel"])[:, None, None, :]
    h = h * np.exp(w["conv_ls"]) + w["conv_bias"]
    norms.append(h)
    h = (relu(h) @ w["mix_kernel"]) * np.exp(w["mix_ls"]) + w["mix_bias"]
    norms.append(h)
    return relu(h)


def log_normal(x, mean, log_std):
    z = (x - mean) / np.exp(log_std)
    density = -0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)
    return z, density.sum(axis=(1, 2, 3))


def step(h, w, context, norms):
    """Act norm, 1x1 convolution, affine coupling: Table 1 of the paper."""
    pixels = h.shape[1] * h.shape[2]
    s = np.exp(-w["norm"])
    h = (h - w["center"]) * s - w["shift"]
    norms.append(h)
    log_det = pixels * np.log(np.abs(s)).sum()
    h = np.einsum("bhwc,cd->bhwd", h, w["matrix"])
    log_det += pixels * np.log(abs(np.linalg.det(w["matrix"])))
    first, second = np.split(h, 2, axis=-1)
    shift, raw = np.split(
        zero_convolve(network(first, w, context, norms), w), 2, axis=-1
    )
    log_s = -2.0 * np.tanh(raw)
    second = np.exp(log_s) * second - shift
    return np.concatenate([first, second], -1), log_det + log_s.sum(axis=(1, 2, 3))


def glow(x, weights, context=None):
    """Returns z in the places of its pixels, log p(x), and what act norms give."""
    h, total, parts, norms = x, 0.0, [], []
    for level, steps in enumerate(weights["levels"]):
        h = squeeze(h)
        for w in steps:
            h, log_det = step(h, w, context, norms)
            total = total + log_det
        if level < LEVELS - 1:
            done, h = np.split(h, 2, axis=-1)
            mean, raw = np.split(zero_convolve(h, weights["prior"]), 2, axis=-1)
            log_std = 2.0 * np.tanh(raw)
            z, log_p = log_normal(done, mean * np.exp(log_std), log_std)
            parts.append(z)
            total = total + log_p
    top = weights["top"]
    mean = top["center"] + top["shift"] * np.exp(top["log_scale"])
    z, log_p = log_normal(h, mean, top["log_scale"])
    for done in [None, *parts[::-1]]:
        z = unsqueeze(z if done is None else np.concatenate([done, z], -1))
    return z, total + log_p, norms


def logit(y, num_values, alpha):
    p = alpha + (1 - 2 * alpha) * y / num_values
    slope = (1 - 2 * alpha) / num_values / (p * (1 - p))
    return np.log(p / (1 - p)), np.log(slope).sum(axis=(1, 2, 3))


def by_name(layer):
    return {v.path.split("/")[-1]: v.numpy() for v in layer.variables}


def matrices(packed, sign, order):
    """W = P L (U + diag(s exp(d))) of each step; row i is row order[i] of L U."""
    size = packed.shape[-1]
    scale = gain(4.0, size)
    return [
        (
            (scale * np.tril(lu, -1) + np.eye(size))
            @ (scale * np.triu(lu, 1) + np.diag(s * np.exp(np.diag(lu))))
        )[rows]
        for lu, s, rows in zip(packed, sign, order, strict=True)
    ]


def read_steps(layer):
    """Returns the weights of each step of a level, in the words of this file."""
    ours = {
        "center": "act_norm_weights_center",
        "shift": "act_norm_weights_shift",
        "norm": "act_norm_weights_log_scale",
        "matrix": "invertible_conv_1x1_weights_matrix",
        "kernel": "zero_conv_kernel",
        "bias": "zero_conv_bias",
        "mean": "zero_conv_center",
    }
    values = {k: v for k, v in by_name(layer).items() if "adapted" not in k}
    linear = "invertible_conv_1x1_weights_"
    if f"{linear}lu" in values:
        packed = [values.pop(linear + k) for k in ("lu", "sign", "order")]
        values[f"{linear}matrix"] = matrices(*packed)
    else:
        plain = values[f"{linear}matrix"]
        values[f"{linear}matrix"] = plain * gain(4.0, plain.shape[-1])
    net = {n.removeprefix("glow_net_"): n for n in values if n.startswith("glow_net")}
    names = {**ours, **net}
    assert set(names.values()) == set(values)
    return [{k: values[n][i] for k, n in names.items()} for i in range(layer.count)]


def read_weights(flow):
    """Returns the weights of a flow of the library for the Glow of this file."""
    layers = [layer for layer in flow.keras_layers if layer.trainable_variables]
    levels = [read_steps(la) for la in layers if la.name == "glow_steps_weights"]
    top, prior = (
        by_name(next(layer for layer in layers if layer.name == name))
        for name in ("top_prior_weights", "zero_conv")
    )
    assert len(layers) == len(levels) + 2 == LEVELS + 2
    return {"levels": levels, "top": top, "prior": prior | {"mean": prior["center"]}}


def library_glow(num_steps=2, dtype="float64", **options):
    flow = flows.glow((8, 4, 3), LEVELS, num_steps, 3, dtype=dtype, **options)
    rng = np.random.default_rng(0)
    for layer in flow.keras_layers:
        for variable in layer.variables:
            if variable.trainable or variable.path.endswith(
                ("zero_conv_center", "zero_conv/center")
            ):
                variable.assign(rng.normal(size=tuple(variable.shape)) * 0.4)
    return flow


@pytest.mark.parametrize(
    ("context_shape", "linear", "memory"),
    [
        (None, "lu", "constant"),
        (None, "plain", "activations"),
        ((2,), "lu", "activations"),
        ((2,), "plain", "constant"),
    ],
)
def test_log_density_and_latents_are_those_of_the_numpy_glow(
    context_shape, linear, memory
):
    flow = library_glow(context_shape=context_shape, linear=linear, memory=memory)
    rng = np.random.default_rng(1)
    x, kwargs, context = rng.normal(size=(5, 8, 4, 3)), {}, None
    if context_shape is not None:
        context = rng.normal(size=(5, *context_shape))
        kwargs = {"context": tf.constant(context)}
    z, log_prob, _ = glow(x, read_weights(flow), context)
    np.testing.assert_allclose(flow.log_prob(x, **kwargs), log_prob, rtol=1e-10)
    np.testing.assert_allclose(flow.encode(x, **kwargs), z, atol=1e-10, rtol=1e-9)
    assert np.std(log_prob) > 1.0


def test_the_density_of_pixels_is_that_of_the_numpy_glow():
    model = library_glow(num_values=17, alpha=0.03)
    y = np.random.default_rng(2).uniform(0.0, 17.0, (5, 8, 4, 3))
    x, log_det = logit(y, 17, 0.03)
    _, log_prob, _ = glow(x, read_weights(model))
    np.testing.assert_allclose(model.flow.log_prob(y), log_prob + log_det, rtol=1e-10)


@pytest.mark.parametrize(
    ("dtype", "atol", "context_shape", "memory"),
    [
        ("float64", 1e-9, None, "constant"),
        ("float64", 1e-9, (2,), "activations"),
        ("float32", 1e-2, (2,), "constant"),
        ("float32", 1e-2, None, "activations"),
    ],
)
def test_every_act_norm_standardises_the_adapting_batch(
    dtype, atol, context_shape, memory
):
    """Of steps, inside of networks and of the top prior: channel by channel."""
    depth = 6
    flow = library_glow(depth, dtype, context_shape=context_shape, memory=memory)
    rng = np.random.default_rng(3)
    x, context = rng.normal(5.0, 3.0, size=(20, 8, 4, 3)), None
    if context_shape is not None:
        context = rng.normal(size=(20, *context_shape))
    assert not flow.is_adapted
    flow.adapt(x, context)
    assert flow.is_adapted
    x = (x - x.mean(axis=(0, 1, 2))) / x.std(axis=(0, 1, 2))
    if context is not None:
        context = (context - context.mean(axis=0)) / context.std(axis=0)
    z, _, norms = glow(x, read_weights(flow), context)
    assert len(norms) == LEVELS * depth * 3
    # The top prior's variables are those of the last 2 x 1 pixels.
    top = squeeze(squeeze(z)[..., 6:])
    for value in [*norms, top]:
        np.testing.assert_allclose(value.mean(axis=(0, 1, 2)), 0.0, atol=atol)
        np.testing.assert_allclose(value.var(axis=(0, 1, 2)), 1.0, atol=atol)
