"""What the page on other libraries calls the same model is the same model.

Each library's block runs as printed; then weights go from its networks to ours, as far
as the two parametrisations agree, and the densities must agree too.
"""

import math
import re

import numpy as np
import pytest
import tensorflow as tf

from tests import pages
from tfp_flows import flows
from tfp_flows.bijectors import Coupling, MaskedAutoregressive
from tfp_flows.networks import gains

pytestmark = pytest.mark.slow
TEXT = (pages.ROOT / "docs/others.md").read_text()
HALVES_SWAPPED = np.roll(np.arange(8), 4)  # others transform the first half first


def theirs(library):
    """The names that a library's block defines."""
    section = TEXT.split(f"\n## {library}\n")[1].split("\n## ")[0]
    block = re.search(r"```py\n(.*?)```", section, re.S)[1]
    names = {}
    exec(re.search(r"```python\n(.*?)```", TEXT, re.S)[1], names)
    exec(compile(block, f"docs/others.md, {library}", "exec"), names)
    return names


def events():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(64, n)).astype("float32") for n in (8, 3)]


def couplings(flow):
    return [b for b in flow.bijector.bijectors if isinstance(b, Coupling)]


def assign(coupling, layers):
    """Gives a coupling's network the kernels `[in, out]` and biases of another one."""
    network, head = (coupling._layers[name] for name in ("network", "head"))
    *hidden, (kernel, bias) = layers
    for layer, (k, b) in zip(network._layers_in_order, hidden, strict=True):
        layer.kernel.assign(k / gains.hidden(len(k)))
        layer.bias.assign(b)
    head.kernel.assign(kernel / head.factors[0])
    head.bias.assign(bias / head.factors[1])


def linears(network):
    """Kernels `[in, out]` and biases of a torch network, with random biases."""
    from torch import nn

    found = [m for m in network.modules() if isinstance(m, nn.Linear)]
    for layer in found:
        nn.init.normal_(layer.bias, std=0.1)
    return [
        (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy())
        for layer in found
    ]


def last_layer_with(layers, columns, bias):
    """The layers with the last kernel's other columns at 0, and another last bias."""
    *hidden, (kernel, _) = layers
    return [*hidden, (kernel * columns, bias.astype("float32"))]


def on_latent_side(kernel, bias, log_scales):
    """Shift and scale of x exp(s) + t, with s constant, as (x + t exp(-s)) exp(s)."""
    factors = np.concatenate([np.exp(-log_scales), np.ones(4)])
    return kernel * factors, bias * factors


def assert_same(log_prob, expected):
    assert np.std(expected) > 0.5  # not densities of something trivial
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4, atol=1e-3)


def halves_that_agree(part, layers):
    """Of an affine step's network: ours, and theirs, where both give one function.

    The one part is a function of the passive half, the other a constant: with both
    functions, numbers of the two networks have no simple relation.
    """
    is_shift = np.arange(8) < 4
    constant = np.linspace(-0.2, 0.2, 4)  # so that none goes beyond 8, see `MLP`
    bias = layers[-1][1]
    if part == "shifts":
        bias = np.concatenate([bias[:4], constant])
        given = last_layer_with(layers, is_shift, bias)
        kernel, bias = on_latent_side(*given[-1], constant)
        return [*given[:-1], (kernel, bias)], given
    bias = np.where(is_shift, 0.0, bias)
    given = last_layer_with(layers, ~is_shift, bias)
    return given, given


@pytest.mark.parametrize("part", ["shifts", "log-scales"])
@pytest.mark.filterwarnings("ignore:`tf.layers.dense` is deprecated")
def test_tfp(part):
    names = theirs("TFP")
    flow = flows.real_nvp((8,), coupling_options={"scale": "exp"})
    assert not names["flow"].trainable_variables  # as the block says
    for net, coupling in zip(names["nets"], couplings(flow), strict=True):
        by_name = {"/" + v.name.partition("/")[2]: v for v in net.trainable_variables}
        ends = ["/dense", "/dense_1", "/dense_2"]
        layers = [
            (by_name[f"{n}/kernel:0"].numpy(), by_name[f"{n}/bias:0"].numpy())
            for n in ends
        ]
        ours, given = halves_that_agree(part, layers)
        assign(coupling, ours)
        by_name["/dense_2/kernel:0"].assign(given[-1][0])
        by_name["/dense_2/bias:0"].assign(given[-1][1])
    x, _ = events()
    assert_same(flow.log_prob(x), names["flow"].log_prob(x))


@pytest.mark.parametrize("part", ["shifts", "log-scales"])
def test_normflows(part):
    pytest.importorskip("normflows")
    import torch

    names = theirs("normflows")
    flow = flows.real_nvp((8,), coupling_options={"scale": "exp"})
    # The last of their steps is next to the data.
    blocks = names["steps"][0::2][::-1]
    alternate = np.arange(8).reshape(4, 2).T.ravel()  # shift, scale, shift, ...
    for block, coupling in zip(blocks, couplings(flow), strict=True):
        *hidden, (kernel, bias) = linears(block)
        layers = [*hidden, (kernel[:, alternate], bias[alternate])]
        ours, given = halves_that_agree(part, layers)
        assign(coupling, ours)
        back = np.argsort(alternate)
        last = [m for m in block.modules() if isinstance(m, torch.nn.Linear)][-1]
        with torch.no_grad():
            last.weight.copy_(torch.from_numpy(given[-1][0][:, back].T.copy()))
            last.bias.copy_(torch.from_numpy(given[-1][1][back]))
    x, _ = events()
    swapped = torch.from_numpy(x[:, HALVES_SWAPPED])
    assert_same(flow.log_prob(x), names["model"].log_prob(swapped).detach().numpy())


