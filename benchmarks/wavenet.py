"""A second of audio from a WaveNet: step by step against the whole network per sample.

2 x 8 dilated layers of 64 channels (a receptive field of 511 samples), batch 16, 8,000
samples a second; each sample is drawn from a normal distribution of the network's two
parameters. "Step" is `generate`: ring buffers, all 8,000 samples. "Whole network" runs
the network over the last 512 samples to get the next one, as sampling without `step`
does; 50 samples are timed and the time of 8,000 follows by proportion, since each
costs the same. Run it with `python -m benchmarks.wavenet`.
"""

import argparse
import json
import pathlib

import numpy as np
import tensorflow as tf

from benchmarks import loops
from tfp_flows.networks import CausalConv, generate

RATE, BATCH, FILTERS, LAYERS, CYCLE = 8000, 16, 64, 16, 8
NAIVE_SAMPLES = 50


def main() -> None:
    """Times both loops in a graph and under XLA, prints them and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wavenet")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default="runs/wavenet.json")
    arguments = parser.parse_args()
    makers = {"step": by_steps, "whole network": by_whole_network}
    times = loops.timed(loops.in_both_modes(makers), arguments.repetitions)
    print(f"One second of {RATE} Hz audio, batch {BATCH}:")
    loops.report(times, "whole network")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(times, indent=2) + "\n")
    print(f"Written to {arguments.out}.")


def network(time_steps: int) -> CausalConv:
    """A WaveNet with the same weights for every number of time steps."""
    wavenet = CausalConv(
        [time_steps, 1],
        2,
        filters=FILTERS,
        num_layers=LAYERS,
        dilation_cycle=CYCLE,
    )
    wavenet.build((None, time_steps, 1))
    rng = np.random.default_rng(0)
    for v in wavenet.trainable_variables:
        v.assign(rng.standard_normal(v.shape) * 0.05)
    return wavenet


def draw(params: tf.Tensor, i: tf.Tensor) -> tf.Tensor:
    """Draws `[B, C]` from normal distributions with params `[B, C, 2]`."""
    noise = tf.random.stateless_normal(params.shape[:2], [0, i], alg="philox")
    return params[..., 0] + tf.exp(params[..., 1]) * noise


def by_steps(jit_compile: bool) -> loops.Loop:
    """All samples of the second, one step of the network for each."""
    wavenet = network(RATE)

    def drawn(params, i):
        x = draw(params, i)
        return x, [x]

    @tf.function(jit_compile=jit_compile)
    def sample():
        return generate(wavenet, BATCH, drawn, [tf.float32])[0]

    return loops.Loop(lambda: sample()[0, -1].numpy())


def by_whole_network(jit_compile: bool) -> loops.Loop:
    """The first samples, the whole network over its receptive field for each."""
    reach = network(1).receptive_field + 1
    wavenet = network(reach)

    def one_more(i, window):
        x = draw(wavenet(window)[:, -1], i)
        # The last place is that of the sample to come; the network does not see it.
        window = tf.concat([window[:, 1:-1], x[:, None], x[:, None]], axis=1)
        return i + 1, window

    @tf.function(jit_compile=jit_compile)
    def sample():
        return tf.while_loop(
            lambda i, window: i < NAIVE_SAMPLES,
            one_more,
            (tf.constant(0), tf.zeros([BATCH, reach, 1])),
            maximum_iterations=NAIVE_SAMPLES,
        )[1]

    return loops.Loop(lambda: sample()[0, -1].numpy(), NAIVE_SAMPLES / RATE)


if __name__ == "__main__":
    main()
