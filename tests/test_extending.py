"""The page on extending runs as printed, and what it adds keeps the laws."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from tests import autoregressive_laws, laws
from tfp_flows import flows
from tfp_flows.flows import _recipe
from tfp_flows.scalar_maps import SCALAR_MAPS
from tfp_flows.serving import exporter
from train.pipelines import splits as pipeline_splits

PAGE = pathlib.Path(__file__).parents[1] / "docs/extending.md"
REGISTRIES = [
    SCALAR_MAPS,
    _recipe._RECIPES,
    exporter.ENDPOINTS,
    pipeline_splits.SOURCES,
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the page's blocks define, run from top to bottom."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(blocks) == 13
    before = [dict(registry) for registry in REGISTRIES]
    names: dict = {"__name__": "extending"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("extending"))
        for number, block in enumerate(blocks):
            exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
        names["version"] = names["version"].resolve()
    yield names
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(entries)


def keeps_the_laws(bijector, shape, dtype=tf.float64):
    laws.randomize(bijector)
    y = tf.constant(np.random.default_rng(1).standard_normal((3, *shape)), dtype)
    laws.assert_round_trip(bijector, y)
    laws.assert_log_det_matches_autodiff(bijector, y)
    laws.assert_every_weight_gets_gradient(
        bijector, lambda: tf.reduce_sum(tf.sin(bijector.inverse(tf.identity(y))))
    )


def test_the_scalar_map_keeps_the_laws(page):
    flow = flows.maf(
        *((3,), 1, (8,)), scalar_map="sinh_arcsinh", activation="tanh", dtype="float64"
    )
    keeps_the_laws(flow.bijector.bijectors[1], (3,))
    assert page["whole"].recipe is None
    assert page["named"].recipe.options["coupling"] == "sinh_arcsinh"
    assert repr(page["again"]) == repr(page["named"])
    begin = page["SinhArcsinh"]().forward(tf.ones([3]), tf.zeros([3]), tf.zeros([3]))
    np.testing.assert_allclose(begin, [[1.0] * 3, [0.0] * 3], atol=1e-6)


def test_the_coupling_keeps_the_laws_and_its_passive_half(page):
    steps = page["own"].flow.bijector.bijectors
    for step, passive in zip(steps, (slice(0, 2), slice(2, 4)), strict=True):
        keeps_the_laws(step, (4,), tf.float32)
        y = np.random.default_rng(2).standard_normal((3, 4)).astype("float32")
        changed = step.inverse(y).numpy() != y
        assert not changed[:, passive].any() and changed.sum() == 6


def test_the_bijector_keeps_the_laws(page):
    keeps_the_laws(page["Bend"]((2, 3), dtype="float64"), (2, 3))
    assert page["bend"].trainable_variables[0].shape == (3,)
    assert page["log_prob"].shape == (5,)


def test_the_recipe_is_one_like_the_others(page):
    model, pixels = page["model"], page["pixels"]
    assert model.recipe.options == {"event_shape": [4], "num_steps": 2}
    assert model.is_adapted and pixels.num_values == 16
    assert np.isfinite(page["bits"]).all()
    assert repr(model.rebuild()) == repr(model)
    told = page["bent"].__doc__
    assert all(f"\n  {option}: " in told for option in ("num_values", "num_steps"))
    with pytest.raises(ValueError, match="bent needs an event_shape of positive"):
        page["bent"](())


def test_the_network_gives_the_same_numbers_in_both_ways(page):
    network = autoregressive_laws.build(page["Window"]((6,), 2, dtype="float64"))
    autoregressive_laws.assert_steps_give_the_numbers_of_call(network)
    before = np.arange(6)[:, None] - np.arange(6)
    may_see = (before >= 1) & (before <= 2)
    autoregressive_laws.assert_sees_exactly(network, may_see)
    for flow in (page["flow_of_windows"], page["splines"]):
        laws.randomize(flow)
        x = tf.identity(flow.sample(5, seed=1))
        np.testing.assert_allclose(flow.decode(flow.encode(x)), x, atol=1e-3)


def test_the_data_set_is_three_parts(page):
    splits = page["splits"]
    sizes = [len(part) for part in (splits.train, splits.valid, splits.test)]
    assert sizes == [4000, 500, 1000]
    assert splits.event_shape == (2,) and splits.num_values is None


def test_the_signature_is_served_with_golden_rows(page):
    x = tf.zeros([2, 3])
    radius = tf.norm(page["flow"].encode(x), axis=-1)
    np.testing.assert_allclose(page["answer"]["radius"], radius, atol=1e-5)
    assert page["answer"]["valid"].numpy().all()
    with np.load(page["version"] / "assets.extra" / "golden.npz") as golden:
        assert any("radius" in key for key in golden)
