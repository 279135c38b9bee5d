"""What it costs that a step which is not finite changes nothing: share of a train step.

    python -m benchmarks.guard

The whole train step of `FlowModel`, guarded, beside one that looks at nothing, with
Adam (only the gradient's norm is looked at) and RMSprop (each step is done on trial).
Prints medians in milliseconds and their ratio.
"""

import functools
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from benchmarks import timing
from tfp_flows import flows, training
from tfp_flows.training import guard, steps

_FLOWS = {
    "RealNVP-64, batch 512": (lambda: flows.real_nvp((64,)), 512),
    "MAF-64, batch 512": (lambda: flows.maf((64,)), 512),
    "Glow 32 x 32 x 3, batch 16": (
        lambda: flows.glow((32, 32, 3), num_levels=3, num_steps=8, filters=128),
        16,
    ),
}
_OPTIMIZERS = {"Adam": keras.optimizers.Adam, "RMSprop": keras.optimizers.RMSprop}


def main() -> None:
    """Prints the table."""
    print("| flow | optimizer | guarded, ms | unguarded | ratio |")
    print("|---|---|---|---|---|")
    for title, (build, batch) in _FLOWS.items():
        for name, optimizer in _OPTIMIZERS.items():
            calls = {
                "guarded": _step(build, batch, optimizer),
                "unguarded": _without_guard(build, batch, optimizer),
            }
            times = timing.milliseconds(calls, repetitions=40)
            ms = {key: row["median_ms"] for key, row in times.items()}
            ratio = ms["guarded"] / ms["unguarded"]
            print(
                f"| {title} | {name} | {ms['guarded']:.2f} | {ms['unguarded']:.2f} "
                f"| {ratio:.3f} |",
                flush=True,
            )


def _step(build, batch, optimizer):
    """Returns a call that trains on one batch, traced."""
    keras.utils.set_random_seed(0)
    flow = build()
    x = np.random.default_rng(0).standard_normal((batch, *flow.event_shape))
    x = x.astype("float32")
    flow.adapt(x)
    model = training.FlowModel(flow)
    model.compile(optimizer(1e-4))
    step = tf.function(model.train_step)
    x = tf.constant(x)
    call = functools.partial(_wait, step, x)
    call()
    return call


def _wait(step, x):
    step(x)["loss"].numpy()


def _without_guard(build, batch, optimizer):
    """Returns such a call of a step that looks at nothing and always counts."""

    def apply(self, health, learning_rate, args):
        self._update(*args)
        return tf.constant(True), tf.constant(False)

    zero = tf.zeros([], tf.float64)
    with (
        mock.patch.object(guard.Guard, "step", apply),
        mock.patch.object(steps, "norm", lambda gradients: zero),
        mock.patch.object(steps, "_not_finite", lambda values: zero),
    ):
        return _step(build, batch, optimizer)


if __name__ == "__main__":
    main()