def test_freia():
    pytest.importorskip("FrEIA")
    import torch

    names = theirs("FrEIA")
    # Their 0.636 is 2 / pi but for its last digits.
    options = {"scale": "soft_clip", "scale_bound": 0.636 * math.pi}
    flow = flows.real_nvp((8,), coupling_options=options)
    nets = [
        net
        for block in names["inn"].module_list
        for net in (block.subnet2, block.subnet1)
    ]
    for net, coupling in zip(nets, couplings(flow), strict=True):
        *hidden, (kernel, bias) = linears(net)
        # exp(s) x + t, data to latent, s first: our -t and -s, and atan's own scale.
        order = np.roll(np.arange(8), 4)
        factors = -np.where(np.arange(8) < 4, 1.0, 2 * 0.636)
        assign(coupling, [*hidden, (kernel[:, order] * factors, bias[order] * factors)])
    x, _ = events()
    z, log_det = names["inn"](torch.from_numpy(x[:, HALVES_SWAPPED]))
    z = z.detach().numpy()
    expected = -0.5 * (z**2).sum(1) - 4 * np.log(2 * np.pi) + log_det.detach().numpy()
    assert_same(flow.log_prob(x), expected)
    np.testing.assert_allclose(flow.encode(x), z[:, HALVES_SWAPPED], atol=1e-3)


def raw_slopes(slopes, min_derivative):
    """Raw parameters of our splines for given slopes at the edges of bins."""
    limit = -math.log(min_derivative)
    return limit * np.arctanh(np.log(slopes) / limit)


def test_nflows():
    pytest.importorskip("nflows")
    import torch

    names = theirs("nflows")
    smallest = 1e-6
    flow = flows.neural_spline(
        (8,), min_bin=8e-3, min_derivative=smallest, context_shape=(3,)
    )
    columns = np.arange(4 * 23).reshape(4, 23)  # theirs: unit by unit
    is_slope = (columns >= 0) & (np.arange(23) >= 16)
    steps = names["transform"]._transforms
    for step, coupling in zip(steps, couplings(flow), strict=True):
        layers = linears(step.transform_net)
        assert step.transform_net.hidden_features == 256
        given = last_layer_with(layers, ~is_slope.ravel(), 3 * layers[-1][1])
        last = step.transform_net[-1]
        with torch.no_grad():
            last.weight.copy_(torch.from_numpy(given[-1][0].T.copy()))
            last.bias.copy_(torch.from_numpy(given[-1][1]))
        slopes = 1e-3 + np.log1p(np.exp(given[-1][1]))
        bias = np.where(is_slope.ravel(), raw_slopes(slopes, smallest), given[-1][1])
        ours = columns.T.ravel()  # parameter by parameter
        scale = np.where(is_slope.ravel(), 1, 1 / 16)  # a root of their hidden units
        kernel, bias = given[-1][0] * scale, bias * scale
        assign(coupling, [*given[:-1], (kernel[:, ours], bias[ours])])
    x, c = events()
    expected = names["flow"].log_prob(torch.from_numpy(x), torch.from_numpy(c))
    assert_same(flow.log_prob(x, context=c), expected.detach().numpy())


def test_zuko():
    pytest.importorskip("zuko")
    import torch

    names = theirs("zuko")
    flow = flows.neural_spline(
        (8,),
        5,
        bound=5.0,
        min_bin=1e-6,
        min_derivative=1e-3,
        autoregressive=True,
        context_shape=(3,),
    )
    steps = [b for b in flow.bijector.bijectors if isinstance(b, MaskedAutoregressive)]
    rng = np.random.default_rng(2)
    for ours, step in zip(steps, names["flow"].transform.transforms, strict=True):
        raw = rng.normal(size=(8, 23))
        with torch.no_grad():  # hidden units of the two have other masks
            step.hyper[-1].weight.zero_()
            step.hyper[-1].bias.copy_(torch.from_numpy(raw.ravel()))
        soft = raw / (1 + np.abs(raw) * np.repeat([2, 1], [16, 7]) / np.log(1e3))
        soft[:, 16:] = raw_slopes(np.exp(soft[:, 16:]), 1e-3)
        bias = ours.trainable_variables[-1]
        assert bias.shape == (8 * 23,)
        bias.assign(soft.T.ravel())
    x, c = events()
    expected = names["flow"](torch.from_numpy(c)).log_prob(torch.from_numpy(x))
    assert_same(flow.log_prob(x, context=c), expected.detach().numpy())
    assert_same_dependence()
    assert names["samples"].shape == tuple(flow.given(c[0]).sample(64).shape)


def assert_same_dependence():
    """One step's latent unit i is a function of the first i units, in both."""
    import torch
    import zuko

    ours = flows.neural_spline((8,), 1, autoregressive=True, context_shape=(3,))
    other = zuko.flows.NSF(8, 3, transforms=1, hidden_features=(256, 256))
    for v in ours.trainable_variables:
        v.assign_add(0.1 * tf.random.stateless_normal(v.shape, (1, 2)))
    x, c = (v[0] for v in events())
    with tf.GradientTape() as tape:
        point = tf.constant(x)
        tape.watch(point)
        z = ours.encode(point, context=c)
    transform = other(torch.from_numpy(c)).transform
    jacobian = torch.autograd.functional.jacobian(transform, torch.from_numpy(x))
    seen = [tape.jacobian(z, point).numpy() != 0, jacobian.numpy() != 0]
    for matrix in seen:
        assert matrix.any(1).all() and not matrix[np.triu_indices(8, 1)].any()
        assert matrix[np.tril_indices(8, -1)].any()
