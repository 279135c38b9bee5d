"""An option that a recipe has no use for is refused, with what it is for."""

import numpy as np
import pytest

from tfp_flows import flows
from tfp_flows.networks import MADE, MLP


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: flows.real_nvp((4,), filters=7), "filters=7: it is for events with"),
        (lambda: flows.real_nvp((4,), num_levels=2), "num_levels=2: it is for events"),
        (
            lambda: flows.flow_pp((4, 4, 1), hidden_units=(8,)),
            r"hidden_units=\(8,\): it is for vectors",
        ),
        (
            lambda: flows.neural_spline((4,), autoregressive=True, num_blocks=1),
            "num_blocks=1: it is for couplings",
        ),
        (lambda: flows.maf((4,), alpha=0.1), "alpha=0.1: it is for integers"),
        (
            lambda: flows.glow((4, 4, 1), filters=7, network=lambda: MLP((8,))),
            "filters=7: it is for the networks that the recipe builds",
        ),
        (
            lambda: flows.maf((4,), network=MADE, network_dtype="float64"),
            "network_dtype='float64': it is for the networks that the recipe builds",
        ),
        (
            lambda: flows.glow((4, 4, 1), histogram="pixel"),
            "histogram='pixel': it is for integers",
        ),
        (
            lambda: flows.real_nvp((4,), coupling="spline", scale_bound=1.0),
            'scale_bound=1.0: it is for coupling="affine"',
        ),
        (
            lambda: flows.neural_spline((4,), autoregressive=True, memory="constant"),
            "memory='constant': it is for couplings",
        ),
        (
            lambda: flows.nice((4,), hidden_units=[8], network=lambda: MLP((8,))),
            r"hidden_units=\[8\]: it is for the networks",
        ),
        (
            lambda: flows.wavenet((4, 1), num_values=16, scalar_map="nonsense"),
            "scalar_map='nonsense': it is for real numbers",
        ),
        (
            lambda: flows.recurrent((4, 1), num_components=3),
            "num_components=3: it is for mixtures and splines",
        ),
        (lambda: flows.iaf((4,), seed=3), 'seed=3: it is for order="random"'),
        (lambda: flows.maf((4,), network=MADE, seed=3), "seed=3: it is for order"),
        (lambda: flows.wavenet((4, 1), one_hot=True), "one_hot=True: it is for int"),
        (
            lambda: flows.pixel_cnn((4, 4, 1), num_values=4, num_components=3),
            'num_components=3: it is for element="mixture"',
        ),
    ],
)
def test_it_is_refused(build, match):
    with pytest.raises(ValueError, match=match):
        build()


def test_what_is_as_by_default_may_be_spelled_out():
    flow = flows.real_nvp((4,), 1, (8,), filters=64, num_levels=None, alpha=0.05)
    assert flow.recipe.options["filters"] == 64
    flow = flows.real_nvp(np.array([4]), np.int64(1), np.array([8, 8]))
    assert flow.recipe.options["event_shape"] == [4]
    again = flows.build(flow.recipe.name, **flow.recipe.options)
    assert repr(again) == repr(flow)
