"""What float32 loses in constant memory: `python -m benchmarks.reconstruction`.

Glow of one level with 32 steps on the digits, adapted, then trained for 2,000 steps
with memory="constant". Before and after: the largest and the mean error of decode of
encode, in grey levels, and the largest difference of the recomputed gradient from
that of the plain graph, relative to the largest entry.
"""

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from benchmarks import models
from tfp_flows import flows


def main(depth: int = 32, steps: int = 2000, batch: int = 64) -> None:
    """Trains and prints both errors before and after."""
    images = load_digits().images.astype(np.int32)[..., None]
    flow, plain = (
        flows.glow((8, 8, 1), 1, depth, 32, num_values=17, memory=memory)
        for memory in ("constant", "activations")
    )
    flow.adapt(images)
    loss, _, _, variables, apply = models.ours(flow, batch)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            value = loss(x)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(value, variables), 50.0)
        apply(gradients)
        return value

    print(f"after adapting: {errors(flow, plain, images[:256])}", flush=True)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        value = step(tf.constant(images[rng.integers(0, len(images), batch)]))
    bits = float(value) / (64 * np.log(2.0))
    print(
        f"after {steps} steps, {bits:.2f} bits/dim: {errors(flow, plain, images[:256])}"
    )


def errors(flow, plain, images: np.ndarray) -> str:
    """Returns both errors as a sentence.

    Args:
      flow: in constant memory.
      plain: the same flow with activations; it is given the weights.
      images: integers `[N, 8, 8, 1]`.
    """
    for ours, theirs in zip(flow.raw_variables, plain.raw_variables, strict=True):
        theirs.assign(ours)
    y = tf.constant(images + 0.5, tf.float32)
    back = flow.flow.decode(tf.identity(flow.flow.encode(y)))
    difference = np.abs(back - y)
    one, two = (_gradient(f, y) for f in (flow, plain))
    scale = max(np.abs(g).max() for g in two)
    worst = max(np.abs(a - b).max() for a, b in zip(one, two, strict=True)) / scale
    return (
        f"decode(encode(x)) is off by {difference.max():.1e} at most and "
        f"{difference.mean():.1e} on average, the gradient by {worst:.1e} relative"
    )


def _gradient(flow, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(flow.flow.log_prob(y))
    return [g.numpy() for g in tape.gradient(loss, flow.trainable_variables)]


if __name__ == "__main__":
    main()
