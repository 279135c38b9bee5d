"""What a Glow of MNIST finds strange: `python -m benchmarks.strangers --data_dir=DIR`.

Trains a small Glow on 50,000 digits, and backgrounds of the same kind on the digits
with noise and on them in any of the square's eight positions. Asks the scores of
`tasks.AnomalyDetector` about images that are no upright digits, prints shares called
anomalies at a rate of 5 % as a Markdown table, and draws eight images of each row to
`--picture`.
"""

import argparse
import pathlib

import keras
import numpy as np
import tensorflow_datasets as tfds
from scipy import ndimage

from tfp_flows import FlowModel, flows, plots, tasks

_RATE = 0.05
_NOISE = 0.3  # share of pixels that the background's digits have anew


def main() -> None:
    """Trains, asks and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strangers")
    parser.add_argument("--data_dir", required=True, help="where mnist is prepared")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--picture", type=pathlib.Path, help="a .png")
    arguments = parser.parse_args()
    train = _digits("train", arguments.data_dir)
    test = _digits("test", arguments.data_dir)
    keras.utils.set_random_seed(0)
    order = np.random.default_rng(0).permutation(len(train))
    train, calibration = train[order[:50_000]], train[order[50_000:52_000]]
    model = _trained(train, arguments.epochs)
    detectors = _detectors(model, train, calibration, arguments.epochs)
    strangers = _strangers(test[:500])
    print(f"| | nats | {' | '.join(detectors)} |")
    print("|---|" + "---:|" * (len(detectors) + 1))
    for name, images in strangers.items():
        nats = detectors["log_prob"].score(images).mean()
        shares = [d.detect(images, rate=_RATE).mean() for d in detectors.values()]
        cells = [f"{nats:.0f}", *(f"{share:.3f}" for share in shares)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    if arguments.picture:
        first = np.concatenate([images[:8] for images in strangers.values()])
        plots.images(first, columns=8).savefig(arguments.picture, dpi=90)


def _detectors(model, train, calibration, epochs):
    """Returns title -> detector."""
    ratio, some = "likelihood_ratio", train[:2000]
    options = {
        "log_prob": {},
        "typicality": {"reference": some},
        "density_of_states": {"reference": some},
        f"{ratio}, noise": {"background": _trained(_noisy(train), epochs)},
        f"{ratio}, turned": {"background": _trained(_turned(train), epochs)},
    }
    return {
        title: tasks.AnomalyDetector(model, calibration, title.split(",")[0], **given)
        for title, given in options.items()
    }


def _digits(split, data_dir):
    images = tfds.as_numpy(tfds.load("mnist", split=split, data_dir=data_dir))
    return np.stack([item["image"] for item in images]).astype(np.int32)


def _noisy(images):
    rng = np.random.default_rng(1)
    return np.where(
        rng.random(images.shape) < _NOISE, rng.integers(0, 256, images.shape), images
    )


def _turned(images):
    """Turns each by 0 to 3 quarters and mirrors every second one, by chance."""
    quarters, mirrored = np.random.default_rng(3).integers(
        0, [[4], [2]], (2, len(images))
    )
    turned = np.stack([np.rot90(images, k, axes=(1, 2)) for k in range(4)])
    turned = turned[quarters, np.arange(len(images))]
    return np.where(mirrored[:, None, None, None] == 1, turned[:, :, ::-1], turned)


def _trained(images, epochs):
    flow = flows.glow(
        (28, 28, 1),
        num_levels=2,
        num_steps=4,
        filters=32,
        num_values=256,
        coupling="mixture",
        histogram="channel",
        initial="permutation",
        alpha=1e-3,
        memory="activations",
    )
    model = FlowModel(flow)
    steps = epochs * -(-len(images) // 64)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate))
    model.fit(images, batch_size=64, epochs=epochs, verbose=2)
    return flow


def _strangers(digits):
    """Returns name -> images like MNIST's that are no upright digits, and digits."""
    rng = np.random.default_rng(2)
    count = len(digits)
    level = rng.integers(0, 256, (count, 1, 1, 1))
    smooth = ndimage.gaussian_filter(
        rng.standard_normal(digits.shape), (0, 5, 5, 0), mode="wrap"
    )
    inside = smooth > np.quantile(smooth, 0.6, axis=(1, 2, 3), keepdims=True)
    return {
        "test digits": digits,
        "blank": np.zeros_like(digits),
        "constant, of any grey": np.broadcast_to(level, digits.shape),
        "on their side": np.rot90(digits, axes=(1, 2)),
        "upside down, mirrored": digits[:, ::-1],
        "filled shapes": np.where(inside, 200, 0),
        "thin: middle rows only": np.where(
            np.abs(np.arange(28) - 13.5)[:, None, None] < 4, digits, 0
        ),
        "half contrast": digits // 2,
        "pixels shuffled": rng.permuted(digits.reshape(count, -1), axis=1).reshape(
            digits.shape
        ),
    }


if __name__ == "__main__":
    main()
