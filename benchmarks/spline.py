"""Neural splines on 64 dimensions beside their networks alone and TFP's.

The work is that of `vectors`, with 8 bins: 23 outputs of a network for each active
unit. "TFP": `tfb.RealNVP` with `tfb.RationalQuadraticSpline` and the same layers in
Keras 2. No act norms.
"""

from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp

from benchmarks import models, vectors
from tfp_flows import flows

TITLE = "Spline-64"

_BINS, _BOUND = 8, 4.0
_PARAMS = 3 * _BINS - 1
_SMALLEST = 1e-3  # bin and slope of TFP's spline, as in Durkan et al.


def candidates(jit_compile: bool) -> dict[str, dict[str, Callable[[], object]]]:
    """Returns work -> name -> call, all over the same data."""
    flow = flows.neural_spline(
        (vectors.DIMS,),
        vectors.STEPS,
        _BINS,
        vectors.HIDDEN,
        bound=_BOUND,
        act_norm=False,
    )
    calls = {
        "networks": vectors.networks(_PARAMS),
        "flow": models.ours(flow, vectors.MANY),
        "tfp": vectors.tfps(_PARAMS, _tfps_coupling),
    }
    return vectors.work(calls, jit_compile)


def _tfps_coupling(network):
    def spline(x, units, **_):
        shape = tf.concat([tf.shape(x)[:-1], [vectors.DIMS // 2, _PARAMS]], axis=0)
        params = tf.reshape(network(x), shape)
        widths, heights, slopes = tf.split(params, [_BINS, _BINS, _BINS - 1], axis=-1)
        return tfp.bijectors.RationalQuadraticSpline(
            _sizes(widths),
            _sizes(heights),
            tf.nn.softplus(slopes) + _SMALLEST,
            range_min=-_BOUND,
        )

    return {"bijector_fn": spline}


def _sizes(raw):
    return tf.nn.softmax(raw) * (2 * _BOUND - _BINS * _SMALLEST) + _SMALLEST
