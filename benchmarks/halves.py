"""Halves of MNIST digits completed: `python -m benchmarks.halves --data_dir=DIR`.

Trains an any-order model on 55,000 binarised digits, scores it on test digits, as a
whole and the unknown half given the other one, times 64 completions beside 64 samples,
and draws completions of test digits to `--picture`: one row for each digit, one block
for each way to hide a half.
"""

import argparse
import functools
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from matplotlib.figure import Figure

from tfp_flows import FlowModel, flows
from tfp_flows.distributions import complete

_SHAPE = (28, 28, 1)
_SCORED = 100  # test digits whose other halves are judged, 784 calls for each mask
_ROWS, _DRAWS = 4, 4  # of each block of the picture
_GAP = 3  # pixels between digits


def main() -> None:
    """Trains, scores, times and draws."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.halves", description=__doc__
    )
    parser.add_argument("--data_dir", required=True, help="where mnist is prepared")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--weights", type=pathlib.Path, help="a .npz, kept and reused")
    parser.add_argument("--picture", type=pathlib.Path, help="a .png")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = flows.any_order(_SHAPE, num_values=2, network=UNet)
    weights = arguments.weights
    if weights is not None and weights.exists():
        stored = np.load(weights)
        for variable, name in zip(model.variables, stored.files, strict=True):
            variable.assign(stored[name])
    else:
        train(model, digits("train", arguments.data_dir), arguments.epochs)
        if weights is not None:
            np.savez(weights, *(v.numpy() for v in model.variables))
    test = digits("test", arguments.data_dir)
    if arguments.picture:
        picture(model, test[:_ROWS]).savefig(arguments.picture, dpi=90)
    bound, error = whole(model, test)
    print(f"whole digits: {bound:.2f} nats ({error:.2f}), {len(test):,} digits")
    for name, mask in masks().items():
        nats, error = rest(model, test[:_SCORED], mask)
        size = int((~mask).sum())
        print(f"rest given {name}: {nats:.2f} nats ({error:.2f}) of {size} pixels")
    for name, seconds in times(model, test[:64]).items():
        print(f"{name}: {seconds:.1f} s")


@keras.saving.register_keras_serializable("tfp_flows_benchmarks")
class UNet(keras.layers.Layer):
    """Features of every pixel from 28, 14 and 7 pixels a side, so from everywhere.

    Args:
      filters: channels at 28 pixels a side; twice and four times as many below.
    """

    def __init__(self, filters: int = 24, **kwargs):
        super().__init__(**{"name": "unet", **kwargs})
        self.filters = filters

        def conv(scale, size=3, stride=1):
            return keras.layers.Conv2D(
                scale * filters, size, stride, padding="same", activation="relu"
            )

        self._ways = [[conv(s, 3, min(s, 2)), conv(s)] for s in (1, 2, 4)]
        self._middle = [conv(4), conv(4)]
        self._raise = [keras.layers.Conv2DTranspose(s * filters, 2, 2) for s in (2, 1)]
        self._after = [conv(s) for s in (2, 1)]

    def build(self, x_shape):
        """Nothing: layers are built as they are called."""

    def call(self, x):
        """Returns features `[B, 28, 28, filters]`."""
        passed = []
        for first, second in self._ways:
            x = first(x)
            x = x + second(x)
            passed.append(x)
        for layer in self._middle:
            x = x + layer(x)
        for up, layer, skip in zip(
            self._raise, self._after, passed[-2::-1], strict=True
        ):
            x = skip + up(x)
            x = x + layer(x)
        return x

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"filters": self.filters}


def digits(split: str, data_dir: str) -> np.ndarray:
    """Returns digits `[N, 28, 28, 1]` of 0 and 1: 1 from half of the grey range.

    Args:
      split: "train" or "test".
      data_dir: where mnist is prepared.
    """
    items = tfds.as_numpy(tfds.load("mnist", split=split, data_dir=data_dir))
    images = np.stack([item["image"] for item in items])
    return (images >= 128).astype(np.int32)


def train(model, images: np.ndarray, epochs: int) -> None:
    """Fits the model to all images but the last 5,000, which validate.

    Args:
      model: to train.
      images: `[60000, 28, 28, 1]`.
      epochs: of batches of 64.
    """
    steps = epochs * -(-(len(images) - 5000) // 64)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps, warmup_target=2e-3, warmup_steps=500
    )
    trainer = FlowModel(model)
    # Convolutions are faster in TensorFlow's own graph than compiled by XLA on a CPU.
    trainer.compile(
        keras.optimizers.Adam(rate, use_ema=True, ema_momentum=0.999),
        jit_compile=False,
    )
    start = time.perf_counter()
    trainer.fit(
        images[:-5000],
        validation_data=images[-5000:],
        batch_size=64,
        epochs=epochs,
        verbose=2,
    )
    print(f"{epochs} epochs: {(time.perf_counter() - start) / 60:.1f} minutes")


def masks() -> dict[str, np.ndarray]:
    """Returns name -> which pixels are known, bool `[28, 28, 1]`."""
    row, column = (np.broadcast_to(i, (28, 28))[..., None] for i in np.ogrid[:28, :28])
    return {
        "left": column < 14,
        "right": column >= 14,
        "upper": row < 14,
        "middle": (row >= 7) & (row < 21),
        "random": np.random.default_rng(1).random(_SHAPE) < 0.5,
    }


def whole(model, images: np.ndarray, draws: int = 5) -> tuple[float, float]:
    """Returns the bound on -log p in nats, and its standard error.

    Args:
      model: any-order.
      images: `[N, 28, 28, 1]`, in whole batches of 500.
      draws: of an order, and of how much of it is known, for each image.
    """
    batches = np.split(images, len(images) // 500)
    nats = [
        -np.mean([model.log_prob(x, seed=(k, i)) for k in range(draws)], axis=0)
        for i, x in enumerate(batches)
    ]
    return _mean(np.concatenate(nats))


def rest(model, images: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Returns -log p(unknown pixels | known ones) in nats, and its standard error.

    Exact for the order that draws the unknown pixels in row-major order.

    Args:
      model: any-order.
      images: `[N, 28, 28, 1]`.
      mask: of the known pixels.
    """
    in_order = model.in_order(np.argsort(~mask.ravel(), kind="stable"))
    traced = tf.function(in_order.log_prob_by_position, autograph=False)
    by_position = traced.get_concrete_function(tf.constant(images))
    nats = -by_position(tf.constant(images)).numpy()[:, int(mask.sum()) :].sum(axis=1)
    return _mean(nats)


