"""RealNVP on 64 dimensions beside its networks alone and tfb.RealNVP.

The work is that of `vectors`. "Networks": the same Keras layers chained through a
slice, forward, backward and Adam. "TFP": `tfb.RealNVP` with the same layers in Keras
2. Act norms are left out of all, as TFP's model has none; ours with them, the recipe's
default, is timed as well.
"""

from collections.abc import Callable

import tensorflow as tf

from benchmarks import models, vectors
from tfp_flows import flows

TITLE = "RealNVP-64"


def candidates(jit_compile: bool) -> dict[str, dict[str, Callable[[], object]]]:
    """Returns work -> name -> call, all over the same data."""
    calls = {
        "networks": vectors.networks(2),
        "flow": models.ours(_flow(act_norm=False), vectors.MANY),
        "flow with act norm": models.ours(_flow(act_norm=True), vectors.MANY),
        "tfp": vectors.tfps(2, _tfps_coupling),
    }
    return vectors.work(calls, jit_compile)


def _flow(act_norm):
    return flows.real_nvp(
        (vectors.DIMS,), vectors.STEPS, vectors.HIDDEN, act_norm=act_norm
    )


def _tfps_coupling(network):
    def shift_and_log_scale(x, units, **_):
        return tf.split(network(x), 2, axis=-1)

    return {"shift_and_log_scale_fn": shift_and_log_scale}
