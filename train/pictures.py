"""What a run looks like: samples, interpolations, completions, curves, extremes."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from tfp_flows import tasks  # noqa: E402
from tfp_flows.distributions import Model, complete  # noqa: E402
from train import files  # noqa: E402


def grid(
    images: np.ndarray,
    path: pathlib.Path,
    columns: int,
    titles: Sequence[str] = (),
    heading: str = "",
) -> None:
    """Writes images in rows and columns.

    Args:
      images: `[N, H, W, C]`, values between 0 and their common maximum.
      path: of the PNG.
      columns: of the grid.
      titles: of the first images, optional.
      heading: of the whole picture, optional.
    """
    images = np.asarray(images, np.float32) / max(1.0, float(np.max(images)))
    rows = -(-len(images) // columns)
    size = (0.7 * columns, (0.95 if titles else 0.7) * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for i, axis in enumerate(axes.flat):
        axis.axis("off")
        if i < len(images):
            image = images[i]
            axis.imshow(
                image[..., 0] if image.shape[-1] == 1 else image,
                cmap="gray_r",
                vmin=0.0,
                vmax=1.0,
            )
        if i < len(titles):
            axis.set_title(titles[i], fontsize=6, pad=2)
    if heading:
        figure.suptitle(heading, fontsize=8, y=0.9, va="bottom")
    _write(figure, path)


def samples_beside_data(
    flow: Model,
    part: Any,
    path: pathlib.Path,
    seed: int,
    temperatures: Sequence[float] = (0.7, 1.0),
) -> None:
    """Writes 8 rows of samples at each temperature, and of test images beside them.

    Args:
      flow: to sample from.
      part: the test images, whose contexts a conditional flow is given.
      path: of the PNG.
      seed: of the samples, the same at every temperature.
      temperatures: one block of 8 x 6 samples each.
    """
    rows, columns = 8, 6
    count = rows * columns
    kwargs = {}
    x, context = part.head(count)
    if context is not None:
        kwargs["context"] = np.resize(context, (count, *context.shape[1:]))
    blocks = [
        flow.sample(() if kwargs else count, (seed, 0), temperature=t, **kwargs).numpy()
        for t in temperatures
    ]
    blocks.append(np.resize(x, (count, *x.shape[1:])))
    blank = np.full_like(blocks[-1][:rows], _white(x)).reshape(rows, 1, *x.shape[1:])
    blocks = [b.reshape(rows, columns, *b.shape[1:]) for b in blocks]
    spaced = [piece for block in blocks for piece in (block, blank)][:-1]
    images = np.concatenate(spaced, axis=1)
    shown = ", ".join(f"{t:g}" for t in temperatures)
    grid(
        images.reshape(-1, *x.shape[1:]),
        path,
        columns=images.shape[1],
        heading=f"samples at temperatures {shown}, and test images (right)",
    )


def _white(images):
    """The value that `grid` shows white: grey images are dark on white paper."""
    return images.max() if images.shape[-1] > 1 else 0


def interpolations(flow: Model, part: Any, path: pathlib.Path, rows: int = 8) -> None:
    """Writes walks on the great circle in z from one test image to another.

    Args:
      flow: to encode and decode with.
      part: whose images are the ends.
      path: of the PNG.
      rows: number of walks, each of 10 images with the ends included.
    """
    rows = min(2 * rows, len(part)) // 2
    ends, context = part.head(2 * rows)
    contexts = {}
    if context is not None:
        contexts = {"context": context[:rows], "context_b": context[rows : 2 * rows]}
    start, end = ends[:rows], ends[rows : 2 * rows]
    images = tasks.interpolate(flow, start, end, 10, **contexts).numpy()
    way = np.swapaxes(images, 0, 1).reshape(-1, *part.event_shape)
    heading = "test images (left and right) and the way between their z"
    grid(way, path, columns=10, heading=heading)


def completions(
    model: Model,
    part: Any,
    path: pathlib.Path,
    seed: int,
    rows: int = 8,
    draws: int = 6,
) -> None:
    """Writes exact draws of a half of test images given the other half.

    The upper half is given, or what an autoregressive model draws first.

    Args:
      model: `Autoregressive` or `AnyOrder` over images.
      part: the test images, and contexts of a conditional model.
      path: of the PNG.
      seed: of the draws.
      rows: number of images.
      draws: of each.
    """
    images, context = part.head(rows)
    known = _first_half(model)
    drawn = complete(model, images, known, draws, seed=(seed, 1), context=context)
    columns = [np.where(known, images, 0), *drawn.numpy(), images]
    heading = "half of it given (left), draws of the rest, the test image (right)"
    grid(
        np.stack(columns, axis=1).reshape(-1, *images.shape[1:]),
        path,
        columns=len(columns),
        heading=heading,
    )


def _first_half(model):
    """Whole pixels that come first in a model's order, as a mask of an event."""
    network = model.network
    order = getattr(network, "order", np.arange(model.event_shape.num_elements()))
    mask = np.zeros(model.event_shape, bool)
    channels = mask.shape[-1]
    mask.flat[np.ravel(order)[: mask.size // channels // 2 * channels]] = True
    return mask


def extremes(bits: np.ndarray, part: Any, path: pathlib.Path, count: int = 16) -> None:
    """Writes the most likely test images in the upper rows, the least likely below.

    Args:
      bits: bits per dimension of each test image, the titles of the pictures.
      part: the test images.
      path: of the PNG.
      count: images of each kind.
    """
    count = min(count, len(bits) // 2)
    order = np.argsort(bits)
    chosen = np.concatenate([order[:count], order[-count:]])
    titles = [f"{bits[i]:.2f}" for i in chosen]
    heading = "most likely (above) and least likely test images, bits/dim"
    grid(part.rows(chosen).x, path, min(8, count), titles, heading)


def curves(history: Sequence[Mapping[str, float]], path: pathlib.Path) -> None:
    """Writes bits per dimension of the training and validation part over the epochs.

    Args:
      history: a mapping for each epoch with `epoch` and metrics.
      path: of the PNG.
    """
    figure, axis = plt.subplots(figsize=(6, 3.5))
    for key, label in (("bits_per_dim", "train"), ("val_bits_per_dim", "valid")):
        points = [(row["epoch"], row[key]) for row in history if key in row]
        if points:
            axis.plot(*zip(*points, strict=True), label=label)
    values = [row["val_bits_per_dim"] for row in history if "val_bits_per_dim" in row]
    if values:
        low, high = min(values), np.quantile(values, 0.9)
        axis.set_ylim(low - 0.5 * (high - low) - 0.1, high + (high - low) + 0.1)
    axis.set_xlabel("epoch")
    axis.set_ylabel("bits per dimension")
    axis.grid(alpha=0.3)
    axis.legend()
    _write(figure, path)


def sequences(
    flow: Model, part: Any, path: pathlib.Path, seed: int, rows: int = 4
) -> None:
    """Writes samples (left) and test sequences `[T, C]` (right) over time.

    Args:
      flow: to sample from.
      part: the test sequences, whose contexts a conditional flow is given.
      path: of the PNG.
      seed: of the samples.
      rows: number of each.
    """
    x, context = part.head(rows)
    given = {} if context is None else {"context": context}
    drawn = flow.sample(() if given else rows, seed=(seed, 0), **given).numpy()
    size = (8, 1.2 * rows)
    figure, axes = plt.subplots(rows, 2, figsize=size, sharex=True, sharey=True)
    for row, values in zip(axes, zip(drawn, x, strict=False), strict=False):
        for axis, sequence in zip(row, values, strict=True):
            axis.plot(sequence, linewidth=0.8)
    axes[0, 0].set_title("samples")
    axes[0, 1].set_title("data")
    _write(figure, path)


def points(drawn: np.ndarray, data: np.ndarray, path: pathlib.Path) -> None:
    """Writes the first two dimensions of samples and data as scatter plots."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True)
    for axis, values, title in zip(
        axes, (drawn, data), ("samples", "data"), strict=True
    ):
        axis.scatter(values[:, 0], values[:, 1 % values.shape[1]], s=3, alpha=0.5)
        axis.set_title(title)
    _write(figure, path)


def _write(figure, path):
    files.write_whole(
        path, lambda part: figure.savefig(part, dpi=110, bbox_inches="tight")
    )
    plt.close(figure)