def _mean(values):
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))


def times(model, images: np.ndarray) -> dict[str, float]:
    """Returns the seconds of as many samples and completions, the second call of each.

    Args:
      model: any-order.
      images: `[N, 28, 28, 1]`.
    """
    calls = {f"{len(images)} samples": lambda: model.sample(len(images), seed=0)}
    for name in ("upper", "random"):
        calls[f"{len(images)} completions, {name} half known"] = functools.partial(
            complete, model, images, masks()[name], seed=0
        )
    found = {}
    for name, call in [*calls.items()] * 2:
        start = time.perf_counter()
        call().numpy()
        found[name] = time.perf_counter() - start
    return found


def picture(model, images: np.ndarray) -> Figure:
    """Draws a block for each mask: what is known, draws of the rest, the digit.

    Args:
      model: any-order.
      images: `[N, 28, 28, 1]`, one a row.
    """
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for axis, (name, mask) in zip(axes[:-1], masks().items(), strict=True):
        drawn = complete(model, images, mask, _DRAWS, seed=1).numpy()
        _block(axis, np.stack([images, *drawn, images], axis=1), mask)
        axis.set_title(f"{name} known, {_DRAWS} draws, the digit", fontsize=9)
    samples = model.sample(len(images) * (_DRAWS + 2), seed=1).numpy()
    _block(axes[-1], samples.reshape(len(images), _DRAWS + 2, *_SHAPE))
    axes[-1].set_title("nothing known", fontsize=9)
    return figure


def _block(axis, grid, mask=None):
    """Draws `[rows, columns, 28, 28, 1]`; of the first column what is known."""
    paper = 1.0 - np.repeat(grid, 3, axis=-1)  # [rows, columns, 28, 28, RGB]
    if mask is not None:
        hidden = np.array([1.0, 0.85, 0.85])
        paper[:, 0] = np.where(mask, paper[:, 0], hidden)
    around = [(0, 0), (0, 0), (_GAP, 0), (_GAP, 0), (0, 0)]
    cells = np.pad(paper, around, constant_values=0.8)
    rows, columns, height, width, _ = cells.shape
    mosaic = cells.swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    axis.imshow(mosaic, interpolation="nearest")
    axis.axis("off")


if __name__ == "__main__":
    main()
