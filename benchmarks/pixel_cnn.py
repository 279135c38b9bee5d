"""Images from a PixelCNN: pixel by pixel against the whole image for every pixel.

28 x 28 grey pixels, batch 64, 4 gated blocks of 24 filters, first kernel 7, random
weights. "Steps" is `sample`, all pixels. "Whole image" calls the same network on the
whole image for every pixel and draws from the same uniform numbers; 24 pixels are timed
and the rest follows by proportion, since each costs the same. Before the clock starts
both must have drawn the same pixels. Run it with `python -m benchmarks.pixel_cnn`:
binary pixels; `--num_values 256` for free probabilities of 8 bits, `--model rnn` for a
PixelRNN with 2 row LSTMs of 24 units.
"""

import argparse
import functools
import json
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from benchmarks import loops
from tfp_flows import flows

tfd = tfp.distributions

SIDE, BATCH, NAIVE_PIXELS = 28, 64, 24

_MODELS = {
    "cnn": functools.partial(flows.pixel_cnn, num_blocks=4, filters=24),
    "rnn": functools.partial(flows.pixel_rnn, num_layers=2, units=24),
}


def main() -> None:
    """Times both loops in a graph and under XLA, prints them and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pixel_cnn")
    parser.add_argument("--model", choices=_MODELS, default="cnn")
    parser.add_argument("--num_values", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default="runs/pixel_cnn.json")
    arguments = parser.parse_args()
    pixels = model(SIDE, arguments.model, arguments.num_values)
    share = agreement(pixels)
    print(f"The first {NAIVE_PIXELS} pixels of both loops: {share:.2%} are equal.")
    if share < 0.99:  # a last bit of difference may flip a draw
        raise RuntimeError("The two loops do not draw from the same distribution.")
    times = loops.timed(both(pixels), arguments.repetitions)
    print(f"{BATCH} images of {SIDE} x {SIDE}, {arguments.num_values} values:")
    loops.report(times, "whole image")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(times, indent=2) + "\n")
    print(f"Written to {arguments.out}.")


def model(side: int, name: str = "cnn", num_values: int = 2) -> tfd.Distribution:
    """A pixel model with random weights: at zero, it would draw without looking.

    Args:
      side: of the square images.
      name: "cnn" or "rnn".
      num_values: 2 for Bernoulli pixels, more for free probabilities.
    """
    element = "bernoulli" if num_values == 2 else "categorical"
    pixels = _MODELS[name]((side, side, 1), num_values=num_values, element=element)
    rng = np.random.default_rng(0)
    for v in pixels.trainable_variables:
        fan_in = int(np.prod(v.shape[:-1])) or 1
        v.assign(rng.standard_normal(v.shape) / np.sqrt(fan_in))
    return pixels


def both(pixels: tfd.Distribution) -> dict[str, loops.Loop]:
    """Both loops of a model, each in a graph and under XLA."""
    share = NAIVE_PIXELS / pixels.num_uniforms
    naive = functools.partial(loops.loop, by_whole_images(pixels), share=share)
    return loops.in_both_modes(
        {
            "steps": functools.partial(loops.loop, by_steps(pixels)),
            "whole image": naive,
        }
    )


def by_steps(pixels: tfd.Distribution) -> Callable[[tf.Tensor], tf.Tensor]:
    """Draws whole images, one step of the network for each pixel."""
    return lambda seed: pixels.sample(BATCH, seed=seed)


def by_whole_images(pixels: tfd.Distribution) -> Callable[[tf.Tensor], tf.Tensor]:
    """Draws the first pixels, one call of the network on the image for each."""
    network, element = pixels.network, pixels.element
    shape = [BATCH, *network.event_shape]

    def sample(seed):
        u = tf.reshape(pixels.uniforms(BATCH, seed), [BATCH, -1, 1, 1])

        def one_more(i, image):
            shown = element.features(tf.reshape(image, shape), tf.float32)
            params = tf.reshape(network(shown), [*u.shape[:2], 1, element.num_params])
            drawn = element.from_uniform(params[:, i], u[:, i])
            return i + 1, tf.where(tf.range(u.shape[1]) == i, drawn, image)

        first = tf.constant(0), tf.zeros(u.shape[:2], tf.int32)
        _, image = tf.while_loop(
            lambda i, _: i < NAIVE_PIXELS,
            one_more,
            first,
            maximum_iterations=NAIVE_PIXELS,
        )
        return tf.reshape(image, shape)

    return sample


def agreement(pixels: tfd.Distribution) -> float:
    """Share of the naive loop's pixels that the steps draw as well."""
    seed = tf.constant([1, 2])
    one, two = (
        tf.reshape(tf.function(make(pixels))(seed), [BATCH, -1])[:, :NAIVE_PIXELS]
        for make in (by_steps, by_whole_images)
    )
    return float(np.mean(one == two))


if __name__ == "__main__":
    main()
