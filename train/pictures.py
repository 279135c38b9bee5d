"""What a run looks like: samples, interpolations, completions, curves, extremes."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_flows import plots, tasks
from tfp_flows.distributions import Model, complete
from train import files

_POINTS = 10_000  # test events in a scatter plot
_FEW = 1_000  # in one of many, or above a density
_COLUMNS = 8  # of a table whose pairs are drawn


def save(figure: Any, path: pathlib.Path) -> None:
    """Writes a figure whole.

    Args:
      figure: of matplotlib.
      path: of the PNG.
    """
    files.write_whole(
        path, lambda part: figure.savefig(part, dpi=110, bbox_inches="tight")
    )


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
    count = 48
    kwargs: dict[str, Any] = {}
    x, context = part.head(count)
    if context is not None:
        kwargs["context"] = np.resize(context, (count, *context.shape[1:]))
    shape = () if kwargs else count
    blocks = {
        f"samples at temperature {t:g}": flow.sample(
            shape, (seed, 0), temperature=t, **kwargs
        )
        for t in temperatures
    }
    save(plots.samples({**blocks, "test images": x}, rows=8, columns=6), path)


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
    save(
        plots.interpolations(tasks.interpolate(flow, start, end, 10, **contexts)), path
    )


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
    save(plots.completions(images, known, drawn), path)


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
      part: the test images, of which only those that are drawn are read.
      path: of the PNG.
      count: images of each kind.
    """
    count = min(count, len(bits) // 2)
    order = np.argsort(bits)
    chosen = np.concatenate([order[:count], order[-count:]])
    save(plots.extremes(part.rows(chosen).x, bits[chosen], count), path)


def curves(history: Sequence[Mapping[str, float]], path: pathlib.Path) -> None:
    """Writes bits per dimension of the training and validation part over the epochs.

    Args:
      history: a mapping for each epoch with `epoch` and metrics.
      path: of the PNG.
    """
    save(plots.training_curves(history), path)


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
    drawn = flow.sample(() if given else len(x), seed=(seed, 0), **given)
    save(plots.sequences(drawn, x), path)


def vectors(flow: Model, part: Any, path: pathlib.Path, seed: int) -> None:
    """Writes samples beside data: points, and what more the number of columns allows.

    The density of two columns of real numbers, every pair of three to eight, the first
    two of more, or under contexts.

    Args:
      flow: to sample from.
      part: the test events `[D]`, whose contexts a conditional flow is given.
      path: of the PNG.
      seed: of the samples.
    """
    x, context = part.head(_POINTS)
    given = {} if context is None else {"context": context}
    drawn = flow.sample(() if given else len(x), seed=(seed, 0), **given).numpy()
    size = x.shape[1]
    is_real = flow.num_values is None and not flow.takes_missing
    if size == 2 and not given and is_real and flow.is_exact:
        figure = plots.density(flow.log_prob, drawn[:_FEW], x[:_FEW])
    elif 2 < size <= _COLUMNS and not given:
        figure = plots.corner(drawn[:_FEW], x[:_FEW])
    else:
        figure = plots.points(drawn, x)
    save(figure, path)
